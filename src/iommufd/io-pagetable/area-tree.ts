// The areas of an IOAS, in order, a million of them as easily as ten. struct io_pagetable's area_itree.
//
// A B+ tree of two levels: sorted blocks of up to BLOCK areas, in a sorted list. An area is a row of four numbers in its block,
// and the Pages beside it, which is less than half of what an object would take. All numbers are exact doubles, so a search
// compares no bigint. An Area is made of the row that was asked for.

import { MemoryBudget, type Share } from "../../faults/memory-budget.js";
import { PAGE_SIZE } from "../../memory/address-space.js";
import { addressOf, offsetInPage, pageOf } from "../../memory/page-number.js";
import { Area } from "./area.js";
import { type Interval, LAST_IOVA } from "./iova-ranges.js";
import type { Pages } from "./pages.js";

const BLOCK = 128;
/** What a block takes, in bytes: its rows, its list of Pages, itself. */
const BLOCK_BYTES = 5600;

// What a row consists of.
const FIRST_PAGE = 0;
const LAST_PAGE = 1;
/** The page of the Pages. */
const INDEX = 2;
/**
 * What is small, from the lowest bit on: the offsets of the first byte (12 bits) and of the last one (12), the protection (3),
 * and from bit 32 on the offset in the page of the Pages (12).
 */
const BITS = 3;
const ROW = 4;

const OFFSET = 0xfff;
const LAST_OFFSET_SHIFT = 12;
const PROTECTION_SHIFT = 24;
const PAGE_OFFSET_UNIT = 2 ** 32;

class Block {
	readonly rows = new Float64Array(BLOCK * ROW);
	readonly pages: Pages[] = [];
	/** No more bytes than this are free between any two of its areas. There may be fewer. */
	room = 0;

	get length(): number {
		return this.pages.length;
	}

	area(place: number): Area {
		const { rows } = this;
		const row = place * ROW;
		const bits = rows[row + BITS];
		return new Area(
			rows[row + FIRST_PAGE],
			bits & OFFSET,
			rows[row + LAST_PAGE],
			(bits >>> LAST_OFFSET_SHIFT) & OFFSET,
			this.pages[place],
			rows[row + INDEX],
			Math.floor(bits / PAGE_OFFSET_UNIT),
			bits >>> PROTECTION_SHIFT,
		);
	}

	insert(place: number, area: Area): void {
		const { rows, pages } = this;
		const row = place * ROW;
		if (place < pages.length) {
			rows.copyWithin(row + ROW, row, pages.length * ROW);
			pages.splice(place, 0, area.pages);
		} else pages.push(area.pages);
		rows[row + FIRST_PAGE] = area.firstPage;
		rows[row + LAST_PAGE] = area.lastPage;
		rows[row + INDEX] = area.index;
		const low = area.firstOffset | (area.lastOffset << LAST_OFFSET_SHIFT) | (area.protection << PROTECTION_SHIFT);
		rows[row + BITS] = area.pageOffset * PAGE_OFFSET_UNIT + low;
	}

	remove(place: number): void {
		const { rows, pages } = this;
		const row = place * ROW;
		if (place < pages.length - 1) {
			rows.copyWithin(row, row + ROW, pages.length * ROW);
			pages.splice(place, 1);
		} else pages.pop();
	}

	/** Takes everything from a place on out. @returns it */
	splitAt(place: number): Block {
		const rest = new Block();
		rest.room = this.room;
		rest.rows.set(this.rows.subarray(place * ROW));
		rest.pages.push(...this.pages.splice(place));
		return rest;
	}

	/** First and last IOVA of the area at a place, in bytes. */
	first(place: number): bigint {
		const row = place * ROW;
		return addressOf(this.rows[row + FIRST_PAGE], this.rows[row + BITS] & OFFSET);
	}

	last(place: number): bigint {
		const row = place * ROW;
		return addressOf(this.rows[row + LAST_PAGE], (this.rows[row + BITS] >>> LAST_OFFSET_SHIFT) & OFFSET);
	}

	/** The bytes between the area at a place and one that follows it, as near as a double comes. */
	bytesTo(place: number, { rows }: Block, next: number): number {
		const row = place * ROW;
		const nextRow = next * ROW;
		const pages = rows[nextRow + FIRST_PAGE] - this.rows[row + LAST_PAGE];
		const lastOffset = (this.rows[row + BITS] >>> LAST_OFFSET_SHIFT) & OFFSET;
		return pages * PAGE_SIZE + ((rows[nextRow + BITS] & OFFSET) - lastOffset - 1);
	}

	/** The first place from one on behind whose area, and before the next one of the block, so many bytes are free; or -1. */
	roomFrom(from: number, wanted: number): number {
		const last = this.length - 1;
		for (let place = from; place < last; place++) if (this.bytesTo(place, this, place + 1) >= wanted) return place;
		return -1;
	}

