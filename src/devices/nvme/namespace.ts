// A namespace: a store of bytes, seen as logical blocks.
// NVM Express Base Specification 1.4, 6.1 "Namespaces"; 5.15.2.1 "Identify Namespace data structure", LBA formats.

import type { BlockStore } from "../block-store.js";
import { BlockSet } from "./block-set.js";

/** The LBA formats: sizes of a logical block, as powers of two. None has metadata. */
export const LBA_SHIFTS = [9, 12] as const;

export class Namespace {
	/** NSID */
	readonly id: number;
	readonly store: BlockStore;
	/** While it is being formatted nothing else is done with it. */
	isFormatting = false;
	/** Blocks that can't be read until they are written: Write Uncorrectable. */
	readonly uncorrectable = new BlockSet();
	#format = 0;
	/** Of a block's size in bytes, as a power of two. */
	shift = 0;
	blockSize = 0;
	/** How many blocks it has. */
	blocks = 0;

	constructor(id: number, store: BlockStore, format: number) {
		this.id = id;
		this.store = store;
		this.format = format;
	}

	/** Which of LBA_SHIFTS it is formatted with. */
	get format(): number {
		return this.#format;
	}

	set format(format: number) {
		this.#format = format;
		this.shift = LBA_SHIFTS[format];
		this.blockSize = 2 ** this.shift;
		this.blocks = Math.floor(this.store.size / this.blockSize);
	}
}
