// A BAR, as reads and writes of a device's file meet it: which accesses of the bus they become, and what a program doesn't get to see.
// do_io_rw() in drivers/vfio/pci/vfio_pci_rdwr.c.
//
// It knows of the function no more than it takes, so that it can be where the function's model is: in another thread than VFIO.

import type { Endpoint } from "../devices/endpoint.js";
import { copyIn, copyOut, type Readable, type Writable } from "../memory/address-space.js";
import { Errno } from "../uapi/errno.js";
import type { Bar, PciHardware } from "./pci-config.js";

/** A program's memory is copied by so many bytes at a time. */
const PIECE = 4096;
/** A vector in an MSI-X table. */
export const MSIX_ENTRY_SIZE = 16;

/** @param at an offset in the BAR @param done how many bytes of the whole are before it */
type Access = (endpoint: Endpoint, at: number, size: number, done: number) => void;

/** What a BAR belongs to. */
export interface BarOwner {
	/** "0000:00:03.0" */
	readonly name: string;
	readonly hardware: Pick<PciHardware, "bars" | "msix">;
	/** Whether the function's memory can be accessed now. */
	readonly isMemoryEnabled: boolean;
	/** What answers; undefined where nothing does, which reads as all ones. */
	readonly endpoint: Endpoint | undefined;
}

/** In a BAR, in bytes: from `start` on, and not `end` any more. */
interface Stretch {
	readonly start: number;
	readonly end: number;
}

/** The MSI-X table, as far as a BAR has it: nothing of another. */
export function msixTableOf({ msix }: Pick<PciHardware, "msix">, bar: number): Stretch {
	if (msix?.bar !== bar) return { start: 0, end: 0 };
	return { start: msix.tableOffset, end: msix.tableOffset + msix.vectors * MSIX_ENTRY_SIZE };
}

export class BarWindow {
	readonly #owner: BarOwner;
	readonly #bar: Bar;
	/** The MSI-X table, which nobody but the kernel gets to see: it reads as all ones, and what is written is dropped. */
	readonly #hidden: Stretch;
	readonly #piece = new Uint8Array(PIECE);

	/** @param index of a BAR that the function has */
	constructor(owner: BarOwner, index: number) {
		this.#owner = owner;
		this.#bar = owner.hardware.bars.find((bar) => bar.index === index)!;
		this.#hidden = msixTableOf(owner.hardware, index);
	}

	/**
	 * Reads from an offset in the BAR on, as far as it reaches.
	 * @returns how many bytes were read
	 * @throws EFAULT, EIO where memory decoding is off
	 */
	read(memory: Writable, address: number, length: number, offset: number): number {
		return this.#eachPiece(offset, length, (at, size, done) => {
			const piece = this.#piece.subarray(0, size);
			this.#readPiece(at, piece);
			copyOut(memory, address + done, piece, `what is read of BAR ${this.#bar.index}`);
		});
	}

	/** The same, writing. */
	write(memory: Readable, address: number, length: number, offset: number): number {
		return this.#eachPiece(offset, length, (at, size, done) => {
			const piece = this.#piece.subarray(0, size);
			copyIn(memory, address + done, piece, `what is written to BAR ${this.#bar.index}`);
			this.#writePiece(at, piece);
		});
	}

	// --- What doesn't come from a program's call ---

	/** Bytes come over the bus. They are lost where memory decoding is off. */
	store(offset: number, from: Uint8Array): void {
		if (this.#isDecoded) this.#writePiece(offset, from);
	}

	/** Bytes are asked for over the bus. All ones where memory decoding is off. */
	load(offset: number, into: Uint8Array): void {
		if (this.#isDecoded) this.#readPiece(offset, into);
		else into.fill(0xff);
	}

	/**
	 * Goes through an access, as far as the BAR reaches.
	 * @param access gets an offset, how many bytes from there on, and how many are done
	 * @returns how many bytes there are
	 */
	#eachPiece(offset: number, length: number, access: (at: number, size: number, done: number) => void): number {
		const end = Math.min(offset + length, this.#bar.size);
		for (let at = offset; at < end; ) {
			const next = Math.min(end, at - (at % PIECE) + PIECE);
			access(at, next - at, at - offset);
			at = next;
		}
		return end - offset;
	}

	#readPiece(offset: number, into: Uint8Array): void {
		into.fill(0xff);
		this.#eachAccess(offset, into.length, (endpoint, at, size, done) => {
			const value = endpoint.readRegister(this.#bar.index, at, size);
			for (let i = 0; i < size; i++) into[done + i] = Number((value >> BigInt(8 * i)) & 0xffn);
		});
	}

	#writePiece(offset: number, from: Uint8Array): void {
		this.#eachAccess(offset, from.length, (endpoint, at, size, done) => {
			let value = 0n;
			for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(from[done + i]);
			endpoint.writeRegister(this.#bar.index, at, size, value);
		});
	}

	/** An access is made in aligned pieces of 8, 4, 2 and 1 bytes, and leaves out what is hidden. Nothing is asked where nothing is. */
	#eachAccess(offset: number, length: number, access: Access): void {
		const { endpoint } = this.#owner;
		for (let done = 0; done < length; ) {
			const at = offset + done;
			const { start, end } = this.#hidden;
			if (at >= start && at < end) {
				done += Math.min(length - done, end - at);
				continue;
			}
			this.#requireDecoding();
			const left = Math.min(length - done, at < start ? start - at : Number.POSITIVE_INFINITY);
			if (endpoint === undefined) {
				done += left;
				continue;
			}
			const size = [8, 4, 2].find((size) => left >= size && at % size === 0) ?? 1;
			access(endpoint, at, size, done);
			done += size;
		}
	}

	get #isDecoded(): boolean {
		return this.#bar.space === "io" || this.#owner.isMemoryEnabled;
	}

	#requireDecoding(): void {
		if (!this.#isDecoded)
			throw new Errno(
				"EIO",
				`BAR ${this.#bar.index} of ${this.#owner.name} answers nothing: Memory Space Enable is off`,
				"memory-enable",
			);
	}
}
