// A ring of descriptors in memory, between software and one queue: what software has given, and how it gets it back.
// 82576 data sheet 7.1.4 and 7.2.2.4 "Descriptor ring structure", 8.10.3 to 8.10.10, 8.12.8 to 8.12.13.

import type { EndpointPort } from "../endpoint.js";
import { PlainRegister, type RegisterFile } from "./register-file.js";
import { Dctl, QueueRegister } from "./registers.js";

export const DESCRIPTOR_SIZE = 16;

/** As many as are fetched, or written back, at a time. */
const BATCH = 64;

/** LEN is in bytes, a multiple of 128. */
const LENGTH_BITS = 0x000f_ff80;
const ADDRESS_BITS = 0xffff_ff80;
const INDEX_BITS = 0xffff;

export interface RingOptions {
	/** Where its registers begin: for queues below four there are two places. */
	readonly addresses: readonly number[];
	/** What RXDCTL or TXDCTL has after a reset. */
	readonly dctl: number;
	/** Whether the whole direction is enabled: until then a queue reads as disabled. */
	readonly isDirectionOn: () => boolean;
	/** Called when the queue is set up anew: what it was in the middle of counts no more. */
	readonly onChange: () => void;
	/** Called when software has got some back. */
	readonly onWriteBack: () => void;
}

export class DescriptorRing {
	/** Where the next descriptor is, after peek(). */
	readonly view: DataView;
	readonly #port: EndpointPort;
	readonly #options: RingOptions;
	readonly #low = new PlainRegister(0, ADDRESS_BITS);
	readonly #high = new PlainRegister();
	readonly #length = new PlainRegister(0, LENGTH_BITS);
	readonly #head = new PlainRegister(0, INDEX_BITS);
	readonly #tail = new PlainRegister(0, INDEX_BITS);
	readonly #dctl: PlainRegister;
	readonly #fetched = new Uint8Array(BATCH * DESCRIPTOR_SIZE);
	/** How many are fetched and not yet taken, the first of them at the head. */
	#fetchedCount = 0;
	#offset = 0;
	readonly #done = new Uint8Array(BATCH * DESCRIPTOR_SIZE);
	readonly #doneView = new DataView(this.#done.buffer);
	#firstDone = 0;
	#doneCount = 0;
	/** A descriptor or what it leads to couldn't be read: the queue does nothing until it is set up anew. */
	#isStuck = false;

	constructor(port: EndpointPort, registers: RegisterFile, options: RingOptions) {
		this.#port = port;
		this.#options = options;
		this.#dctl = new PlainRegister(options.dctl);
		this.view = new DataView(this.#fetched.buffer);
		for (const address of options.addresses) {
			this.#add(registers, address + QueueRegister.BAL, this.#low);
			this.#add(registers, address + QueueRegister.BAH, this.#high);
			this.#add(registers, address + QueueRegister.LEN, this.#length);
			this.#add(registers, address + QueueRegister.HEAD, this.#head);
			registers.add(address + QueueRegister.TAIL, this.#tail);
			registers.add(address + QueueRegister.DCTL, {
				read: () => this.#dctl.value & ~(options.isDirectionOn() ? 0 : Dctl.ENABLE),
				write: (value) => this.#control(value),
			});
		}
	}

	/** Where the queue is told to be, as software sees it. */
	get head(): number {
		return this.#head.value;
	}

	get isEnabled(): boolean {
		return this.#dctl.has(Dctl.ENABLE) && this.#options.isDirectionOn();
	}

	/** How many software has given that are not taken yet. A head or tail outside of the ring gives none. */
	get available(): number {
		const count = this.#length.value / DESCRIPTOR_SIZE;
		const head = this.#head.value;
		const tail = this.#tail.value;
		if (this.#isStuck || head >= count || tail >= count) return 0;
		return tail >= head ? tail - head : count - head + tail;
	}

	/**
	 * The next descriptor, fetched with those after it.
	 * @returns where it is in `view`; undefined when there is none that can be read
	 */
	peek(): number | undefined {
		if (this.#fetchedCount === 0 && !this.#fetch()) return undefined;
		return this.#offset;
	}

	/** It has been taken. */
	take(): void {
		this.#fetchedCount--;
		this.#offset += DESCRIPTOR_SIZE;
		this.#head.value = (this.#head.value + 1) % (this.#length.value / DESCRIPTOR_SIZE);
	}

	/**
	 * Takes the next descriptor, and puts what it becomes aside until writeBack().
	 * @returns a view with it, to be changed at `doneOffset`
	 */
	takeDone(): DataView {
		const index = this.#head.value;
		const isNext = index === this.#firstDone + this.#doneCount && this.#doneCount < BATCH;
		if (!isNext || this.#doneCount === 0) {
			this.writeBack();
			this.#firstDone = index;
		}
		this.#done.set(
			this.#fetched.subarray(this.#offset, this.#offset + DESCRIPTOR_SIZE),
			this.#doneCount * DESCRIPTOR_SIZE,
		);
		this.#doneCount++;
		this.take();
		return this.#doneView;
	}

	/** Of the descriptor that takeDone() has just put aside. */
	get doneOffset(): number {
		return (this.#doneCount - 1) * DESCRIPTOR_SIZE;
	}

	/**
	 * Gives software back what is put aside. Writes are posted: the IOMMU may refuse them, and the controller doesn't learn of it.
	 */
	writeBack(): void {
		if (this.#doneCount === 0) return;
		const bytes = this.#done.subarray(0, this.#doneCount * DESCRIPTOR_SIZE);
		this.#doneCount = 0;
		this.#port.writeMemory(this.#addressOf(this.#firstDone), bytes);
		this.#options.onWriteBack();
	}

	stick(): void {
		this.#isStuck = true;
	}

	reset(): void {
		for (const register of [this.#low, this.#high, this.#length, this.#head, this.#tail, this.#dctl]) register.reset();
		this.#forget();
	}

	#add(registers: RegisterFile, address: number, register: PlainRegister): void {
		registers.add(address, {
			read: () => register.value,
			write: (value) => {
				register.write(value);
				this.#forget();
			},
		});
	}

	/** What was fetched counts no more. */
	#forget(): void {
		this.#fetchedCount = 0;
		this.#doneCount = 0;
		this.#isStuck = false;
		this.#options.onChange();
	}

	#control(value: number): void {
		const wasEnabled = this.#dctl.has(Dctl.ENABLE);
		// SWFLSH writes back what has been done, and there is nothing that waits for it.
		this.#dctl.write(value & ~Dctl.SWFLSH);
		if (this.#dctl.has(Dctl.ENABLE) !== wasEnabled) this.#forget();
	}

	#fetch(): boolean {
		const count = this.#length.value / DESCRIPTOR_SIZE;
		const head = this.#head.value;
		const length = Math.min(this.available, count - head, BATCH);
		if (length === 0) return false;
		const into = this.#fetched.subarray(0, length * DESCRIPTOR_SIZE);
		if (this.#port.readMemory(this.#addressOf(head), into) !== undefined) {
			this.stick();
			return false;
		}
		this.#fetchedCount = length;
		this.#offset = 0;
		return true;
	}

	#addressOf(index: number): bigint {
		const base = (BigInt(this.#high.value) << 32n) | BigInt(this.#low.value);
		return BigInt.asUintN(64, base + BigInt(index * DESCRIPTOR_SIZE));
	}
}
