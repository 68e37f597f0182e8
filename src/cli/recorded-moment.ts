// A call of a recording that a command asks for: whether it is there, what it is called, and what to say where the story is another one.

import { NothingToShow } from "../machine/nothing-to-show.js";
import type { RecordedRun } from "../machine/record/recorded-run.js";
import type { Recording } from "../machine/record/recording.js";
import { callsAmong } from "../machine/record/timeline.js";
import { commandOf } from "../trace/commands.js";
import type { Call } from "../trace/record.js";
import { hex } from "../uapi/errno.js";
import { complain, refuse } from "./complain.js";

/** Ends with what is wrong with the number of a call; tells of a recording that isn't whole. @param given what it is on the command line */
export function checkCall(
	path: string,
	{ calls, isCut }: Recording,
	given: string,
	call: number | undefined,
	advice: string,
): void {
	if (call !== undefined && (call > calls || call === 0))
		refuse(
			`${given} ${call}: ${path} has ${calls} calls${isCut ? ", and one that isn't whole" : ""}, counted from 1`,
			advice,
		);
	if (isCut) complain(`${path} ends in the middle of call ${calls + 1}: the run was killed`);
}

/** @param earlier what is asked for instead: "--at 5 walks" */
export function otherStory(
	path: string,
	recording: Recording,
	run: RecordedRun,
	earlier: (call: number) => string,
): NothingToShow {
	const number = callsAmong(recording, run.done);
	const call = nameOf(run.difference!.call, run);
	return new NothingToShow(
		`${path}: call ${number}, ${call}, is answered otherwise than it was, so what follows would be another story`,
		`\`ioasis replay ${path}\` says how; ${earlier(number - 1)}`,
	);
}

/** "IOMMU_HWPT_ALLOC" @param run as long as its files are open */
export function nameOfCall(recording: Recording, call: number, run: RecordedRun): string {
	return nameOf(recording.at(recording.indexOfCall(call)) as Call, run);
}

function nameOf(call: Call, run: RecordedRun): string {
	if (call.kind === "open") return `open ${call.path}`;
	if (call.kind === "store") return `write to ${call.path}`;
	if (call.kind !== "ioctl") return call.kind;
	return commandOf(run.pathOf(call.file), call.number)?.name ?? `ioctl ${hex(call.number)}`;
}
