// Writes down all that a machine is asked: a machine for the host, in front of the one that answers.

import type { MemoryBudget } from "../../faults/memory-budget.js";
import type { Opener } from "../../files/caller.js";
import type { OpenFile } from "../../files/open-file.js";
import type { AddressSpace, Backing, Extents } from "../../memory/address-space.js";
import { RECORD_VERSION, type RecordLine } from "../../trace/record.js";
import { Errno } from "../../uapi/errno.js";
import type { FileTree } from "../file-tree.js";
import type { Machine } from "../machine.js";
import { Questions } from "./questions.js";
import { recordedFile } from "./recorded-file.js";
import { RecordingMemories } from "./recording-memory.js";

/** What a machine is made with besides its description. */
interface Settings {
	/** The name of its allocation rule. */
	readonly policy: string;
	/** How much memory clients may have us use, in bytes. */
	readonly memory?: number;
}

export class Recorder {
	readonly #machine: Machine;
	readonly #questions: Questions;
	readonly #memories: RecordingMemories;

	/**
	 * @param description the machine's, as its file has it
	 * @param settings what else it was made with
	 * @param write gets each line, in order
	 */
	constructor(machine: Machine, description: unknown, settings: Settings, write: (line: RecordLine) => void) {
		this.#machine = machine;
		this.#questions = new Questions(write);
		this.#memories = new RecordingMemories(this.#questions);
		write({ kind: "start", version: RECORD_VERSION, machine: description, ...settings });
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
		const { result, asked } = this.#questions.during(() => this.#openFile(path, opener));
		if (result === undefined) return undefined;
		const questions = asked.length > 0 ? { asked } : {};
		if (result instanceof Errno) {
			const answer = { errno: result.code, reason: result.reason };
			this.#questions.write({ kind: "open", path, ...questions, answer });
			throw result;
		}
		const recorded = recordedFile(this.#memories, result);
		this.#questions.write({ kind: "open", path, ...questions, answer: recorded.id });
		return recorded;
	}

	#openFile(path: string, opener: Opener): OpenFile | Errno | undefined {
		const asking: Opener = {
			capable: (capability) => {
				const is = opener.capable(capability);
				this.#questions.ask({ ask: "capable", of: capability, is });
				return is;
			},
		};
		try {
			return this.#machine.open(path, asking);
		} catch (error) {
			if (error instanceof Errno) return error;
			throw error;
		}
	}

	store(path: string, text: string): void {
		const { result, asked } = this.#questions.during(() => {
			try {
				this.#machine.store(path, text);
				return 0;
			} catch (error) {
				if (error instanceof Errno) return error;
				throw error;
			}
		});
		const answer = result instanceof Errno ? { errno: result.code, reason: result.reason } : result;
		this.#questions.write({ kind: "store", path, text, ...(asked.length > 0 ? { asked } : {}), answer });
		if (result instanceof Errno) throw result;
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
