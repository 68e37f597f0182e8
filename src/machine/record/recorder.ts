// Writes down all that a machine is asked: a machine for the host, in front of the one that answers.

import type { MemoryBudget } from "../../faults/memory-budget.js";
import type { Opener } from "../../files/caller.js";
import type { OpenFile } from "../../files/open-file.js";
import type { AddressSpace, Backing, Extents } from "../../memory/address-space.js";
import type { DmaDone, Told } from "../../trace/record.js";
import { Errno } from "../../uapi/errno.js";
import type { FileTree } from "../file-tree.js";
import type { Machine } from "../machine.js";
import type { Watcher } from "../watch.js";
import { RECORD_VERSION } from "./blocks.js";
import { answerOf, failedOf, noting } from "./noting.js";
import { Questions, type WriteEntry } from "./questions.js";
import { recordedFile } from "./recorded-file.js";
import { RecordingMemories } from "./recording-memory.js";

/** What a machine is made with besides its description. */
interface Settings {
	/** The name of its allocation rule. */
	readonly policy: string;
	/** How much memory clients may have us use, in bytes. */
	readonly memory?: number;
	/** Our own version, and the program with its arguments. */
	readonly ioasis?: string;
	readonly program?: readonly string[];
}

export class Recorder {
	/** A replay makes one call after the other, so that is how they have to be answered. */
	readonly isRecorded = true;
	readonly #machine: Machine;
	readonly #questions: Questions;
	readonly #memories: RecordingMemories;

	/**
	 * @param description the machine's, as its file has it
	 * @param settings what else it was made with
	 * @param write gets each entry, in order
	 */
	constructor(machine: Machine, description: unknown, settings: Settings, write: WriteEntry) {
		this.#machine = machine;
		this.#questions = new Questions(write);
		this.#memories = new RecordingMemories(this.#questions);
		write({ kind: "start", version: RECORD_VERSION, began: Date.now(), machine: description, ...settings });
	}

	/** Tells which thread makes the call that is under way. */
	set thread(thread: () => number) {
		this.#questions.thread = thread;
	}

	/** Writes down what devices do, and what they and the engine say. */
	get watcher(): Watcher {
		const write = (entry: DmaDone | Told) => this.#questions.write({ time: this.#questions.time, ...entry });
		return {
			accessed: (access) => write({ kind: "dma", ...access }),
			dma: ({ kind, ...event }) => {
				if (kind === "stale") write({ kind, ...event });
			},
			interrupt: (event) => write({ kind: "interrupt", ...event }),
			device: (event) => write({ kind: "device", ...event }),
			remark: (message) => write({ kind: "remark", message }),
		};
	}

	get paths(): readonly string[] {
		return this.#machine.paths;
	}

	get budget(): MemoryBudget {
		return this.#machine.budget;
	}

	get files(): FileTree {
		return this.#machine.files;
	}

	whyMissing(path: string): string | undefined {
		return this.#machine.whyMissing(path);
	}

	/** Has the machine ask `settle` for what has been closed. */
	set settle(settle: Machine["settle"]) {
		this.#machine.settle = (...which) => this.#questions.settle(() => settle(...which));
	}

	open(path: string, opener: Opener): OpenFile | undefined {
		const questions = this.#questions;
		const asking: Opener = {
			capable: (capability) => {
				const is = opener.capable(capability);
				questions.ask({ ask: "capable", of: capability, is });
				return is;
			},
		};
		questions.begin();
		const { time } = questions;
		const result = answerOf(questions, () => this.#machine.open(path, asking));
		const asked = questions.end();
		if (result === undefined) return undefined;
		const file = result instanceof Errno ? undefined : recordedFile(this.#memories, result);
		const thread = questions.thread();
		questions.write({
			kind: "open",
			time,
			took: questions.time - time,
			...(thread > 0 && { thread }),
			path,
			...(asked !== undefined && { asked }),
			answer: result instanceof Errno ? failedOf(result) : file!.id,
		});
		if (result instanceof Errno) throw result;
		return file;
	}

	store(path: string, text: string): void {
		noting(this.#questions, { kind: "store", path, text }, () => {
			this.#machine.store(path, text);
			return 0;
		});
	}

	counts(memory: AddressSpace): { readonly pinned: number; readonly locked: number } {
		return this.#machine.counts(this.#memories.space(memory));
	}

	pinnedOf(backing: Backing, into: Extents): void {
		const recording = this.#memories.knownBacking(backing);
		if (recording !== undefined) this.#machine.pinnedOf(recording, into);
	}

	leftovers(): string[] {
		return this.#machine.leftovers();
	}
}
