// Open files as a recording sees them: each call goes to the engine's own file, and is written down with its answer.

import type { Caller } from "../../files/caller.js";
import type { MappableFile, Mapping, OpenFile, PositionedFile, ReadableFile } from "../../files/open-file.js";
import type { AddressSpace } from "../../memory/address-space.js";
import { commandOf } from "../../trace/commands.js";
import { type Failed, type Name, type Question, toHex } from "../../trace/record.js";
import { Errno, hex } from "../../uapi/errno.js";
import { type RecordedForm, RecordingCaller } from "./recording-caller.js";
import type { RecordingMemories, Struct } from "./recording-memory.js";

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
		const recording = new RecordingCaller(this.memories, caller, (file) => recordedFile(this.memories, file));
		const description = commandOf(this.path, command);
		const struct = this.#read(caller, recording, argument, description && "size" in description ? description.size : 0);
		const before = struct && toHex(struct.bytes);
		return this.noting(
			() => this.inner.ioctl(recording, command, argument),
			(answer, asked) => {
				this.memories.questions.write({
					kind: "ioctl",
					thread: caller.thread,
					file: this.id,
					memory: recording.memory.id,
					owner: recording.owner.id,
					number: hex(command),
					...(description && { command: description.name }),
					argument: hex(argument),
					...(before !== undefined && { in: before }),
					...asked,
					answer,
					...(struct?.written && { out: toHex(struct.bytes) }),
				});
			},
		);
	}

	get isReleased(): boolean {
		return this.#isReleased;
	}

	release(): void {
		this.#isReleased = true;
		this.memories.questions.released(this.id);
		this.inner.release();
	}

	/** Makes a call, and notes what came of it, also when that is an error. */
	protected noting(
		call: () => number,
		write: (answer: number | Failed, asked: { asked?: readonly Question[] }) => void,
	): number {
		const { result, asked } = this.memories.questions.during(() => this.#answerOf(call));
		const failed = typeof result === "number" ? result : { errno: result.code, reason: result.reason };
		write(failed, asked.length > 0 ? { asked } : {});
		if (typeof result === "number") return result;
		throw result;
	}

	/** From then on the call's struct is none of anybody's questions. */
	#answerOf(call: () => number): number | Errno {
		try {
			return answerOf(call);
		} finally {
			this.memories.struct = undefined;
		}
	}

	/** The caller's struct, as much of it as can be read; from now on the call's questions about it need no note. */
	#read(caller: Caller, recording: RecordingCaller, address: number, size: number): Struct | undefined {
		this.memories.struct = undefined;
		if (size === 0) return undefined;
		const bytes = new Uint8Array(size);
		const length = caller.memory.read(address, bytes);
		if (length === 0) return undefined;
		const struct = { space: recording.memory, address, bytes: bytes.subarray(0, length), written: false };
		this.memories.struct = struct;
		return struct;
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
		return this.noting(
			() => this.inner[kind](space, address, length),
			(answer, asked) => {
				const place = { memory: space.id, at: hex(address), length };
				this.memories.questions.write({ kind, file: this.id, ...place, ...asked, answer });
			},
		);
	}
}

export class RecordedMappableFile extends RecordedFile implements MappableFile {
	declare readonly inner: MappableFile;

	mmap(offset: number, length: number): Mapping {
		const { questions } = this.memories;
		const call = { kind: "mmap", file: this.id, offset: hex(offset), length } as const;
		const mapping = answerOf(() => this.inner.mmap(offset, length));
		if (mapping instanceof Errno) {
			questions.write({ ...call, answer: { errno: mapping.code, reason: mapping.reason } });
			throw mapping;
		}
		const id = questions.add(mapping);
		questions.write({ ...call, answer: id });
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
		const call = () => this.inner.readAt(space, address, length, position);
		return this.#access("pread", space.id, address, length, position, call);
	}

	writeAt(memory: AddressSpace, address: number, length: number, position: number): number {
		const space = this.memories.space(memory);
		const call = () => this.inner.writeAt(space, address, length, position);
		return this.#access("pwrite", space.id, address, length, position, call);
	}

	placeAt(position: number): string {
		return this.inner.placeAt(position);
	}

	#access(
		kind: "pread" | "pwrite",
		memory: Name,
		at: number,
		length: number,
		position: number,
		call: () => number,
	): number {
		const place = { memory, at: hex(at), length, position: hex(position) };
		return this.noting(call, (answer, asked) =>
			this.memories.questions.write({ kind, file: this.id, ...place, ...asked, answer }),
		);
	}
}

/** The recorded form of a file of the engine's. */
export function recordedFile(memories: RecordingMemories, file: OpenFile): RecordedFile {
	if ("readable" in file) return new RecordedQueue(memories, file);
	if ("readAt" in file) return new RecordedDevice(memories, file);
	return "mmap" in file ? new RecordedMappableFile(memories, file) : new RecordedFile(memories, file);
}

/** What a call returns, or the Errno that it throws. Anything else is a bug, or a Later, of which nothing is noted; it goes on. */
function answerOf<T>(call: () => T): T | Errno {
	try {
		return call();
	} catch (error) {
		if (error instanceof Errno) return error;
		throw error;
	}
}
