// Linux's own selftests as a whole: what a test suite takes longer because Ioasis, and not a kernel, answers it.

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Figure, type Measurement, ratio, type Setting, Skipped } from "../figure.js";

/** The newest build of a program that `npm run conformance` has left. */
function builtProgram(checkout: string, program: string): string {
	const builds = join(checkout, ".cache", "conformance", "programs");
	const found = (existsSync(builds) ? readdirSync(builds) : [])
		.map((directory) => join(builds, directory, program))
		.filter((path) => existsSync(path))
		.sort((one, other) => statSync(other).mtimeMs - statSync(one).mtimeMs);
	if (found.length === 0) throw new Skipped("the selftests aren't built yet: `npm run conformance` does that");
	return found[0];
}

/** Seconds that it takes, and how many calls it made. Some of its tests may fail, without huge pages for one. */
function runOnce(checkout: string, program: string): { seconds: number; calls: number } {
	const start = performance.now();
	const command = [join(checkout, "bin", "ioasis"), "run", "--machine", "selftest", "--", program];
	const { stderr, error } = spawnSync(command[0], command.slice(1), { encoding: "utf8", maxBuffer: 2 ** 28 });
	const seconds = (performance.now() - start) / 1000;
	const calls = stderr?.match(/^ioasis: (\d+) calls/m)?.[1];
	if (error || calls === undefined) throw new Skipped(`${program} did not come to its end`);
	return { seconds, calls: Number(calls) };
}

function measure({ checkout, floors, rounds, short }: Setting): Measurement {
	const program = builtProgram(checkout, "iommufd");
	const result = { figure: [] as number[], floor: [] as number[], note: "" };
	for (let round = 0; round < Math.min(rounds, short ? 1 : 3); round++) {
		const lines = floors.run("trap-echo", floors.path("calls"), "alloc", 5_000, 20_000, 3);
		const { seconds, calls } = runOnce(checkout, program);
		result.figure.push(seconds);
		result.floor.push((calls * Math.min(...lines.map(([, each]) => each))) / 1e6);
		result.note = `${calls} calls`;
	}
	return result;
}

export const selftestFigures: readonly Figure[] = [
	{
		name: "selftests/iommufd",
		what: "the kernel's program `iommufd`, all of its tests",
		against: "its number of calls times trap-echo's time for one",
		unit: "s",
		goal: ratio(4),
		isLong: true,
		measure,
	},
];
