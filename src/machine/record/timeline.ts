// Any moment of a recording, as the machine was then. The engine's state can't be copied: it is had by making the calls again. So runs
// are kept at several places of the recording, and the nearest one before a moment goes on to it.

import { isCall } from "../../trace/record.js";
import type { Machine } from "../machine.js";
import { RecordedRun } from "./recorded-run.js";
import type { Recording } from "./recording.js";

/** How many runs are kept at most. Each is a machine with all that is on it. */
const MOST_RUNS = 9;
/** How many entries are replayed between two looks at the clock. */
const BETWEEN_LOOKS = 256;

export class Timeline {
	readonly recording: Recording;
	readonly #makeMachine: () => Machine;
	/** In the order of how far they are. */
	readonly #runs: RecordedRun[] = [];
	/** The one that was asked for last. */
	#current: RecordedRun | undefined;
	/** The one that prepare() brings to its place. */
	#coming: { readonly run: RecordedRun; readonly to: number } | undefined;

	/** @param makeMachine makes one on which nothing has been done */
	constructor(recording: Recording, makeMachine: () => Machine) {
		this.recording = recording;
		this.#makeMachine = makeMachine;
	}

	/**
	 * The machine as it was after a call, before the next one or the next file that was closed. It is the caller's to look at until the
	 * next at(). What is changed of it is changed for later moments, too.
	 * @param call from 1 to the recording's `calls`; 0 for before the first
	 * @returns a run that stands there, or at the first call before it that is answered otherwise than it was: its `difference` says so
	 * @throws RecordingError
	 */
	at(call: number): RecordedRun {
		const to = this.#endOf(call);
		const run = this.#nearest(to);
		run.forward(to);
		this.#keep(run);
		this.#current = run;
		return run;
	}

	/**
	 * Puts runs where there are none, at equal distances, so that at() has nowhere far to go. For when there is nothing else to do.
	 * @param time how long it may take, in milliseconds
	 * @returns whether there is more to do
	 * @throws RecordingError
	 */
	prepare(time: number): boolean {
		const end = performance.now() + time;
		while (performance.now() < end) {
			this.#coming ??= this.#missing();
			if (this.#coming === undefined) return false;
			const { run, to } = this.#coming;
			run.forward(Math.min(run.done + BETWEEN_LOOKS, to));
			if (run.done < to && run.difference === undefined) continue;
			this.#coming = undefined;
			this.#keep(run);
			if (run.difference !== undefined) return false;
		}
		return true;
	}

	/** How many entries there are up to a moment. What was read for who looked on after the call is among them. */
	#endOf(call: number): number {
		const { recording } = this;
		if (call === 0) return 0;
		let end = recording.indexOfCall(call) + 1;
		for (; end < recording.length; end++) {
			const entry = recording.at(end);
			if (isCall(entry) || entry.kind === "release") break;
		}
		return end;
	}

	/** The farthest run that isn't past a place, taken out. */
	#nearest(to: number): RecordedRun {
		const at = this.#runs.findLastIndex((run) => run.done <= to);
		if (at === -1) return this.#fresh();
		return this.#runs.splice(at, 1)[0];
	}

	#fresh(): RecordedRun {
		return new RecordedRun(this.recording, this.#makeMachine());
	}

	#keep(run: RecordedRun): void {
		const at = this.#runs.findIndex(({ done }) => done > run.done);
		this.#runs.splice(at === -1 ? this.#runs.length : at, 0, run);
		if (this.#runs.length > MOST_RUNS) this.#runs.splice(this.#mostUseless(run), 1);
	}

	/** The one whose place another one is nearest before. Not one that was only just asked for. */
	#mostUseless(recent: RecordedRun): number {
		let [useless, nearest] = [0, Number.POSITIVE_INFINITY];
		for (const [i, run] of this.#runs.entries()) {
			const distance = run.done - (i === 0 ? 0 : this.#runs[i - 1].done);
			if (run === recent || run === this.#current || distance >= nearest) continue;
			useless = i;
			nearest = distance;
		}
		return useless;
	}

	/** A place that no run stands near behind, and a new one on its way there. */
	#missing(): { run: RecordedRun; to: number } | undefined {
		const { length } = this.recording;
		const step = Math.max(BETWEEN_LOOKS, Math.ceil(length / (MOST_RUNS - 1)));
		for (let to = step; to < length; to += step) {
			const isThere = this.#runs.some((run) => run !== this.#current && run.done <= to && run.done > to - step);
			if (!isThere) return { run: this.#fresh(), to };
		}
		return undefined;
	}
}

/** How many of a recording's first entries are calls. @throws RecordingError */
export function callsAmong(recording: Recording, entries: number): number {
	let calls = 0;
	for (let i = 0; i < entries; i++) if (isCall(recording.at(i))) calls++;
	return calls;
}
