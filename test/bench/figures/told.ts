// What it costs to be told of each call: a trace in a file, a recording, and the way back to a moment of it.

import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkMachineDescription } from "../../../src/machine/description.js";
import { Machine } from "../../../src/machine/machine.js";
import { Recording } from "../../../src/machine/record/recording.js";
import { Timeline } from "../../../src/machine/record/timeline.js";
import { atMost, type Figure, type Measurement, noGoal, once, ratio, type Setting } from "../figure.js";
import { numbersOf } from "../floors.js";
import { ioasis } from "./trapped.js";

const WARM = 20_000;

type Mode = "alloc" | "map";

/** Does something with a directory for files, which is gone afterwards. */
function inDirectory<T>(action: (directory: string) => T): T {
	const directory = mkdtempSync(join(tmpdir(), "ioasis-bench-"));
	try {
		return action(directory);
	} finally {
		rmSync(directory, { recursive: true });
	}
}

/**
 * Of a loop of calls.c under `ioasis run`: microseconds a call, the best of many short rounds. What a thread of ours does at the same time on
 * another processor is in it; what takes the processor away for some milliseconds, as others' programs do, isn't.
 */
function run({ checkout, floors, short }: Setting, mode: Mode, ...options: readonly string[]): number {
	const [program, command, ...rest] = ioasis(checkout);
	const parameters = [mode, WARM, 200, short ? 100 : 400].map(String);
	const words = [program, command, ...options, ...rest, floors.path("calls"), ...parameters];
	return Math.min(...numbersOf(words).map(([, each]) => each));
}

/** A loop with an option beside the same without. */
function told(setting: Setting, mode: Mode, option: (file: string) => string[]): Measurement {
	return inDirectory((directory) => {
		const result = { figure: [] as number[], floor: [] as number[] };
		for (let round = 0; round < setting.rounds; round++) {
			result.floor.push(run(setting, mode));
			result.figure.push(run(setting, mode, ...option(join(directory, "file"))));
		}
		return result;
	});
}

/** A recording of some 100,000 calls. */
function recordingOf(setting: Setting, mode: Mode, directory: string): { recording: Recording; bytes: number } {
	const { checkout, floors } = setting;
	const file = join(directory, "file");
	const [program, command, ...rest] = ioasis(checkout);
	const parameters = [mode, 0, mode === "map" ? 50_000 : 100_000, 1].map(String);
	numbersOf([program, command, "--record", file, ...rest, floors.path("calls"), ...parameters]);
	return { recording: Recording.parse(readFileSync(file)), bytes: statSync(file).size };
}

function timelineOf(recording: Recording): Timeline {
	const description = checkMachineDescription(recording.start.machine, "the bench");
	return new Timeline(recording, () => new Machine(description));
}

function bytesOfCall(setting: Setting): Measurement {
	return inDirectory((directory) => {
		const { recording, bytes } = recordingOf(setting, "map", directory);
		return { figure: [bytes / recording.calls], floor: [] };
	});
}

function replayed(setting: Setting): Measurement {
	return inDirectory((directory) => {
		const { recording } = recordingOf(setting, "map", directory);
		const figure = Array.from(
			{ length: setting.rounds },
			() => once(() => timelineOf(recording).at(recording.calls)) / recording.calls,
		);
		return { figure, floor: [] };
	});
}

/** The worst of jumps through a recording, forwards and backwards; in between it has time to prepare. */
function jumped(setting: Setting): Measurement {
	return inDirectory((directory) => {
		const { recording } = recordingOf(setting, "map", directory);
		const figure = Array.from({ length: setting.rounds }, () => {
			const timeline = timelineOf(recording);
			let worst = 0;
			for (let jump = 0; jump < 20; jump++) {
				while (timeline.prepare(100));
				const call = 1 + Math.floor(((jump * 0.618) % 1) * (recording.calls - 1));
				worst = Math.max(worst, once(() => timeline.at(call)) / 1e6);
			}
			return worst;
		});
		return { figure, floor: [] };
	});
}

const OF_TRACE = (file: string) => [`--trace=${file}`];
const OF_RECORDING = (file: string) => ["--record", file];

function toldFigure(name: string, mode: Mode, what: string, option: (file: string) => string[]): Figure {
	return {
		name,
		what,
		against: "the same without",
		unit: "us",
		goal: ratio(1.3),
		measure: (setting) => told(setting, mode, option),
	};
}

export const toldFigures: readonly Figure[] = [
	toldFigure("told/trace-alloc", "alloc", "one IOAS_ALLOC with --trace=FILE", OF_TRACE),
	toldFigure("told/trace-map", "map", "IOAS_MAP and IOAS_UNMAP with --trace=FILE, per call", OF_TRACE),
	toldFigure("told/record-alloc", "alloc", "one IOAS_ALLOC with --record", OF_RECORDING),
	toldFigure("told/record-map", "map", "IOAS_MAP and IOAS_UNMAP with --record, per call", OF_RECORDING),
	{
		name: "told/record-bytes",
		what: "the recording of IOAS_MAP and IOAS_UNMAP, bytes a call",
		against: "nothing",
		unit: "bytes",
		goal: atMost(60),
		measure: bytesOfCall,
	},
	{
		name: "told/replay",
		what: "the same replayed in this process, per call",
		against: "nothing",
		unit: "ns",
		goal: noGoal,
		measure: replayed,
	},
	{
		name: "told/jump",
		what: "to the state after any call of 100,000, the worst of 20 jumps",
		against: "nothing",
		unit: "ms",
		goal: atMost(200),
		measure: jumped,
	},
];
