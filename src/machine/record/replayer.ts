// Makes the calls of a recording again, on a fresh machine and with no program, and compares the answers.

import type { Caller, CallerFile, Capability } from "../../files/caller.js";
import type { EventFd } from "../../files/event-fd.js";
import { isMappable, isPositioned, isQueue, type Mapping, type OpenFile } from "../../files/open-file.js";
import type {
	Access,
	Call,
	Entry,
	Failed,
	Ioctl,
	Mapped,
	Name,
	Named,
	Opened,
	Question,
	Stored,
	Transfer,
} from "../../trace/record.js";
import { Errno } from "../../uapi/errno.js";
import type { Machine } from "../machine.js";
import type { Knowledge } from "./knowledge.js";
import { BadEntry } from "./limits.js";
import { failedOf } from "./noting.js";
import { ReplayBacking, type ReplayedStruct, ReplayOwner, ReplaySpace } from "./replay-memory.js";
import { type Deviation, ReplayQuestions, sameBytes } from "./replay-questions.js";

/** What a call was answered with this time. */
export interface Answer {
	readonly result: number | Failed;
	/** The ioctl's struct, if it was written. */
	readonly out: Uint8Array | undefined;
}

/** A call that is answered otherwise than it was. */
export interface Difference {
	readonly call: Call;
	readonly now: Answer;
	/** What the engine wrote elsewhere, and the recording has otherwise. */
	readonly deviations: readonly Deviation[];
	/** What the engine asked that it didn't ask then: a reason to answer otherwise. */
	readonly strays: readonly string[];
}

/** Interrupts go nowhere, and come from nowhere. */
const nobody: EventFd = { signal() {}, onSignal() {}, release() {} };

export class Replayer {
	readonly #machine: Machine;
	readonly #questions = new ReplayQuestions();
	readonly #spaces = new Map<Name, ReplaySpace>();
	readonly #backings = new Map<Name, ReplayBacking>();
	readonly #owners = new Map<Name, ReplayOwner>();
	readonly #files = new Map<Name, OpenFile>();
	readonly #mappings = new Map<Name, Mapping>();
	readonly #knowledge: () => Knowledge;
	/** Backings that the engine has met before the recording speaks of them. */
	readonly #early = new Set<Name>();
	/** Of the call that is under way: who installs files. */
	#nextFd = 1000;

	/** @param knowledge what is known of memory at any time, if the engine asks for what it didn't ask for when this was recorded */
	constructor(machine: Machine, knowledge: () => Knowledge) {
		this.#machine = machine;
		this.#knowledge = knowledge;
		machine.settle = () => {
			for (const file of this.#questions.closedNow()) this.#release(file);
		};
	}

	/** How many files are open now. */
	get openFiles(): number {
		return this.#files.size;
	}

	/** An open file of the recording; undefined for one that isn't open now. */
	fileOf(file: Name): OpenFile | undefined {
		return this.#files.get(file);
	}

	/** What an open file of the recording was opened as. */
	pathOf(file: Name): string {
		return this.#files.get(file)?.path ?? "?";
	}

	/** Does what an entry says. @returns what is different, if anything is @throws BadEntry */
	replay(entry: Entry): Difference | undefined {
		switch (entry.kind) {
			case "memory":
			case "backing":
			case "owner":
				this.#addName(entry);
				return undefined;
			case "open":
				return this.#compare(entry, () => this.#open(entry));
			case "store":
				return this.#compare(entry, () => this.#store(entry));
			case "ioctl":
				return this.#ioctl(entry);
			case "read":
			case "write":
				return this.#compare(entry, () => this.#transfer(entry));
			case "pread":
			case "pwrite":
				return this.#compare(entry, () => this.#access(entry));
			case "mmap":
				return this.#compare(entry, () => this.#mmap(entry));
			case "release":
				this.#questions.begin();
				this.#release(entry.what);
				return undefined;
			case "aside":
				this.#learnMemory(entry.asked);
				return undefined;
			default:
				return undefined;
		}
	}

	/** What devices have read and written, in that order: also what was read only for who watched then, and isn't read now. */
	#learnMemory(asked: readonly Question[]): void {
		for (let i = 0; i < asked.length; i++) {
			const question = asked[i];
			if (question.ask === "dma read") this.#backing(question.backing).learn(question.at, question.bytes);
			else if (question.ask === "dma write")
				this.#backing(question.backing).learn(question.at, question.bytes.subarray(0, question.done));
		}
	}

	#addName({ kind, id, name }: Named): void {
		const known = { memory: this.#spaces, backing: this.#backings, owner: this.#owners }[kind];
		if (kind === "backing" && this.#early.delete(id)) return;
		if (known.has(id)) throw new BadEntry(`there is a ${kind} ${id} already`);
		if (kind === "owner") this.#owners.set(id, new ReplayOwner(id, this.#questions));
		else if (kind === "backing") this.#backings.set(id, new ReplayBacking(id, name, this.#questions));
		else {
			const backingOf = (backing: Name) => this.#backingAtAnyTime(backing);
			this.#spaces.set(id, new ReplaySpace(id, name, this.#questions, backingOf, this.#knowledge));
		}
	}

	#backingAtAnyTime(id: Name): ReplayBacking {
		const name = this.#backings.has(id) ? undefined : this.#knowledge().nameOf(id);
		if (name !== undefined) {
			this.#early.add(id);
			this.#backings.set(id, new ReplayBacking(id, name, this.#questions));
		}
		return this.#backing(id);
	}

	#space(name: Name): ReplaySpace {
		return known(this.#spaces, name, "memory");
	}

	#backing(name: Name): ReplayBacking {
		return known(this.#backings, name, "backing");
	}

