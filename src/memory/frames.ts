// The machine's physical memory, as its IOMMUs see it: which page frame stands for which page.
//
// A page (a backing and a page number in it) gets a frame when it is first pinned and keeps it as long as anything near it is
// pinned. Frames are handed out in blocks of 1 GiB that mirror a naturally aligned gibibyte of the backing, so that what a
// program aligned for huge pages is aligned in physical memory too. How the frames lie within a block, and so which page sizes
// an I/O page table can use, is the machine's contiguity.

import { MemoryBudget, type Share } from "../faults/memory-budget.js";
import type { Backing, Extents } from "./address-space.js";
import { PAGES_PER_BLOCK, PinCounts } from "./pin-counts.js";
import type { Runs } from "./runs.js";

/**
 * The longest stretch of physical memory that follows the virtual addresses: no two pages, 2 MiB, 1 GiB, or as far as
 * the addresses go.
 */
export type Contiguity = "4K" | "2M" | "1G" | "as-addresses";

/** How many pages that is. */
const longestRuns: { readonly [contiguity in Contiguity]: number } = {
	"4K": 1,
	"2M": 512,
	"1G": PAGES_PER_BLOCK,
	"as-addresses": Number.POSITIVE_INFINITY,
};

/** Below it is room for what is not memory: I/O page tables, device registers. In frames: 64 GiB. */
export const FIRST_FRAME = 2 ** 24;

// Multiplying by an odd number permutes 0..2^n-1, and leaves no two neighbours side by side.
const SCATTER = 0x9e35;
// The inverses of SCATTER modulo 2^18 (pages of a block) and modulo 2^9 (chunks of a block).
const GATHER_PAGES = inverseOfOdd(SCATTER, PAGES_PER_BLOCK);
const GATHER_CHUNKS = inverseOfOdd(SCATTER, 512);

/** What a block takes at most besides the counts that it has already: itself, and the arrays that one pin more can need. */
const MOST_MORE = 16 * 1024;
const BLOCK_BYTES = 400;

interface Block {
	readonly backing: Backing;
	/** Which gibibyte of the backing. */
	readonly index: number;
	/** Frame number of its lowest frame. */
	readonly base: number;
	readonly pins: PinCounts;
}

/** Memory of a device, and where it is. */
interface Place {
	readonly backing: Backing;
	readonly first: number;
	readonly count: number;
}

/** What a frame holds. */
export class Location {
	backing!: Backing;
	page = 0;
	/** How many frames from this one on hold the pages that follow, this one included. */
	count = 0;
}

export class Frames {
	readonly contiguity: Contiguity;
	readonly #blocks = new Map<Backing, Map<number, Block>>();
	/** By position in physical memory, for the way back from a frame; a hole is a block that was freed. */
	readonly #slots: (Block | undefined)[] = [];
	readonly #freeSlots: number[] = [];
	/** Frames from one slot to the next: with "1G" a gap keeps neighbouring blocks apart. */
	readonly #slotSize: number;
	#lastBlock: Block | undefined;
	#lastLocated: Block | undefined;
	/** Of devices: wherever the firmware has put them. */
	readonly #places = new Map<Backing, Place>();
	/** Slots that are left out because a device is there. */
	#skipped = 0;
	/** The block that lost its last pin most recently. It stays, because what was just unmapped is often mapped again. */
	#idle: Block | undefined;
	/** The sum over all pages of how often each is pinned. */
	pinned = 0;
	readonly #budget: Share;

	/** @param budget what the counts are charged to */
	constructor(contiguity: Contiguity = "as-addresses", budget = new MemoryBudget().pins) {
		this.contiguity = contiguity;
		this.#budget = budget;
		this.#slotSize = contiguity === "1G" ? PAGES_PER_BLOCK * 2 : PAGES_PER_BLOCK;
	}

	/** A device's memory has a place of its own. Before anything is pinned. */
	addDevice(backing: Backing, first: number, count: number): void {
		this.#places.set(backing, { backing, first, count });
	}

