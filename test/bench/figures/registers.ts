// What an access to a mapped register costs the program that makes it, and a doorbell.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { buildSync } from "esbuild";
import { type Figure, type Measurement, ratio, type Setting } from "../figure.js";
import { numbersOf } from "../floors.js";

/** What the tests' file of registers is, in front of a program. */
function fileOfRegisters(checkout: string): string[] {
	const directory = join(checkout, ".cache", "bench-registers");
	const host = join(checkout, "src", "host");
	mkdirSync(directory, { recursive: true });
	buildSync({
		entryPoints: {
			"launch.testing": join(host, "testing", "launch.testing.ts"),
			"launcher-thread": join(host, "launch", "launcher-thread.ts"),
			"register-machine.testing": join(host, "testing", "register-machine.testing.ts"),
		},
		outdir: directory,
		bundle: true,
		platform: "node",
		format: "esm",
		external: ["koffi"],
		outExtension: { ".js": ".mjs" },
		logLevel: "warning",
	});
	const launch = join(directory, "launch.testing.mjs");
	return ["env", "FAKE_MACHINE=register-machine", process.execPath, launch, join(directory, "result")];
}

/** One column of what registers.c prints, the best of three rounds, in front of the file and of the floor by turns. */
function measured(setting: Setting, mode: string, floorMode: string, column: number, accesses: number): Measurement {
	const { checkout, floors, rounds } = setting;
	const front = fileOfRegisters(checkout);
	const program = floors.path("registers");
	const best = (command: readonly string[]) => Math.min(...numbersOf(command).map((numbers) => numbers[column]));
	const result = { figure: [] as number[], floor: [] as number[] };
	for (let round = 0; round < rounds; round++) {
		result.floor.push(best([program, floorMode, String(accesses), "3"]) / 1000);
		result.figure.push(best([...front, program, mode, String(accesses), "3"]) / 1000);
	}
	return result;
}

const exact = "a C program that knows the two instructions only";

export const registerFigures: readonly Figure[] = [
	{
		name: "registers/store",
		what: "a store to a mapped register, until the program goes on",
		against: exact,
		unit: "us",
		goal: ratio(2),
		measure: (setting) => measured(setting, "exact", "floor", 0, setting.short ? 1_000 : 5_000),
	},
	{
		name: "registers/load",
		what: "a load from one",
		against: exact,
		unit: "us",
		goal: ratio(2),
		measure: (setting) => measured(setting, "exact", "floor", 1, setting.short ? 1_000 : 5_000),
	},
	{
		name: "registers/doorbell",
		what: "a doorbell that is rung, until the device has answered in memory",
		against: "a C program that looks at that word, and answers",
		unit: "us",
		goal: ratio(1.5),
		measure: (setting) => measured(setting, "bell", "bell-floor", 0, setting.short ? 20_000 : 100_000),
	},
];
