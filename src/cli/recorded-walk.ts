// ioasis walk --recording: makes the recorded calls again, up to the one of interest, and looks at the page tables then.

import { type HwptWalk, translates } from "../iommufd/hwpt-walk.js";
import { NothingToShow } from "../machine/nothing-to-show.js";
import { Timeline } from "../machine/record/timeline.js";
import { type WalkQuestion, walkMachine } from "../machine/walk.js";
import { type Instead, machinesOf, withRecording } from "./recorded-machine.js";
import { checkCall, nameOfCall, otherStory } from "./recorded-moment.js";

/** What it means where a guest's memory can't be read. */
const MISSING = "is not in the recording: `ioasis run --record FILE --walk IOVA` puts there what a walk reads";

export interface RecordedWalk {
	/** The call after which it is so, counted from 1. */
	readonly number: number;
	/** What it is: "IOMMU_HWPT_ALLOC". */
	readonly call: string;
	readonly walks: readonly HwptWalk[];
	/** Whether anything leads anywhere. */
	readonly isTranslated: boolean;
}

/**
 * @param at the call after which to look; if absent, the last at which an IOVA is translated, or at least a HWPT is there
 * @throws NothingToShow
 */
export function walkRecording(
	path: string,
	at: number | undefined,
	question: WalkQuestion,
	options: Instead,
): Promise<RecordedWalk> {
	return withRecording(path, async (recording) => {
		const { calls } = recording;
		checkCall(path, recording, "--at", at, "without --at it is the last at which an IOVA is translated");
		const timeline = new Timeline(recording, await machinesOf(recording, options));
		const last = at ?? calls;
		let best: RecordedWalk | undefined;
		let problem = new NothingToShow(`${path} has no such page table (HWPT) at any call`);
		for (let number = at ?? 1; number <= last; number++) {
			const run = timeline.at(number);
			if (run.difference !== undefined)
				throw otherStory(path, recording, run, (before) => `--at ${before} walks before it`);
			const call = nameOfCall(recording, number, run);
			try {
				const walks = walkMachine(run.machine, question, MISSING);
				const isTranslated = walks.some(translates);
				if (isTranslated || !best?.isTranslated) best = { number, call, walks, isTranslated };
			} catch (error) {
				if (!(error instanceof NothingToShow)) throw error;
				// Of all moments the one when there was something else is the one that helps.
				if (error.advice.length > 0 || at !== undefined) problem = error;
			}
		}
		if (best === undefined) throw problem;
		return best;
	});
}
