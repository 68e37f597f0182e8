// ioasis walk --recording: makes the recorded calls again, up to the one of interest, and looks at the page tables then.

import { type HwptWalk, translates } from "../iommufd/hwpt-walk.js";
import { NothingToWalk, type WalkQuestion, walkMachine } from "../machine/walk.js";
import type { RecordLine } from "../trace/record.js";
import { complain, refuse } from "./complain.js";
import { type Instead, type NamedRecording, runOf, withRecording } from "./recorded-machine.js";

/** What it means where a guest's memory can't be read. */
const MISSING = "is not in the recording: `ioasis run --record FILE --walk IOVA` puts there what a walk reads";

export interface RecordedWalk {
	/** The line after which it is so, counted from 1. */
	readonly line: number;
	/** What it says: "IOMMU_HWPT_ALLOC". */
	readonly call: string;
	readonly walks: readonly HwptWalk[];
	/** Whether anything leads anywhere. */
	readonly isTranslated: boolean;
}

/**
 * @param at the line after which to look; if absent, the last at which an IOVA is translated, or at least a HWPT is there
 * @throws NothingToWalk
 */
export function walkRecording(
	path: string,
	at: number | undefined,
	question: WalkQuestion,
	options: Instead,
): Promise<RecordedWalk> {
	return withRecording(path, (recording) => walkLines(recording, at, question, options));
}

async function walkLines(
	recording: NamedRecording,
	at: number | undefined,
	question: WalkQuestion,
	options: Instead,
): Promise<RecordedWalk> {
	const { path, lines, isCut } = recording;
	if (at !== undefined && at > lines.length)
		refuse(
			`--at ${at}: ${path} has ${lines.length} lines${isCut ? ", and one that isn't whole" : ""}`,
			"without --at it is the last at which an IOVA is translated",
		);
	if (isCut) complain(`${path} ends in the middle of line ${lines.length + 1}: the run was killed`);
	const { run, machine } = await runOf(recording, options);

	let best: RecordedWalk | undefined;
	let problem = new NothingToWalk(`${path} has no such page table (HWPT) at any line`);
	let call = "start";
	for (const [i, line] of lines.slice(0, at).entries()) {
		call = nameOf(line) ?? call;
		if (run.replay(i + 1) !== undefined)
			throw new NothingToWalk(
				`${path}:${i + 1}: ${call} is answered otherwise than it was, so what follows would be another story`,
				`\`ioasis replay ${path}\` says how; --at ${i} walks before it`,
			);
		if (at !== undefined && i + 1 < at) continue;
		try {
			const walks = walkMachine(machine, question, MISSING);
			const isTranslated = walks.some(translates);
			if (isTranslated || !best?.isTranslated) best = { line: i + 1, call, walks, isTranslated };
		} catch (error) {
			if (!(error instanceof NothingToWalk)) throw error;
			// Of all moments the one when there was something else is the one that helps.
			if (error.advice.length > 0 || at !== undefined) problem = error;
		}
	}
	if (best === undefined) throw problem;
	return best;
}

/** Undefined for what is a part of the line before it. */
function nameOf(line: RecordLine): string | undefined {
	switch (line.kind) {
		case "ioctl":
			return line.command ?? `ioctl ${line.number}`;
		case "open":
			return `open ${line.path}`;
		case "store":
			return `write to ${line.path}`;
		case "release":
			return "close";
		case "read":
		case "write":
		case "pread":
		case "pwrite":
		case "mmap":
			return line.kind;
		default:
			return undefined;
	}
}
