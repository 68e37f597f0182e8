// Makes the calls of a recording again, on a fresh machine and with no program, and compares the answers.

import type { Caller, CallerFile, Capability } from "../../files/caller.js";
import type { EventFd } from "../../files/event-fd.js";
import { isMappable, isPositioned, isQueue, type Mapping, type OpenFile } from "../../files/open-file.js";
import {
	type Access,
	type Failed,
	fromHex,
	type Ioctl,
	type Mapped,
	type Name,
	type Opened,
	type Question,
	type RecordLine,
	type Stored,
	type Transfer,
	toHex,
} from "../../trace/record.js";
import { Errno } from "../../uapi/errno.js";
import type { Machine } from "../machine.js";
import { ReplayBacking, type ReplayedStruct, ReplayOwner, ReplaySpace } from "./replay-memory.js";
import { type Deviation, ReplayQuestions } from "./replay-questions.js";
import { BadLine } from "./schema.js";

/** What a call was answered with this time. */
export interface Answer {
	readonly result: number | Failed;
	/** The ioctl's struct, if it was written. */
	readonly out: string | undefined;
}

/** A call that is answered otherwise than it was. */
export interface Difference {
	readonly line: RecordLine;
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
	/** Of the call that is under way: who installs files. */
	#nextFd = 1000;

	constructor(machine: Machine) {
		this.#machine = machine;
		machine.settle = () => {
			for (const file of this.#questions.closedNow()) this.#release(file);
		};
	}

	/** How many files are open now. */
	get openFiles(): number {
		return this.#files.size;
	}

	/** What an open file of the recording was opened as. */
	pathOf(file: Name): string {
		return this.#files.get(file)?.path ?? "?";
	}

	/**
	 * Tells what lies behind pages that the engine may ask for earlier than it did when this was recorded.
	 * @throws BadLine
	 */
	learn(line: RecordLine): void {
		if (line.kind === "memory" || line.kind === "backing" || line.kind === "owner") this.#addName(line);
		if (!("asked" in line)) return;
		for (const question of line.asked ?? [])
			if (question.ask === "pages" && !("errno" in question.is))
				this.#space(question.memory).learn(question.page, question.is);
	}

	/** Does what a line says. @returns what is different, if anything is @throws BadLine */
	replay(line: RecordLine): Difference | undefined {
		switch (line.kind) {
			case "open":
				return this.#compare(line, line.asked, () => this.#open(line));
			case "store":
				return this.#compare(line, line.asked, () => this.#store(line));
			case "ioctl":
				return this.#ioctl(line);
			case "read":
			case "write":
				return this.#compare(line, line.asked, () => this.#transfer(line));
			case "pread":
			case "pwrite":
				return this.#compare(line, line.asked, () => this.#access(line));
			case "mmap":
				return this.#compare(line, [], () => this.#mmap(line));
			case "release":
				this.#questions.begin();
				this.#release(line.what);
				return undefined;
			case "aside":
				this.#learnMemory(line.asked);
				return undefined;
			default:
				return undefined;
		}
	}

	/** What devices have read and written, in that order: also what was read only for who watched then, and isn't read now. */
	#learnMemory(asked: readonly Question[]): void {
		for (const question of asked)
			if (question.ask === "dma read" || question.ask === "dma write") {
				const bytes = fromHex(question.bytes);
				const done = question.ask === "dma write" ? question.done : undefined;
				this.#backing(question.backing).learn(Number(question.at), bytes.subarray(0, done));
			}
	}

