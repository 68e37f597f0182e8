// The calls of a recording, made again on a fresh machine.

import type { OpenFile } from "../../files/open-file.js";
import { type Entry, isCall, type Name } from "../../trace/record.js";
import type { Machine } from "../machine.js";
import type { Recording } from "./recording.js";
import { type Difference, Replayer } from "./replayer.js";

export class RecordedRun {
	readonly machine: Machine;
	readonly #recording: Recording;
	readonly #replayer: Replayer;
	#done = 0;
	#calls = 0;
	#difference: Difference | undefined;

	/** @param machine on which nothing has been done */
	constructor(recording: Recording, machine: Machine) {
		this.machine = machine;
		this.#recording = recording;
		this.#replayer = new Replayer(machine, () => recording.knowledge);
	}

	/** How many entries have been replayed. */
	get done(): number {
		return this.#done;
	}

	/** What the last of them answered otherwise than it did when it was recorded. What follows would be another story. */
	get difference(): Difference | undefined {
		return this.#difference;
	}

	/** How many files are open now. */
	get openFiles(): number {
		return this.#replayer.openFiles;
	}

	/** An open file of the recording; undefined for one that isn't open now. */
	fileOf(file: Name): OpenFile | undefined {
		return this.#replayer.fileOf(file);
	}

	/** What an open file of the recording was opened as. */
	pathOf(file: number): string {
		return this.#replayer.pathOf(file);
	}

	/**
	 * Does what the next entries say, until so many are done, or one is answered otherwise than it was.
	 * @returns whether all of them were answered as they were
	 * @throws RecordingError
	 */
	forward(to: number): boolean {
		while (this.#done < to && this.#difference === undefined) {
			this.#difference = this.#recording.during(this.#done, (entry) => this.#replay(entry));
			this.#done++;
		}
		return this.#difference === undefined;
	}

	/** What it maps and unmaps is remembered as its call's. */
	#replay(entry: Entry): Difference | undefined {
		if (!isCall(entry)) return this.#replayer.replay(entry);
		const { history } = this.machine;
		history.begin(++this.#calls, entry.thread ?? 0, entry.kind === "ioctl" ? entry.number : 0);
		try {
			return this.#replayer.replay(entry);
		} finally {
			history.end();
		}
	}
}
