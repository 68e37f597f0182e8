// A BAR as memory that other functions reach over the bus, peer to peer: what their DMA goes to when it is mapped for them.

import { type Backing, PAGE_SIZE } from "../memory/address-space.js";
import type { Bar } from "./pci-config.js";
import type { Registers } from "./registers.js";

/** Whose BAR it is. */
interface Owner {
	/** "0000:00:03.0" */
	readonly name: string;
	readonly registers: Registers;
}

export class BarMemory implements Backing {
	readonly isDeviceMemory = true;
	readonly name: string;
	/** How many pages it takes in physical memory: all of the last one, though the BAR may be smaller. */
	readonly pages: number;
	readonly #owner: Owner;
	readonly #bar: Bar;

	/** @param bar of memory, not of I/O ports */
	constructor(owner: Owner, bar: Bar) {
		this.name = `BAR ${bar.index} of ${owner.name}`;
		this.pages = Math.ceil(bar.size / PAGE_SIZE);
		this.#owner = owner;
		this.#bar = bar;
	}

	/** The first page frame. */
	get frame(): number {
		return Number(this.#bar.address / BigInt(PAGE_SIZE));
	}

	read(at: number, into: Uint8Array): number {
		const length = this.#lengthFrom(at, into.length);
		if (length < into.length) into.fill(0xff, length);
		if (length === 0) return into.length;
		const piece = length === into.length ? into : into.subarray(0, length);
		return this.#owner.registers.load(this.#bar.index, at, piece) === length ? into.length : 0;
	}

	/** What is written is on its way then. */
	write(at: number, from: Uint8Array): number {
		const length = this.#lengthFrom(at, from.length);
		if (length > 0) this.#owner.registers.store(this.#bar.index, at, from.subarray(0, length));
		return from.length;
	}

	/** How many bytes of some are in the BAR. */
	#lengthFrom(at: number, length: number): number {
		return Math.max(0, Math.min(length, this.#bar.size - at));
	}
}