	#addName({ kind, id, name }: { kind: "memory" | "backing" | "owner"; id: Name; name: string }): void {
		const known = { memory: this.#spaces, backing: this.#backings, owner: this.#owners }[kind];
		if (known.has(id)) throw new BadLine(`there is a ${kind} ${id} already`);
		if (kind === "owner") this.#owners.set(id, new ReplayOwner(id, this.#questions));
		else if (kind === "backing") this.#backings.set(id, new ReplayBacking(id, name, this.#questions));
		else this.#spaces.set(id, new ReplaySpace(id, name, this.#questions, (backing) => this.#backing(backing)));
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

	#ioctl(line: Ioctl): Difference | undefined {
		const space = this.#space(line.memory);
		const struct: ReplayedStruct | undefined =
			line.in === undefined
				? undefined
				: { space, address: Number(line.argument), bytes: fromHex(line.in), written: false };
		space.struct = struct;
		const outOf = () => (struct?.written ? toHex(struct.bytes) : undefined);
		const call = () => this.#file(line.file).ioctl(this.#callerOf(line), Number(line.number), Number(line.argument));
		const difference = this.#compare(line, line.asked, call, outOf);
		space.struct = undefined;
		return difference;
	}

	#transfer({ kind, file, memory, at, length }: Transfer): number {
		const queue = this.#file(file);
		if (!isQueue(queue)) throw new BadLine(`file ${file}, an open of ${queue.path}, is no queue`);
		return queue[kind](this.#space(memory), Number(at), length);
	}

	#access({ kind, file, memory, at, length, position }: Access): number {
		const device = this.#file(file);
		if (!isPositioned(device)) throw new BadLine(`file ${file}, an open of ${device.path}, has no positions`);
		const space = this.#space(memory);
		const call = kind === "pread" ? device.readAt : device.writeAt;
		return call.call(device, space, Number(at), length, Number(position));
	}

	#mmap({ file, offset, length, answer }: Mapped): number {
		const mapped = this.#file(file);
		if (!isMappable(mapped)) throw new BadLine(`file ${file}, an open of ${mapped.path}, can't be mapped`);
		const mapping = mapped.mmap(Number(offset), length);
		if (typeof answer !== "number") return 0;
		if (this.#mappings.has(answer)) throw new BadLine(`there is a mapping ${answer} already`);
		this.#mappings.set(answer, mapping);
		return answer;
	}

	/** Makes a call, and says how its answer differs from the line's. */
	#compare(
		line: Extract<RecordLine, { answer: unknown }>,
		asked: readonly Question[] | undefined,
		call: () => number,
		outOf: () => string | undefined = () => undefined,
	): Difference | undefined {
		this.#questions.begin(asked);
		const now: Answer = { result: resultOf(call), out: outOf() };
		const deviations = this.#questions.deviations();
		const { strays } = this.#questions;
		for (const file of this.#questions.closedLate()) this.#release(file);
		this.#learnMemory(asked ?? []);
		// Who looks at the machine after the call is no part of it.
		this.#questions.begin();
		const then: Answer = { result: line.answer, out: "out" in line ? line.out : undefined };
		if (deviations.length === 0 && sameResult(then.result, now.result) && then.out === now.out) return undefined;
		return { line, now, deviations, strays };
	}

	#addFile(name: Name, file: OpenFile): void {
		if (this.#files.has(name)) throw new BadLine(`there is a file ${name} already`);
		this.#files.set(name, file);
	}

	#file(name: Name): OpenFile {
		const file = this.#files.get(name);
		if (file === undefined) throw new BadLine(`file ${name} is used before it is opened, or after its release`);
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
		// Its closing is noticed later, and is a line of its own.
		else this.#addFile(asked.file, file);
		throw new Errno(asked.is.errno, asked.is.reason);
	}
}

function known<T>(things: ReadonlyMap<Name, T>, name: Name, what: string): T {
	const thing = things.get(name);
	if (thing === undefined) throw new BadLine(`there is no ${what} ${name}`);
	return thing;
}

function resultOf(call: () => number): number | Failed {
	try {
		return call();
	} catch (error) {
		if (error instanceof Errno) return { errno: error.code, reason: error.reason };
		throw error;
	}
}

/** Reasons may differ: they are for people. */
function sameResult(one: number | Failed, other: number | Failed): boolean {
	return typeof one === "number" || typeof other === "number" ? one === other : one.errno === other.errno;
}
