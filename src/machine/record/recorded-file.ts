// Open files as a recording sees them: each call goes to the engine's own file, and is written down with its answer.

import type { Caller } from "../../files/caller.js";
import type { MappableFile, Mapping, OpenFile, PositionedFile, ReadableFile } from "../../files/open-file.js";
import type { AddressSpace } from "../../memory/address-space.js";
import { commandOf } from "../../trace/commands.js";
import type { Ioctl, Name } from "../../trace/record.js";
import { answerOf, failedOf, noting } from "./noting.js";
import { type RecordedForm, RecordingCaller } from "./recording-caller.js";
import type { RecordingMemories } from "./recording-memory.js";

/** While it is made. */
type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

export class RecordedFile implements RecordedForm {
	readonly id: Name;
	readonly inner: OpenFile;
	protected readonly memories: RecordingMemories;
	#isReleased = false;

	constructor(memories: RecordingMemories, inner: OpenFile) {
		this.id = memories.questions.add(inner);
		this.inner = inner;
		this.memories = memories;
	}

	get path(): string {
		return this.inner.path;
	}

	ioctl(caller: Caller, command: number, argument: number): number {
		const { questions } = this.memories;
		const recording = new RecordingCaller(this.memories, caller, this.#recorded);
		questions.begin();
		const { time, struct } = questions;
		struct.begin(recording.memory, argument, this.#sizeOf(command));
		const result = answerOf(questions, () => this.inner.ioctl(recording, command, argument));
		const asked = questions.end();
		const { before, after } = struct;
		const entry: Mutable<Ioctl> = {
			kind: "ioctl",
			time,
			took: questions.time - time,
			thread: caller.thread,
			file: this.id,
			memory: recording.memory.id,
			owner: recording.owner.id,
			number: command,
			argument,
			answer: typeof result === "number" ? result : failedOf(result),
		};
		if (before !== undefined) entry.in = before;
		if (after !== undefined) entry.out = after;
		if (asked !== undefined) entry.asked = asked;
		questions.write(entry);
		if (typeof result !== "number") throw result;
		return result;
	}

	readonly #recorded = (file: OpenFile) => recordedFile(this.memories, file);
	/** By an ioctl's number: how long its struct is, in bytes; 0 for none, or nobody knows. */
	readonly #sizes = new Map<number, number>();

	#sizeOf(command: number): number {
		const known = this.#sizes.get(command);
		if (known !== undefined) return known;
		const description = commandOf(this.path, command);
		const size = description !== undefined && "size" in description ? description.size : 0;
		// A program may try all numbers that there are.
		if (description !== undefined) this.#sizes.set(command, size);
		return size;
	}

	get isReleased(): boolean {
		return this.#isReleased;
	}

	release(): void {
		this.#isReleased = true;
		this.memories.questions.released(this.id);
		this.inner.release();
	}
}

export class RecordedQueue extends RecordedFile implements ReadableFile {
	declare readonly inner: ReadableFile;

	get readable(): boolean {
		return this.inner.readable;
	}

	get writable(): boolean {
		return this.inner.writable;
	}

	get onReadableChange(): (() => void) | undefined {
		return this.inner.onReadableChange;
	}

	set onReadableChange(listener: (() => void) | undefined) {
		this.inner.onReadableChange = listener;
	}

	read(memory: AddressSpace, address: number, length: number): number {
		return this.#transfer("read", memory, address, length);
	}

	write(memory: AddressSpace, address: number, length: number): number {
		return this.#transfer("write", memory, address, length);
	}

	#transfer(kind: "read" | "write", memory: AddressSpace, address: number, length: number): number {
		const space = this.memories.space(memory);
		const what = { kind, file: this.id, memory: space.id, at: address, length };
		return noting(this.memories.questions, what, () => this.inner[kind](space, address, length));
	}
}

export class RecordedMappableFile extends RecordedFile implements MappableFile {
	declare readonly inner: MappableFile;

	mmap(offset: number, length: number): Mapping {
		const { questions } = this.memories;
		let mapping!: Mapping;
		const id = noting(this.memories.questions, { kind: "mmap", file: this.id, offset, length }, () => {
			mapping = this.inner.mmap(offset, length);
			return questions.add(mapping);
		});
		return {
			...mapping,
			release: () => {
				questions.released(id);
				mapping.release();
			},
		};
	}
}

/** A file of a device: read and written at positions, and asked for mappings. */
export class RecordedDevice extends RecordedMappableFile implements PositionedFile {
	declare readonly inner: PositionedFile & MappableFile;

	readAt(memory: AddressSpace, address: number, length: number, position: number): number {
		const space = this.memories.space(memory);
		const what = { kind: "pread", file: this.id, memory: space.id, at: address, length, position } as const;
		return noting(this.memories.questions, what, () => this.inner.readAt(space, address, length, position));
	}

	writeAt(memory: AddressSpace, address: number, length: number, position: number): number {
		const space = this.memories.space(memory);
		const what = { kind: "pwrite", file: this.id, memory: space.id, at: address, length, position } as const;
		return noting(this.memories.questions, what, () => this.inner.writeAt(space, address, length, position));
	}

	placeAt(position: number): string {
		return this.inner.placeAt(position);
	}
}

/** The recorded form of a file of the engine's. */
export function recordedFile(memories: RecordingMemories, file: OpenFile): RecordedFile {
	if ("readable" in file) return new RecordedQueue(memories, file);
	if ("readAt" in file) return new RecordedDevice(memories, file);
	return "mmap" in file ? new RecordedMappableFile(memories, file) : new RecordedFile(memories, file);
}