	#open({ path, answer }: Opened): number {
		const file = this.#machine.open(path, { capable: (capability) => this.#capable(capability) });
		if (file === undefined) throw new Errno("ENOENT", `this machine has no ${path}`);
		if (typeof answer !== "number") return 0;
		this.#addFile(answer, file);
		return answer;
	}

	#store({ path, text }: Stored): number {
		this.#machine.store(path, text);
		return 0;
	}

	#ioctl(call: Ioctl): Difference | undefined {
		const { in: before, argument } = call;
		const space = this.#space(call.memory);
		const struct: ReplayedStruct | undefined =
			before === undefined ? undefined : { space, address: argument, bytes: before.slice(), written: false };
		space.struct = struct;
		const caller = this.#callerOf(call);
		const difference = this.#compare(call, () => this.#file(call.file).ioctl(caller, call.number, argument), struct);
		space.struct = undefined;
		return difference;
	}

	#transfer({ kind, file, memory, at, length }: Transfer): number {
		const queue = this.#file(file);
		if (!isQueue(queue)) throw new BadEntry(`file ${file}, an open of ${queue.path}, is no queue`);
		return queue[kind](this.#space(memory), at, length);
	}

	#access({ kind, file, memory, at, length, position }: Access): number {
		const device = this.#file(file);
		if (!isPositioned(device)) throw new BadEntry(`file ${file}, an open of ${device.path}, has no positions`);
		const space = this.#space(memory);
		const call = kind === "pread" ? device.readAt : device.writeAt;
		return call.call(device, space, at, length, position);
	}

	#mmap({ file, offset, length, answer }: Mapped): number {
		const mapped = this.#file(file);
		if (!isMappable(mapped)) throw new BadEntry(`file ${file}, an open of ${mapped.path}, can't be mapped`);
		const mapping = mapped.mmap(offset, length);
		if (typeof answer !== "number") return 0;
		if (this.#mappings.has(answer)) throw new BadEntry(`there is a mapping ${answer} already`);
		this.#mappings.set(answer, mapping);
		return answer;
	}

	/** Makes a call, and says how its answer differs from the entry's. @param struct that it may write */
	#compare(call: Call, make: () => number, struct?: ReplayedStruct): Difference | undefined {
		const { asked } = call;
		this.#questions.begin(asked);
		const result = resultOf(make);
		const out = struct?.written ? struct.bytes : undefined;
		const deviations = this.#questions.deviations();
		const { strays } = this.#questions;
		if (asked !== undefined) {
			this.#questions.closeLate((file) => this.#release(file));
			this.#learnMemory(asked);
		}
		// Who looks at the machine after the call is no part of it.
		this.#questions.begin();
		const recorded = "out" in call ? call.out : undefined;
		if (deviations.length === 0 && sameResult(call.answer, result) && sameBytes(recorded, out)) return undefined;
		return { call, now: { result, out }, deviations, strays };
	}

	#addFile(name: Name, file: OpenFile): void {
		if (this.#files.has(name)) throw new BadEntry(`there is a file ${name} already`);
		this.#files.set(name, file);
	}

	#file(name: Name): OpenFile {
		const file = this.#files.get(name);
		if (file === undefined) throw new BadEntry(`file ${name} is used before it is opened, or after its release`);
		return file;
	}

	#release(name: Name): void {
		const released = this.#mappings.get(name) ?? this.#file(name);
		this.#mappings.delete(name);
		this.#files.delete(name);
		released.release();
	}

	#callerOf({ thread, memory, owner }: Ioctl): Caller {
		return {
			thread,
			memory: this.#space(memory),
			owner: known(this.#owners, owner, "owner"),
			capable: (capability) => this.#capable(capability),
			file: (fd) => this.#fileOf(fd),
			install: (file) => this.#install(file),
		};
	}

	#capable(capability: Capability): boolean {
		return this.#questions.take("capable", ({ of }) => of === capability)?.is ?? true;
	}

	#fileOf(fd: number): CallerFile | undefined {
		const asked = this.#questions.take("fd", (question) => question.fd === fd);
		if (asked === undefined) this.#questions.stray(`what fd ${fd} is`);
		if (asked === undefined || asked.is === "not open") return undefined;
		if (asked.is === "other") return { kind: "other" };
		if (asked.is === "eventfd") return { kind: "eventfd", open: () => nobody };
		if ("file" in asked.is) return { kind: "ours", file: this.#file(asked.is.file) };
		const name = asked.is.backing;
		const size = () => this.#questions.take("size", ({ backing }) => backing === name)?.is ?? 0;
		const mayWrite = () => this.#questions.take("may write", ({ backing }) => backing === name)?.is ?? true;
		return { kind: "shared-memory", backing: this.#backing(name), size, mayWrite };
	}

	#install(file: OpenFile): number {
		const asked = this.#questions.take("install", ({ path }) => path === file.path);
		if (asked === undefined) return this.#nextFd++;
		if (typeof asked.is === "number") {
			this.#addFile(asked.file, file);
			return asked.is;
		}
		if (asked.lost) file.release();
		// Its closing is noticed later, and is an entry of its own.
		else this.#addFile(asked.file, file);
		throw new Errno(asked.is.errno, asked.is.reason);
	}
}

function known<T>(things: ReadonlyMap<Name, T>, name: Name, what: string): T {
	const thing = things.get(name);
	if (thing === undefined) throw new BadEntry(`there is no ${what} ${name}`);
	return thing;
}

function resultOf(call: () => number): number | Failed {
	try {
		return call();
	} catch (error) {
		if (error instanceof Errno) return failedOf(error);
		throw error;
	}
}

/** Reasons may differ: they are for people. */
function sameResult(one: number | Failed, other: number | Failed): boolean {
	return typeof one === "number" || typeof other === "number" ? one === other : one.errno === other.errno;
}
