// Who makes a call, as a recording sees it.

import type { Caller, CallerFile, Capability } from "../../files/caller.js";
import type { OpenFile } from "../../files/open-file.js";
import type { FdMeaning, Name } from "../../trace/record.js";
import { Errno } from "../../uapi/errno.js";
import { failedOf } from "./noting.js";
import type { RecordingMemories, RecordingOwner, RecordingSpace } from "./recording-memory.js";

/** What clients have of a file of the engine's. */
export interface RecordedForm extends OpenFile {
	readonly id: Name;
	/** The engine's own. */
	readonly inner: OpenFile;
	readonly isReleased: boolean;
}

export class RecordingCaller implements Caller {
	readonly thread: number;
	readonly memory: RecordingSpace;
	readonly owner: RecordingOwner;
	readonly #memories: RecordingMemories;
	readonly #caller: Caller;
	readonly #recorded: (file: OpenFile) => RecordedForm;

	/** @param recorded makes the form of a file that the caller gets */
	constructor(memories: RecordingMemories, caller: Caller, recorded: (file: OpenFile) => RecordedForm) {
		this.thread = caller.thread;
		this.memory = memories.space(caller.memory);
		this.owner = memories.owner(caller.owner);
		this.#memories = memories;
		this.#caller = caller;
		this.#recorded = recorded;
	}

	capable(capability: Capability): boolean {
		const is = this.#caller.capable(capability);
		this.#memories.questions.ask({ ask: "capable", of: capability, is });
		return is;
	}

	file(fd: number): CallerFile | undefined {
		const found = this.#caller.file(fd);
		const [file, is] = this.#meaningOf(found);
		this.#memories.questions.ask({ ask: "fd", fd, is });
		return file;
	}

	install(file: OpenFile, closeOnExec?: boolean): number {
		const { questions } = this.#memories;
		const recorded = this.#recorded(file);
		const question = { ask: "install", file: recorded.id, path: file.path } as const;
		try {
			const is = this.#caller.install(recorded, closeOnExec);
			questions.ask({ ...question, is });
			return is;
		} catch (error) {
			const lost = recorded.isReleased ? ({ lost: true } as const) : {};
			if (error instanceof Errno) questions.ask({ ...question, is: failedOf(error), ...lost });
			throw error;
		}
	}

	/** What the engine gets to see of a file, and what is written down of it. */
	#meaningOf(found: CallerFile | undefined): [CallerFile | undefined, FdMeaning] {
		if (found === undefined) return [undefined, "not open"];
		// Interrupts go where they go, and nothing of that is written down: a replay has nobody to tell.
		if (found.kind === "other" || found.kind === "eventfd") return [found, found.kind];
		if (found.kind === "shared-memory") {
			const backing = this.#memories.backing(found.backing);
			return [this.#memories.file(found), { backing: backing.id }];
		}
		// All files that we have handed out are recorded ones; the engine knows its own.
		const recorded = found.file as RecordedForm;
		return [{ kind: "ours", file: recorded.inner }, { file: recorded.id }];
	}
}