	/** The most bytes that are free between two of its areas: `room` without what is no longer so. */
	mostRoom(): number {
		let most = 0;
		for (let place = 0; place < this.length - 1; place++) most = Math.max(most, this.bytesTo(place, this, place + 1));
		return most;
	}

	beginsAt(place: number, page: number, offset: number): boolean {
		const row = place * ROW;
		return this.rows[row + FIRST_PAGE] === page && (this.rows[row + BITS] & OFFSET) === offset;
	}

	/** Whether the area at a place begins at or before a place in the address space. */
	beginsBy(place: number, page: number, offset: number): boolean {
		const row = place * ROW;
		const first = this.rows[row + FIRST_PAGE];
		return first < page || (first === page && (this.rows[row + BITS] & OFFSET) <= offset);
	}

	/** Whether it ends before a place in the address space. */
	endsBefore(place: number, page: number, offset: number): boolean {
		const row = place * ROW;
		const last = this.rows[row + LAST_PAGE];
		return last < page || (last === page && ((this.rows[row + BITS] >>> LAST_OFFSET_SHIFT) & OFFSET) < offset);
	}
}

export class AreaTree {
	readonly #budget: Share;
	/** None before the first insert; after that at least one, and only a single one can be empty. */
	readonly #blocks: Block[] = [];
	#size = 0;
	// Where the last search ended: the block, and the place in it.
	#block = 0;
	#place = 0;
	// Where to begin to look for room: no area of the blocks before this one has #crowdedFor bytes free behind it.
	#crowded = 0;
	#crowdedFor = Number.POSITIVE_INFINITY;

	/** @param budget what the areas are charged to */
	constructor(budget = new MemoryBudget().areas) {
		this.#budget = budget;
	}

	get size(): number {
		return this.#size;
	}

	/** Gives back what an empty tree takes. It can be used again. */
	dispose(): void {
		this.#budget.uncharge(this.#blocks.length * BLOCK_BYTES);
		this.#blocks.length = 0;
	}

	/** Makes sure that so many inserts don't fail that follow at once. @throws ENOMEM */
	prepare(inserts: number): void {
		this.#budget.charge(inserts * BLOCK_BYTES);
		this.#budget.uncharge(inserts * BLOCK_BYTES);
	}

