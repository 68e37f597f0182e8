// A device's table of context descriptors, one for each SubstreamID: in one piece, or in two levels.
// SMMUv3 (IHI 0070), 5.3 "Level 1 Context Descriptor", 5.4 "Context Descriptor".

import { TABLE_FRAME_LG2, type TableMemory } from "../../../pagetable/table-memory.js";
import { Errno } from "../../../uapi/errno.js";
import type { Pasid } from "../../core/pasid.js";
import type { ContextDescriptor } from "./ste.js";

/** lg2 of the bytes of a context descriptor, and of the descriptor of a table of them. */
const DESCRIPTOR_LG2 = 6;
const LEVEL_1_LG2 = 3;
/** Tables of 64 KiB: that many descriptors in one piece. */
const LEAF_LG2 = 10;
/** Level 1: V, and the table's address in the bits above. */
const L1_V = 1;

/** STE.S1Fmt */
export const S1FMT_LINEAR = 0;
export const S1FMT_64K_L2 = 2;

export class CdTable {
	/** lg2 of the descriptors that there is room for: STE.S1CDMax. */
	readonly sizeLg2: number;
	/** A value of STE.S1Fmt. */
	readonly format: number;
	readonly #memory: TableMemory;
	readonly #used = new Set<Pasid>();
	/** The table that the stream table entry points to, as long as a descriptor is in use. */
	#top: number | undefined;
	/** With two levels: frames of the tables below, by their place in the one above. */
	readonly #leaves = new Map<number, number>();

	/** @param canHaveTwoLevels SMMU_IDR0.CD2L */
	constructor(ssidBits: number, canHaveTwoLevels: boolean, memory: TableMemory) {
		this.sizeLg2 = canHaveTwoLevels ? ssidBits : Math.min(ssidBits, LEAF_LG2);
		this.format = this.sizeLg2 > LEAF_LG2 ? S1FMT_64K_L2 : S1FMT_LINEAR;
		this.#memory = memory;
	}

	/** In bytes; 0 while there is no table. */
	get address(): bigint {
		return BigInt(this.#top ?? 0) << BigInt(TABLE_FRAME_LG2);
	}

	/** Whether there are descriptors of other numbers than this one. */
	usesOthersThan(pasid: Pasid): boolean {
		return this.#used.size > (this.#used.has(pasid) ? 1 : 0);
	}

	/** @throws ENOMEM, also for a number that the table has no room for */
	set(pasid: Pasid, descriptor: ContextDescriptor): void {
		if (pasid >= 2 ** this.sizeLg2)
			throw new Errno(
				"ENOMEM",
				`the table of context descriptors has room for ${2 ** this.sizeLg2}, and none for ${pasid}`,
				"pasid-range",
			);
		try {
			this.#wordsOf(pasid).set(new Uint32Array(descriptor.buffer));
		} catch (error) {
			this.freeUnused(); // There may have been memory for the upper table of two.
			throw error;
		}
		this.#used.add(pasid);
	}

	clear(pasid: Pasid): void {
		if (this.#used.delete(pasid)) this.#wordsOf(pasid).fill(0);
	}

	/** Gives the tables back when no descriptor is in use. Nothing points to them any more. */
	freeUnused(): void {
		if (this.#used.size > 0 || this.#top === undefined) return;
		for (const frame of this.#leaves.values()) this.#memory.free(frame);
		this.#leaves.clear();
		this.#memory.free(this.#top);
		this.#top = undefined;
	}

	#wordsOf(pasid: Pasid): Uint32Array {
		const first = (pasid % 2 ** LEAF_LG2) << (DESCRIPTOR_LG2 - 2);
		return this.#memory.tableAt(this.#leafOf(pasid)).subarray(first, first + 2 ** (DESCRIPTOR_LG2 - 2));
	}

	/** Frame of the table that holds a descriptor. */
	#leafOf(pasid: Pasid): number {
		if (this.format === S1FMT_LINEAR) {
			this.#top ??= this.#memory.allocate(Math.max(TABLE_FRAME_LG2, this.sizeLg2 + DESCRIPTOR_LG2));
			return this.#top;
		}
		this.#top ??= this.#memory.allocate(Math.max(TABLE_FRAME_LG2, this.sizeLg2 - LEAF_LG2 + LEVEL_1_LG2));
		const index = pasid >>> LEAF_LG2;
		let frame = this.#leaves.get(index);
		if (frame === undefined) {
			frame = this.#memory.allocate(LEAF_LG2 + DESCRIPTOR_LG2);
			this.#leaves.set(index, frame);
			const words = this.#memory.tableAt(this.#top);
			words[2 * index] = (frame << TABLE_FRAME_LG2) | L1_V;
			words[2 * index + 1] = frame >>> (32 - TABLE_FRAME_LG2);
		}
		return frame;
	}
}
