// A submission queue entry, and what is to be said of it when it completes.
// NVM Express Base Specification 1.4, 4.2 "Submission Queue Entry - Command Format".

import type { SubmissionQueue } from "./queues.js";
import { Status } from "./status.js";

export const COMMAND_SIZE = 64;

/** What a handler returns when the command completes later. */
export const PENDING = -1;

/** Of an error that isn't about one field of the command. */
export const NO_LOCATION = 0xffff;

/** All commands, one after the other, are read through one of these. */
export class Command {
	/** Several entries, of which it is one. */
	readonly #view: DataView;
	#at = 0;
	/** Where it came from. */
	queue!: SubmissionQueue;
	/** Dword 0 of the completion queue entry. */
	result = 0;
	/** Why it failed: for people. */
	reason = "";
	/** Parameter Error Location: the byte of the command in bits 7:0, the bit in it in 10:8. */
	errorLocation = NO_LOCATION;

	constructor(entries: Uint8Array) {
		this.#view = new DataView(entries.buffer, entries.byteOffset, entries.length);
	}

	/** Turns to the entry at an index. */
	begin(queue: SubmissionQueue, index: number): void {
		this.queue = queue;
		this.#at = index * COMMAND_SIZE;
		this.result = 0;
	}

	get opcode(): number {
		return this.#view.getUint8(this.#at);
	}

	/** FUSE */
	get fusedOperation(): number {
		return this.#view.getUint8(this.#at + 1) & 3;
	}

	/** PSDT: 0 for PRPs, 1 and 2 for SGLs. */
	get transferKind(): number {
		return this.#view.getUint8(this.#at + 1) >>> 6;
	}

	/** CID */
	get id(): number {
		return this.#view.getUint16(this.#at + 2, true);
	}

	/** NSID */
	get namespaceId(): number {
		return this.#view.getUint32(this.#at + 4, true);
	}

	/** A dword of the entry, by its number. */
	dword(number: number): number {
		return this.#view.getUint32(this.#at + 4 * number, true);
	}

	/** Of an address in two dwords: the page of 4096 bytes that it is in. */
	page(number: number): number {
		return this.dword(number + 1) * 2 ** 20 + (this.dword(number) >>> 12);
	}

	/** And where in the page. */
	offset(number: number): number {
		return this.dword(number) & 0xfff;
	}

	/** A 64-bit number in two dwords; above 2^53 it is inexact. */
	quad(number: number): number {
		return this.dword(number + 1) * 2 ** 32 + this.dword(number);
	}

	/** SGL1, the descriptor in the entry: copies its 16 bytes. */
	copyDescriptor(into: DataView): void {
		for (let i = 0; i < 4; i++) into.setUint32(4 * i, this.dword(DataPointer.PRP1 + i), true);
	}

	/**
	 * It is to end with an error.
	 * @param reason for people
	 * @param dword the field that is wrong, where it is one: the number of its dword
	 * @param bit the first bit of the field in that dword
	 * @returns the status
	 */
	fail(status: number, reason: string, dword?: number, bit = 0): number {
		this.reason = reason;
		this.errorLocation = dword === undefined ? NO_LOCATION : (4 * dword + (bit >>> 3)) | ((bit & 7) << 8);
		return status;
	}

	/** The same for Invalid Field in Command, which most errors are. */
	invalidField(reason: string, dword: number, bit = 0): number {
		return this.fail(Status.INVALID_FIELD, reason, dword, bit);
	}
}

/** The dwords of the data pointer. */
export const DataPointer = { PRP1: 6, PRP2: 8 } as const;
/** The other dwords that errors are about. */
export const NSID_DWORD = 1;
