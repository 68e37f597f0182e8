// ioasis replay: the calls of a recording once more, with no program, until an answer differs.

import { say } from "../host/say.js";
import { RecordedRun } from "../machine/record/recorded-run.js";
import type { Recording } from "../machine/record/recording.js";
import type { Difference } from "../machine/record/replayer.js";
import { callsAmong } from "../machine/record/timeline.js";
import { DIFFERS } from "./exit-codes.js";
import { brief, printed } from "./recorded-call.js";
import { machinesOf, withRecording } from "./recorded-machine.js";

/** What `replay` can be told. */
export interface ReplayOptions {
	/** Instead of the recorded ones. */
	readonly machine?: string;
	readonly policy?: string;
	readonly loadModels?: true;
	readonly quiet?: true;
}

export function replay(path: string, options: ReplayOptions): Promise<void> {
	return withRecording(path, (recording) => replayAll(recording, options));
}

async function replayAll(recording: Recording, options: ReplayOptions): Promise<void> {
	const makeMachine = await machinesOf(recording, options);
	const run = new RecordedRun(recording, makeMachine());
	const { calls, isCut } = recording;
	if (!run.forward(recording.length)) {
		const call = callsAmong(recording, run.done);
		say(`call ${call} of ${calls} is answered otherwise than it was:`, ...inWords(run.difference!, run));
		process.exitCode = DIFFERS;
	} else if (!options.quiet) say(`ioasis: ${calls} calls, each answered as it was${endInWords(isCut, run.openFiles)}`);
}

/** Who records to the end records how all files are closed. */
function endInWords(isCut: boolean, openFiles: number): string {
	if (isCut) return "; the recording ends in the middle of the next one: the run was killed";
	if (openFiles === 0) return "";
	return `; the recording ends there, with ${openFiles} file${openFiles === 1 ? "" : "s"} open: the run was killed`;
}

/** Both answers, one above the other, and what may be behind it. */
function inWords({ call, now, deviations, strays }: Difference, run: RecordedRun): string[] {
	const text = [];
	if (call.kind === "ioctl") {
		const path = run.pathOf(call.file);
		text.push("recorded:", ...printed(call, path, call.answer, call.out));
		text.push("now:", ...printed(call, path, now.result, now.out));
	} else text.push(`recorded: ${brief(call, call.answer)}`, `now:      ${brief(call, now.result)}`);
	for (const { what, recorded, now } of deviations) text.push(`${what}: recorded ${recorded}, now ${now}`);
	for (const stray of strays) text.push(`the engine asked for what it didn't ask for then: ${stray}`);
	return text;
}
