// A bitmap in the caller's memory with one bit for each page of a range of IOVA. drivers/iommu/iommufd/iova_bitmap.c.

import { allocation } from "../faults/faults.js";
import type { AddressSpace } from "../memory/address-space.js";
import { hex } from "../uapi/errno.js";

/** Bytes of the caller's bitmap that are worked on at a time. */
const WINDOW = 64 * 1024;

export class IovaBitmap {
	readonly #memory: AddressSpace;
	readonly #address: number;
	/** Bytes that the caller's bitmap has, as its range and page size say. */
	readonly #size: number;
	readonly #window = new Uint8Array(WINDOW);
	/** First byte of the window in the bitmap, and how many were read; 0 when there is no window. */
	#start = 0;
	#length = 0;
	/** Bits that were to be set where the caller's memory can't be had, and the first such place, in bytes. */
	#lostBits = 0;
	#lostAt: number | undefined;

	/**
	 * @param address where the bitmap is, in bytes
	 * @param bits how many bits it has
	 */
	constructor(memory: AddressSpace, address: number, bits: number) {
		allocation("a bitmap of IOVAs");
		allocation("a page of a bitmap of IOVAs", "fail_page_alloc");
		this.#memory = memory;
		this.#address = address;
		this.#size = Math.ceil(bits / 8);
	}

	/**
	 * Sets bits first..last; those beyond the bitmap's last byte are left out. Memory that can't be written is passed over,
	 * as in Linux; `lost` says so.
	 */
	set(first: number, last: number): void {
		const end = Math.min(last, this.#size * 8 - 1);
		for (let bit = first; bit <= end; ) {
			const byte = Math.floor(bit / 8);
			if (!this.#moveTo(byte)) {
				this.#lose(byte, end - bit + 1);
				return;
			}
			const stop = Math.min(end, (this.#start + this.#length) * 8 - 1);
			setBits(this.#window, bit - this.#start * 8, stop - this.#start * 8);
			bit = stop + 1;
		}
	}

	/** Writes what has been set to the caller. */
	flush(): void {
		const window = this.#window.subarray(0, this.#length);
		const written = this.#length > 0 ? this.#memory.write(this.#address + this.#start, window) : 0;
		if (written < this.#length) this.#lose(this.#start + written, countBits(window.subarray(written)));
		this.#length = 0;
	}

	/** What was set and hasn't reached the caller, in words; undefined when all has. */
	get lost(): string | undefined {
		if (this.#lostAt === undefined) return undefined;
		const bits = this.#lostBits === 1 ? "1 bit is" : `${this.#lostBits} bits are`;
		return `${bits} lost: the bitmap can't be written from ${hex(this.#address + this.#lostAt)} on`;
	}

	#lose(byte: number, bits: number): void {
		if (bits === 0) return;
		this.#lostBits += bits;
		this.#lostAt = Math.min(byte, this.#lostAt ?? byte);
	}

	#moveTo(byte: number): boolean {
		if (byte >= this.#start && byte < this.#start + this.#length) return true;
		this.flush();
		this.#start = byte;
		this.#length = this.#memory.read(
			this.#address + byte,
			this.#window.subarray(0, Math.min(WINDOW, this.#size - byte)),
		);
		return this.#length > 0;
	}
}

function countBits(bytes: Uint8Array): number {
	let count = 0;
	for (let byte of bytes) for (; byte !== 0; byte &= byte - 1) count++;
	return count;
}

function setBits(bytes: Uint8Array, first: number, last: number): void {
	const from = first >>> 3;
	const to = last >>> 3;
	const head = (0xff << (first & 7)) & 0xff;
	const tail = 0xff >>> (7 - (last & 7));
	if (from === to) {
		bytes[from] |= head & tail;
		return;
	}
	bytes[from] |= head;
	bytes.fill(0xff, from + 1, to);
	bytes[to] |= tail;
}
