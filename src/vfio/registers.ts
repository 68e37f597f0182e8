// A function's registers, as VFIO meets them. Where their model is doesn't matter to it: here, or in a thread of its own.

import type { Endpoint } from "../devices/endpoint.js";
import type { WorkList } from "../devices/work-list.js";
import type { DeviceMemory } from "../files/open-file.js";
import type { AddressSpace } from "../memory/address-space.js";
import { type BarOwner, BarWindow } from "./bar-window.js";

export interface Registers {
	/**
	 * Reads from an offset in a BAR on, as far as it reaches, to a program's memory.
	 * @param bar one that the function has; the offset lies in it
	 * @returns how many bytes were read
	 * @throws EFAULT, EIO where memory decoding is off, Later
	 */
	read(bar: number, memory: AddressSpace, address: number, length: number, offset: number): number;
	/** The same, writing. */
	write(bar: number, memory: AddressSpace, address: number, length: number, offset: number): number;
	/** Bytes come over the bus, and nobody waits for what becomes of them: they are lost where memory decoding is off. */
	store(bar: number, offset: number, from: Uint8Array): void;
	/**
	 * Bytes are asked for over the bus. All ones where memory decoding is off.
	 * @returns how many there are: 0 where they can't be had at this moment
	 */
	load(bar: number, offset: number, into: Uint8Array): number;
	/** Whether programs can map them. */
	readonly canBeMapped: boolean;
	/** What mmap(2) of a BAR gives, one that the function has. @throws Later */
	map(bar: number): DeviceMemory;
	/** Function Level Reset. @throws Later as long as it isn't over */
	reset(): void;
	/** The same where nobody can wait. Nothing that the function had begun has an effect afterwards. */
	resetAtOnce(): void;
	/** Memory decoding or bus mastering may be switched otherwise than before, or it sleeps, or doesn't any more. */
	commandChanged(): void;
}

/** Those of a model that is in this thread, or of none. */
export class LocalRegisters implements Registers {
	readonly #windows = new Map<number, BarWindow>();
	readonly #name: string;
	readonly #endpoint: Endpoint | undefined;
	readonly #work: WorkList | undefined;

	/** @param work where the model's work is put, and done after each access */
	constructor(owner: BarOwner, work: WorkList | undefined = undefined) {
		this.#name = owner.name;
		this.#endpoint = owner.endpoint;
		this.#work = work;
		for (const { index } of owner.hardware.bars) this.#windows.set(index, new BarWindow(owner, index));
	}

	read(bar: number, memory: AddressSpace, address: number, length: number, offset: number): number {
		try {
			return this.#windows.get(bar)!.read(memory, address, length, offset);
		} finally {
			this.#doWork();
		}
	}

	write(bar: number, memory: AddressSpace, address: number, length: number, offset: number): number {
		try {
			return this.#windows.get(bar)!.write(memory, address, length, offset);
		} finally {
			this.#doWork();
		}
	}

	store(bar: number, offset: number, from: Uint8Array): void {
		this.#windows.get(bar)!.store(offset, from);
		this.#doWork();
	}

	load(bar: number, offset: number, into: Uint8Array): number {
		this.#windows.get(bar)!.load(offset, into);
		this.#doWork();
		return into.length;
	}

	/** What a program does to memory isn't heard of in this thread. */
	readonly canBeMapped: boolean = false;

	map(bar: number): never {
		throw new Error(`BAR ${bar} of ${this.#name} can't be mapped`);
	}

	reset(): void {
		this.resetAtOnce();
	}

	resetAtOnce(): void {
		this.#endpoint?.reset();
	}

	/** Whoever needs to know looks. */
	commandChanged(): void {}

	#doWork(): void {
		if (this.#endpoint !== undefined) this.#work?.doAll(this.#endpoint);
	}
}