	/** Undefined for what isn't a device's. */
	#placeOf(backing: Backing): Place | undefined {
		return backing.isDeviceMemory ? this.#places.get(backing) : undefined;
	}

	/** How many pages lie side by side at most. */
	get longestRun(): number {
		return longestRuns[this.contiguity];
	}

	/** Pins `count` pages of a backing from `page` on, once more each. @throws ENOMEM; none is pinned then */
	pin(backing: Backing, page: number, count: number): void {
		if (this.#placeOf(backing) !== undefined) {
			this.pinned += count;
			return;
		}
		for (let at = page; at < page + count; ) {
			try {
				this.#budget.charge(MOST_MORE);
			} catch (error) {
				this.pinned += at - page;
				this.unpin(backing, page, at - page);
				throw error;
			}
			this.#budget.uncharge(MOST_MORE);
			const block = this.#blockAt(backing, at) ?? this.#addBlock(backing, Math.floor(at / PAGES_PER_BLOCK));
			const offset = at - block.index * PAGES_PER_BLOCK;
			const length = Math.min(PAGES_PER_BLOCK - offset, page + count - at);
			if (block.pins.total === 0) backing.hold?.();
			this.#count(block, offset, length, 1);
			at += length;
		}
		this.pinned += count;
	}

	/** Pins all that was found. @throws ENOMEM; none of it is pinned then */
	pinAll({ backing, page, count, length }: Extents): void {
		for (let i = 0; i < length; i++) {
			try {
				this.pin(backing[i], page[i], count[i]);
			} catch (error) {
				while (--i >= 0) this.unpin(backing[i], page[i], count[i]);
				throw error;
			}
		}
	}

	/** Takes one pin from each of `count` pages that are pinned. A block without pins gives its frames back. */
	unpin(backing: Backing, page: number, count: number): void {
		this.pinned -= count;
		if (this.#placeOf(backing) !== undefined) return;
		for (let at = page; at < page + count; ) {
			const block = this.#blockAt(backing, at)!;
			const offset = at - block.index * PAGES_PER_BLOCK;
			const length = Math.min(PAGES_PER_BLOCK - offset, page + count - at);
			this.#count(block, offset, length, -1);
			if (block.pins.total === 0) {
				backing.drop?.();
				this.#retire(block);
			}
			at += length;
		}
	}

	#count({ pins }: Block, offset: number, length: number, change: number): void {
		const before = pins.bytes;
		pins.add(offset, length, change);
		if (pins.bytes !== before) this.#budget.adjust(pins.bytes - before);
	}

	/** Appends what is pinned of a backing to `into`. */
	pinnedOf(backing: Backing, into: Extents): void {
		for (const { index, pins } of this.#blocks.get(backing)?.values() ?? [])
			if (pins.total > 0) pins.each((first, count) => into.add(backing, index * PAGES_PER_BLOCK + first, count));
	}

	/** How often a page is pinned. */
	pins(backing: Backing, page: number): number {
		const block = this.#blockAt(backing, page);
		return block === undefined ? 0 : block.pins.of(page - block.index * PAGES_PER_BLOCK);
	}

	/** The frame of a page, or -1 when nothing near it is pinned. */
	frameOf(backing: Backing, page: number): number {
		const place = this.#placeOf(backing);
		if (place !== undefined) return place.first + page;
		const block = this.#blockAt(backing, page);
		return block === undefined ? -1 : block.base + this.#scatter(page - block.index * PAGES_PER_BLOCK);
	}

	/**
	 * Appends the frames of `count` pinned pages from `page` on to `into`.
	 * @returns how many pages had room there
	 */
	runs(backing: Backing, page: number, count: number, into: Runs): number {
		const place = this.#placeOf(backing);
		if (place !== undefined) return into.add(place.first + page, count) ? count : 0;
		for (let at = page; at < page + count; ) {
			const block = this.#blockAt(backing, at)!;
			const offset = at - block.index * PAGES_PER_BLOCK;
			const stretch = this.#stretchFrom(offset);
			const length = Math.min(stretch, page + count - at);
			if (!into.add(block.base + this.#scatter(offset), length)) return at - page;
			at += length;
		}
		return count;
	}

	/** What a frame holds; undefined when it is not memory, or memory that nothing near by is pinned in. */
	locate(frame: number): Location | undefined {
		const found = new Location();
		return this.locateInto(frame, found) ? found : undefined;
	}

	/** The same; false, and `into` untouched, when it is not. */
	locateInto(frame: number, into: Location): boolean {
		const block = this.#blockOf(frame);
		if (block === undefined) return this.#locateDevice(frame, into);
		const place = this.#gather(frame - block.base);
		into.backing = block.backing;
		into.page = block.index * PAGES_PER_BLOCK + place;
		into.count = this.#stretchFrom(place);
		return true;
	}

	#locateDevice(frame: number, into: Location): boolean {
		for (const { backing, first, count } of this.#places.values()) {
			if (frame < first || frame >= first + count) continue;
			into.backing = backing;
			into.page = frame - first;
			into.count = first + count - frame;
			return true;
		}
		return false;
	}

	/** The block that a frame belongs to. Where one was found, the next one is likely to be. */
	#blockOf(frame: number): Block | undefined {
		const last = this.#lastLocated;
		if (last !== undefined && frame >= last.base && frame < last.base + PAGES_PER_BLOCK) return last;
		if (frame < FIRST_FRAME) return undefined;
		const block = this.#slots[Math.floor((frame - FIRST_FRAME) / this.#slotSize)];
		if (block === undefined || frame >= block.base + PAGES_PER_BLOCK) return undefined;
		this.#lastLocated = block;
		return block;
	}

	/** Blocks in use: 0 when nothing is pinned. */
	get blocks(): number {
		const idle = this.#idle?.pins.total === 0 ? 1 : 0;
		return this.#slots.length - this.#freeSlots.length - this.#skipped - idle;
	}

	#blockAt(backing: Backing, page: number): Block | undefined {
		const index = Math.floor(page / PAGES_PER_BLOCK);
		const last = this.#lastBlock;
		if (last !== undefined && last.backing === backing && last.index === index) return last;
		const block = this.#blocks.get(backing)?.get(index);
		if (block !== undefined) this.#lastBlock = block;
		return block;
	}

	#addBlock(backing: Backing, index: number): Block {
		const slot = this.#freeSlots.pop() ?? this.#newSlot();
		const block = { backing, index, base: this.#baseOf(slot), pins: new PinCounts() };
		this.#slots[slot] = block;
		this.#budget.adjust(BLOCK_BYTES);
		let ofBacking = this.#blocks.get(backing);
		if (ofBacking === undefined) {
			ofBacking = new Map();
			this.#blocks.set(backing, ofBacking);
		}
		ofBacking.set(index, block);
		this.#lastBlock = block;
		return block;
	}

	/** One behind all others, where no device is. */
	#newSlot(): number {
		while (this.#isDeviceAt(this.#baseOf(this.#slots.length))) {
			this.#slots.push(undefined);
			this.#skipped++;
		}
		return this.#slots.length;
	}

	#baseOf(slot: number): number {
		return FIRST_FRAME + slot * this.#slotSize;
	}

	#isDeviceAt(base: number): boolean {
		for (const { first, count } of this.#places.values())
			if (first < base + this.#slotSize && first + count > base) return true;
		return false;
	}

	#retire(block: Block): void {
		const before = this.#idle;
		if (before !== undefined && before !== block && before.pins.total === 0) this.#removeBlock(before);
		this.#idle = block;
	}

	#removeBlock(block: Block): void {
		const slot = (block.base - FIRST_FRAME) / this.#slotSize;
		this.#slots[slot] = undefined;
		this.#freeSlots.push(slot);
		this.#budget.uncharge(BLOCK_BYTES + block.pins.bytes);
		const ofBacking = this.#blocks.get(block.backing)!;
		ofBacking.delete(block.index);
		if (ofBacking.size === 0) this.#blocks.delete(block.backing);
		if (this.#lastBlock === block) this.#lastBlock = undefined;
		if (this.#lastLocated === block) this.#lastLocated = undefined;
	}

	/** Where a page lies in its block, in frames. */
	#scatter(offset: number): number {
		if (this.contiguity === "4K") return Math.imul(offset, SCATTER) & (PAGES_PER_BLOCK - 1);
		if (this.contiguity === "2M") return ((Math.imul(offset >>> 9, SCATTER) & 511) << 9) | (offset & 511);
		return offset;
	}

	/** The page that lies at a place in its block. */
	#gather(place: number): number {
		if (this.contiguity === "4K") return Math.imul(place, GATHER_PAGES) & (PAGES_PER_BLOCK - 1);
		if (this.contiguity === "2M") return ((Math.imul(place >>> 9, GATHER_CHUNKS) & 511) << 9) | (place & 511);
		return place;
	}

	/** How many pages from `offset` on lie side by side within the block. */
	#stretchFrom(offset: number): number {
		if (this.contiguity === "4K") return 1;
		if (this.contiguity === "2M") return 512 - (offset & 511);
		return PAGES_PER_BLOCK - offset;
	}
}

/** The number that undoes a multiplication by `odd` modulo `modulus`, a power of two up to 2^32. Newton's iteration. */
function inverseOfOdd(odd: number, modulus: number): number {
	let inverse = odd;
	for (let bits = 3; bits < 32; bits *= 2) inverse = Math.imul(inverse, 2 - Math.imul(odd, inverse));
	return inverse & (modulus - 1);
}
