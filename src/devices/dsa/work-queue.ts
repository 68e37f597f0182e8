// A work queue: how it is configured, and the descriptors that wait in it. DSA specification 4.2 "Work queues", 9.2.23 WQCFG.

import { PlainRegister, type RegisterMap } from "../register-map.js";
import { Descriptor } from "./descriptor.js";
import type { Limits } from "./descriptor-check.js";
import { OPCAP } from "./operations.js";
import { CommandError, DsaRegister, MAX_BATCH_SHIFT, VECTORS, WQCFG_SIZE } from "./registers.js";

/** Words of 32 bits in WQCFG. */
const Word = { SIZE: 0, THRESHOLD: 1, MODE: 2, LIMITS: 3, OCCUPANCY: 6, OPERATIONS: 8 } as const;
const Mode = { DEDICATED: 1n, BLOCK_ON_FAULT: 2n, PASID_ENABLE: 1n << 28n } as const;
const MODE_SUPPORT = 1 << 29;
const STATE_SHIFT = 30;

export class WorkQueue {
	readonly index: number;
	isEnabled = false;
	readonly #words: PlainRegister[];
	readonly #waiting: Descriptor[] = [];
	readonly #maxTransferShift: number;
	readonly #canInterrupt: (vector: number) => boolean;

	/**
	 * @param isDeviceEnabled then its size can't be changed any more
	 * @param canInterrupt whether completions may have a vector
	 */
	constructor(
		index: number,
		registers: RegisterMap,
		maxTransferShift: number,
		isDeviceEnabled: () => boolean,
		canInterrupt: (vector: number) => boolean,
	) {
		this.index = index;
		this.#maxTransferShift = maxTransferShift;
		this.#canInterrupt = canInterrupt;
		const base = DsaRegister.WQCFG + index * WQCFG_SIZE;
		this.#words = Array.from({ length: WQCFG_SIZE / 4 }, () => new PlainRegister(4));
		this.#words.forEach((word, i) => {
			registers.add(base + 4 * i, {
				size: 4,
				read: () => (i === Word.OCCUPANCY ? this.#occupancyWord : word.value),
				write: (bits, mask) => {
					const isFixed = i === Word.SIZE ? isDeviceEnabled() : this.isEnabled;
					if (!isFixed && i !== Word.OCCUPANCY) word.write(bits, mask);
				},
			});
		});
		this.reset();
	}

	/** Descriptors that there is room for. */
	get size(): number {
		return Number(this.#words[Word.SIZE].value & 0xffffn);
	}

	get usesPasid(): boolean {
		return (this.#words[Word.MODE].value & Mode.PASID_ENABLE) !== 0n;
	}

	get isEmpty(): boolean {
		return this.#waiting.length === 0;
	}

	get limits(): Limits {
		return {
			largestTransfer: 2 ** this.#transferShift,
			largestBatch: 2 ** this.#batchShift,
			operations: Number(this.#words[Word.OPERATIONS].value),
			vectors: VECTORS,
			canInterrupt: this.#canInterrupt,
		};
	}

	/** A value of CommandError that says why it can't be enabled; undefined when it can. */
	get problem(): number | undefined {
		const mode = this.#words[Word.MODE].value;
		const priority = (mode >> 4n) & 0xfn;
		if (this.isEnabled) return CommandError.WQ_NOT_DISABLED;
		if (this.size === 0) return CommandError.WQ_SIZE_IS_ZERO;
		if (priority === 0n) return CommandError.WQ_PRIORITY_IS_ZERO;
		if ((mode & Mode.DEDICATED) === 0n) return CommandError.INVALID_WQ_MODE;
		if (mode & Mode.BLOCK_ON_FAULT) return CommandError.INVALID_BLOCK_ON_FAULT;
		if (this.usesPasid) return CommandError.INVALID_PASID_ENABLE;
		if (this.#batchShift > MAX_BATCH_SHIFT) return CommandError.INVALID_MAX_BATCH_SIZE;
		if (this.#transferShift > this.#maxTransferShift) return CommandError.INVALID_MAX_TRANSFER_SIZE;
		return undefined;
	}

	/** A descriptor of 64 bytes has come to its portal; it is lost where there is no room, or the queue isn't enabled. */
	submit(bytes: Uint8Array): void {
		if (this.isEnabled && this.#waiting.length < this.size) this.#waiting.push(new Descriptor(bytes.slice()));
	}

	/** Takes the one that came first. */
	take(): Descriptor | undefined {
		return this.#waiting.shift();
	}

	/** What waits is forgotten. */
	abort(): void {
		this.#waiting.length = 0;
	}

	/** Back to how it was at first, its configuration too. */
	reset(): void {
		this.abort();
		this.isEnabled = false;
		for (const word of this.#words) word.value = 0n;
		this.#words[Word.OPERATIONS].value = BigInt(OPCAP);
	}

	get #transferShift(): number {
		return Number(this.#words[Word.LIMITS].value & 0x1fn);
	}

	get #batchShift(): number {
		return Number((this.#words[Word.LIMITS].value >> 5n) & 0xfn);
	}

	/** How many wait, that it can be dedicated, and whether it is enabled. */
	get #occupancyWord(): bigint {
		return BigInt((this.#waiting.length | MODE_SUPPORT | (this.isEnabled ? 1 << STATE_SHIFT : 0)) >>> 0);
	}
}
