// Scatter Gather Lists: where data is, in descriptors of any length, in segments.
// NVM Express Base Specification 1.4, 4.4 "Scatter Gather List (SGL)".

import { type Command, DataPointer } from "./command.js";
import { type Extents, NOWHERE } from "./extents.js";
import type { HostMemory } from "./host-memory.js";
import { Status } from "./status.js";

const DESCRIPTOR = 16;
/** Descriptors that are read at a time. */
const WINDOW = 256;
/** The most that one command can have: each may be a transfer of its own, and a controller does other work as well. */
export const MOST_DESCRIPTORS = 4096;

/** SGL Descriptor Type, in the upper half of a descriptor's last byte. */
export const SglType = { DATA_BLOCK: 0, BIT_BUCKET: 1, SEGMENT: 2, LAST_SEGMENT: 3 } as const;

export class SglReader {
	readonly #memory: HostMemory;
	readonly #window = new Uint8Array(WINDOW * DESCRIPTOR);
	readonly #view = new DataView(this.#window.buffer);
	/** The one in the command, and later the one that leads to the next segment. */
	readonly #link = new DataView(new ArrayBuffer(DESCRIPTOR));
	#count = 0;

	constructor(memory: HostMemory) {
		this.#memory = memory;
	}

	/**
	 * Finds the stretches of a command's data.
	 * @param length of the data in bytes
	 * @param isWrite whether the host's memory is the source
	 * @returns a status
	 */
	read(command: Command, length: number, isWrite: boolean, extents: Extents): number {
		this.#count = 0;
		command.copyDescriptor(this.#link);
		let status: number;
		if (isSegment(typeOf(this.#link, 0))) status = this.#readSegments(command, length, isWrite, extents);
		else status = this.#take(command, this.#link, 0, length, isWrite, extents);
		if (status === Status.SUCCESS && extents.length !== length)
			return this.#fail(
				command,
				Status.DATA_SGL_LENGTH_INVALID,
				`its SGL has ${extents.length} bytes, and the data ${length}`,
			);
		return status;
	}

	/** From the segment that the link leads to, to the last one. */
	#readSegments(command: Command, length: number, isWrite: boolean, extents: Extents): number {
		for (;;) {
			const isLast = typeOf(this.#link, 0) === SglType.LAST_SEGMENT;
			const bytes = this.#link.getUint32(8, true);
			if (bytes === 0 || bytes % DESCRIPTOR !== 0)
				return this.#fail(
					command,
					Status.INVALID_SGL_SEGMENT,
					`a segment of its SGL has ${bytes} bytes: it must be a multiple of 16, and not 0`,
				);
			const low = this.#link.getUint32(0, true);
			const page = this.#link.getUint32(4, true) * 2 ** 20 + (low >>> 12);
			const status = this.#readSegment(command, page, low & 0xfff, bytes, isLast, length, isWrite, extents);
			if (status !== Status.SUCCESS || isLast) return status;
		}
	}

	/** Takes a segment's descriptors; the last one of one that isn't the last segment becomes the link. */
	#readSegment(
		command: Command,
		page: number,
		offset: number,
		bytes: number,
		isLast: boolean,
		length: number,
		isWrite: boolean,
		extents: Extents,
	): number {
		for (let done = 0; done < bytes; ) {
			const size = Math.min(bytes - done, this.#window.length);
			const at = offset + done;
			const fault = this.#memory.read(page + Math.floor(at / 4096), at % 4096, this.#window.subarray(0, size));
			if (fault !== undefined) return command.fail(Status.DATA_TRANSFER_ERROR, `of its SGL: ${fault.message}`);
			for (let i = 0; i < size; i += DESCRIPTOR) {
				const isAtEnd = done + i + DESCRIPTOR === bytes;
				if (!isSegment(typeOf(this.#view, i))) {
					const status = this.#take(command, this.#view, i, length, isWrite, extents);
					if (status !== Status.SUCCESS) return status;
					continue;
				}
				if (isLast)
					return this.#fail(command, Status.INVALID_SGL_SEGMENT, "the last segment of its SGL leads to another one");
				if (!isAtEnd)
					return this.#fail(
						command,
						Status.INVALID_NUMBER_OF_SGL_DESCRIPTORS,
						`descriptor ${(done + i) / DESCRIPTOR} of a segment of its SGL leads to another segment, and ${bytes / DESCRIPTOR - (done + i) / DESCRIPTOR - 1} come after it`,
					);
				for (let word = 0; word < DESCRIPTOR; word += 4)
					this.#link.setUint32(word, this.#view.getUint32(i + word, true), true);
				return this.#checkCount(command);
			}
			done += size;
		}
		if (isLast) return Status.SUCCESS;
		return this.#fail(
			command,
			Status.INVALID_SGL_SEGMENT,
			"a segment of its SGL isn't the last one, and leads to no other",
		);
	}

	/** A descriptor of data. */
	#take(command: Command, view: DataView, at: number, length: number, isWrite: boolean, extents: Extents): number {
		const low = view.getUint32(at, true);
		const size = view.getUint32(at + 8, true);
		const kind = view.getUint8(at + 15);
		const type = kind >>> 4;
		if (kind & 15 || (type !== SglType.DATA_BLOCK && type !== SglType.BIT_BUCKET))
			return this.#fail(
				command,
				Status.SGL_TYPE_INVALID,
				`a descriptor of its SGL has the type ${type} and subtype ${kind & 15}: here 0 to 3 and an address are served`,
			);
		const status = this.#checkCount(command);
		if (status !== Status.SUCCESS) return status;
		// A bucket has nothing to give.
		const given = type === SglType.BIT_BUCKET && isWrite ? 0 : size;
		if (extents.length + given > length)
			return this.#fail(
				command,
				Status.DATA_SGL_LENGTH_INVALID,
				`its SGL has ${extents.length + given} bytes or more, and the data ${length}`,
			);
		if (given === 0) return Status.SUCCESS;
		const page = type === SglType.BIT_BUCKET ? NOWHERE : view.getUint32(at + 4, true) * 2 ** 20 + (low >>> 12);
		extents.add(page, low & 0xfff, given);
		return Status.SUCCESS;
	}

	#checkCount(command: Command): number {
		if (++this.#count <= MOST_DESCRIPTORS) return Status.SUCCESS;
		return this.#fail(
			command,
			Status.INVALID_NUMBER_OF_SGL_DESCRIPTORS,
			`its SGL has more than ${MOST_DESCRIPTORS} descriptors, which is what this controller takes`,
		);
	}

	#fail(command: Command, status: number, reason: string): number {
		return command.fail(status, reason, DataPointer.PRP1);
	}
}

function typeOf(view: DataView, at: number): number {
	return view.getUint8(at + 15) >>> 4;
}

function isSegment(type: number): boolean {
	return type === SglType.SEGMENT || type === SglType.LAST_SEGMENT;
}