	/** Adds an area that overlaps none of the others. @throws ENOMEM */
	insert(area: Area): void {
		if (this.#blocks.length === 0) {
			this.#budget.charge(BLOCK_BYTES);
			this.#blocks.push(new Block());
		}
		this.#seek(area.firstPage, area.firstOffset);
		// After the one at or before it; before everything when there is none.
		let place = this.#place + 1;
		if (this.#blocks[this.#block].length === BLOCK) place = this.#makeRoom(place);
		this.#blocks[this.#block].insert(place, area);
		this.#size++;
		this.#noteRoom(this.#block, place);
		if (place > 0) this.#noteRoom(this.#block, place - 1);
	}

	/** Takes an area out that is in. */
	remove(area: Area): void {
		this.#find(area);
		const block = this.#blocks[this.#block];
		block.remove(this.#place);
		if (block.length === 0 && this.#blocks.length > 1) {
			this.#blocks.splice(this.#block, 1);
			this.#budget.uncharge(BLOCK_BYTES);
			this.#crowded = Math.min(this.#crowded, this.#block);
		}
		this.#size--;
		if (this.#place > 0) this.#noteRoom(this.#block, this.#place - 1);
		else if (this.#block > 0) this.#noteRoom(this.#block - 1, this.#blocks[this.#block - 1].length - 1);
	}

	/** The first area that has a byte in first..last. */
	firstIn(first: bigint, last: bigint): Area | undefined {
		if (this.#blocks.length === 0) return undefined;
		const page = pageOf(first);
		const offset = offsetInPage(first);
		this.#seek(page, offset);
		const block = this.#blocks[this.#block];
		if (this.#place >= 0 && !block.endsBefore(this.#place, page, offset)) return block.area(this.#place);
		return this.#after(last);
	}

	/** The area that follows this one, if it begins at or before `last`. */
	next(area: Area, last: bigint): Area | undefined {
		this.#find(area);
		return this.#after(last);
	}

	/** The last area that begins at or before an IOVA, and the first that begins after it. */
	nearest(iova: bigint): { below: Area | undefined; above: Area | undefined } {
		if (this.#blocks.length === 0) return { below: undefined, above: undefined };
		this.#seek(pageOf(iova), offsetInPage(iova));
		const below = this.#place < 0 ? undefined : this.#blocks[this.#block].area(this.#place);
		return { below, above: this.#after(LAST_IOVA) };
	}

	/** All of them, in order. None must come or go meanwhile. */
	*[Symbol.iterator](): Iterator<Area> {
		for (const block of this.#blocks) for (let place = 0; place < block.length; place++) yield block.area(place);
	}

	/**
	 * What is taken, in order: between two of these intervals, and only there, `room` bytes or more are free. What ends before
	 * `from` may be left out. No area must come or go meanwhile.
	 */
	*taken(from: bigint, room: bigint): Generator<Interval> {
		if (this.#size === 0) return;
		const blocks = this.#blocks;
		const wanted = Number(room);
		this.#seek(pageOf(from), offsetInPage(from));
		const crowded = wanted >= this.#crowdedFor ? this.#crowded : 0;
		let isCrowded = this.#block <= crowded;
		let first: bigint | undefined = blocks[this.#block].first(0);
		for (let at = Math.max(this.#block, crowded); at < blocks.length; at++) {
			const block = blocks[at];
			first ??= block.first(0);
			if (block.room >= wanted) {
				for (let place = block.roomFrom(0, wanted); place >= 0; place = block.roomFrom(place + 1, wanted)) {
					yield { first, last: block.last(place) };
					first = block.first(place + 1);
				}
				block.room = block.mostRoom();
			}
			const end = block.length - 1;
			const isOpen = this.#roomAfter(at, end) >= wanted;
			if (isOpen) {
				yield { first, last: block.last(end) };
				first = undefined;
			}
			isCrowded &&= !isOpen && block.room < wanted;
			if (isCrowded) this.#noteCrowded(at + 1, wanted);
		}
	}

	/** The bytes that are free behind an area, as near as a double comes; those behind the last one never end. */
	#roomAfter(at: number, place: number): number {
		const block = this.#blocks[at];
		if (place + 1 < block.length) return block.bytesTo(place, block, place + 1);
		const next = this.#blocks[at + 1];
		return next === undefined ? Number.POSITIVE_INFINITY : block.bytesTo(place, next, 0);
	}

	/** There may be more room behind an area than there was. */
	#noteRoom(at: number, place: number): void {
		const block = this.#blocks[at];
		const free = this.#roomAfter(at, place);
		if (place + 1 < block.length) block.room = Math.max(block.room, free);
		if (free >= this.#crowdedFor) this.#crowded = Math.min(this.#crowded, at);
	}

	/** The blocks before this one are of no use to who wants so many bytes. What is known for fewer says more. */
	#noteCrowded(at: number, wanted: number): void {
		if (wanted > this.#crowdedFor && this.#crowded > 0) return;
		this.#crowded = at;
		this.#crowdedFor = wanted;
	}

	/** The area after the place of the last search, if it begins at or before `last`. */
	#after(last: bigint): Area | undefined {
		let block: Block | undefined = this.#blocks[this.#block];
		let place = this.#place + 1;
		if (place === block.length) {
			block = this.#blocks[this.#block + 1];
			place = 0;
		}
		if (block === undefined || !block.beginsBy(place, pageOf(last), offsetInPage(last))) return undefined;
		return block.area(place);
	}

	/** Has the last search end at an area that is in. Often it has ended there anyway. */
	#find({ firstPage, firstOffset }: Area): void {
		const block = this.#blocks[this.#block];
		const isThere = block !== undefined && this.#place >= 0 && this.#place < block.length;
		if (!isThere || !block.beginsAt(this.#place, firstPage, firstOffset)) this.#seek(firstPage, firstOffset);
	}

	/** Finds the last area that begins at or before a place; #place is -1 (in block 0) when there is none. */
	#seek(page: number, offset: number): void {
		const blocks = this.#blocks;
		let low = 0;
		let high = blocks.length - 1;
		while (low < high) {
			const middle = (low + high + 1) >>> 1;
			if (blocks[middle].beginsBy(0, page, offset)) low = middle;
			else high = middle - 1;
		}
		this.#block = low;
		const block = blocks[low];
		let from = 0;
		let to = block.length;
		while (from < to) {
			const middle = (from + to) >>> 1;
			if (block.beginsBy(middle, page, offset)) from = middle + 1;
			else to = middle;
		}
		this.#place = from - 1;
	}

	/** Splits the full block of the last search. @throws ENOMEM @returns the place that stood for `place` before, now in #block */
	#makeRoom(place: number): number {
		this.#budget.charge(BLOCK_BYTES);
		// Who inserts in ascending order, or in descending order, leaves full blocks behind, not halves.
		const isAtEnd = place === BLOCK && this.#block === this.#blocks.length - 1;
		const isAtBegin = place === 0 && this.#block === 0;
		const from = isAtEnd ? BLOCK : isAtBegin ? 0 : BLOCK / 2;
		this.#blocks.splice(this.#block + 1, 0, this.#blocks[this.#block].splitAt(from));
		this.#crowded = Math.min(this.#crowded, this.#block);
		if (place < from || (place === from && from < BLOCK)) return place;
		this.#block++;
		return place - from;
	}
}
