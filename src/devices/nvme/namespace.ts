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
	/** Which of LBA_SHIFTS it is formatted with. */
	format: number;
	/** While it is being formatted nothing else is done with it. */
	isFormatting = false;
	/** Blocks that can't be read until they are written: Write Uncorrectable. */
	readonly uncorrectable = new BlockSet();

	constructor(id: number, store: BlockStore, format: number) {
		this.id = id;
		this.store = store;
		this.format = format;
	}

	/** Of a block's size, as a power of two. */
	get shift(): number {
		return LBA_SHIFTS[this.format];
	}

	/** How many blocks it has. */
	get blocks(): number {
		return Math.floor(this.store.size / 2 ** this.shift);
	}
}
