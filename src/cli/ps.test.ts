import { expect, test } from "vitest";
import { tableOf } from "./ps.js";
import type { Run } from "./run-socket.js";

const since = new Date(2026, 10, 7, 9, 5, 1).getTime();
const run = (pid: number, program: string[], machine: string): Run => ({
	...{ pid, programPid: pid + 1, program, machine, since },
});

test("a table has a column for each thing, as wide as it has to be, and the program as a shell takes it", () => {
	const lines = tableOf([run(7, ["./my vmm", "-x"], "arm-smmu-2023"), run(12345, ["true"], "amd")]);
	expect(lines).toEqual([
		"  PID  PROGRAM'S  SINCE                MACHINE        PROGRAM",
		"    7          8  2026-11-07 09:05:01  arm-smmu-2023  './my vmm' -x",
		"12345      12346  2026-11-07 09:05:01  amd            true",
	]);
});
