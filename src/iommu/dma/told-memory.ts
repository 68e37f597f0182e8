// What a function in another process is told of the memory that it may reach: it keeps a list of ranges of its own, of which each is told
// once and taken back once, as it was told. DMA_MAP and DMA_UNMAP of vfio-user; a memory listener of QEMU does the same.
//
// What a domain shows changes in the middle of calls, when nobody can wait for another process. So changes are kept, and told one after the
// other when there is somebody to tell: next(). Where memory isn't there any more is told before what is new, for it may be in its place.
//
// A range is memory that both processes can have, at one place in one file, or memory that the function has to ask for. What is mapped
// at once is one range then, wherever it lies. With two stages, without translation and without an IOMMU there is no list that one could
// give: all there is is memory to ask for, and each access finds out whether it may be made.

import type { Backing } from "../../memory/address-space.js";
import { PAGE_SIZE } from "../../memory/address-space.js";
import { type Frames, Location } from "../../memory/frames.js";
import { READ, Translation, WRITE } from "../../pagetable/pagetable.js";
import type { Device, Domain, DomainWatcher, Group, GroupWatcher, PagingDomain, Stretch } from "../core/iommu.js";

/** What the function is told, or was. */
export interface ToldRange {
	/** In bytes, as the size. */
	readonly iova: bigint;
	readonly size: bigint;
	/** READ, WRITE. */
	readonly protection: number;
	/** Where it is; undefined for memory that has to be asked for. */
	readonly shared: { readonly backing: Backing; readonly at: number } | undefined;
}

export interface Change {
	readonly kind: "map" | "unmap";
	readonly range: ToldRange;
}

/** In granules of the table. */
interface Range {
	readonly first: number;
	readonly count: number;
	readonly granuleLg2: number;
	readonly protection: number;
	/** Where it is, if the function can have it: in bytes. */
	readonly backing: Backing | undefined;
	readonly at: number;
}

/** Where there is no list: IOVAs up to here, in ranges that servers take. Both are lg2 of bytes. */
const ALL_LG2 = 48;
const PIECE_LG2 = 42;
const PAGE_LG2 = 12;

const leaf = new Translation();
const location = new Location();

export class ToldMemory implements GroupWatcher, DomainWatcher {
	readonly #frames: Frames;
	readonly #isShared: (backing: Backing) => boolean;
	readonly #changed: () => void;
	/** Whose attachment is followed. */
	#group: Group | undefined;
	/** The paging domain that is looked at. */
	#domain: PagingDomain | undefined;
	/** Whether it marks what is written: then all DMA has to be seen. */
	#marksLeaves = false;
	/** What there is, in order. */
	#ranges: Range[] = [];
	/** Of those, what the function doesn't know yet. */
	readonly #new = new Set<Range>();
	/** What isn't there any more, and it doesn't know. */
	readonly #gone = new Set<Range>();
	#isUnmapping = false;

	/**
	 * @param isShared whether a backing is memory that the function can have, and may: what it does there nobody sees
	 * @param changed is called when there is something to tell
	 */
	constructor(frames: Frames, isShared: (backing: Backing) => boolean, changed: () => void) {
		this.#frames = frames;
		this.#isShared = isShared;
		this.#changed = changed;
	}

	/** Follows what a device reaches, from now on. Nothing is attached yet. */
	follow({ group, hasIommu }: Device): void {
		this.#group = group;
		if (hasIommu) group.watchers.add(this);
		else this.#addAll();
	}

	/** There is nobody any more who is to be told. */
	close(): void {
		this.#group?.watchers.delete(this);
		this.#domain?.watchers.delete(this);
		this.#domain = undefined;
		this.#ranges = [];
		this.#new.clear();
		this.#gone.clear();
		this.#isUnmapping = false;
	}

	/** What is to be told next; undefined if it knows all. What was told last has been done by then. */
	next(): Change | undefined {
		const gone = takeFirst(this.#gone);
		this.#isUnmapping = gone !== undefined;
		if (gone !== undefined) return { kind: "unmap", range: inBytes(gone) };
		const range = takeFirst(this.#new);
		return range && { kind: "map", range: inBytes(range) };
	}

	/** Whether the function may still take memory for its own that it may not reach any more. */
	get isAhead(): boolean {
		return this.#gone.size > 0 || this.#isUnmapping;
	}

	attached(domain: Domain): void {
		this.#domain?.watchers.delete(this);
		this.#domain = undefined;
		this.#dropAll();
		if (domain.type === "paging") this.#lookAt(domain as PagingDomain);
		else if (domain.type !== "blocked") this.#addAll();
		this.#changed();
	}

	mapped(stretch: Stretch): void {
		this.#addStretch(this.#domain!, stretch);
		this.#changed();
	}

	unmapped({ first, count }: Stretch): void {
		if (this.#drop(first, first + count)) this.#changed();
	}

	/** What is written may begin to be marked, or not to be: a flush comes with that. */
	#awaitMarking(domain: PagingDomain): void {
		domain.notes.add(() => {
			if (this.#domain !== domain) return;
			if (domain.marksLeaves === this.#marksLeaves) {
				this.#awaitMarking(domain);
				return;
			}
			this.#dropAll();
			this.#lookAt(domain);
			this.#changed();
		});
	}

	#lookAt(domain: PagingDomain): void {
		this.#domain = domain;
		this.#marksLeaves = domain.marksLeaves;
		domain.watchers.add(this);
		this.#awaitMarking(domain);
		for (const stretch of domain.stretches()) this.#addStretch(domain, stretch);
	}

	// --- What is there ---

	#addAll(): void {
		const count = 2 ** (PIECE_LG2 - PAGE_LG2);
		for (let first = 0; first < 2 ** (ALL_LG2 - PAGE_LG2); first += count)
			this.#add({ first, count, granuleLg2: PAGE_LG2, protection: READ | WRITE, backing: undefined, at: 0 });
	}

	/** One range, or several where it lies in several places. */
	#addStretch({ table }: PagingDomain, { first, count }: Stretch): void {
		const { granuleLg2 } = table.format;
		let last: Range | undefined;
		for (let at = first; at < first + count; ) {
			// What was mapped may be memory that has been taken away since.
			if (!table.lookup(at, leaf)) {
				at++;
				continue;
			}
			const length = Math.min(leaf.leafVa + leaf.leafFrames - at, first + count - at);
			const piece = this.#pieceAt(at, leaf.frame, length, granuleLg2);
			if (last !== undefined && follows(piece, last)) last = { ...last, count: last.count + piece.count };
			else {
				if (last !== undefined) this.#add(last);
				last = piece;
			}
			at += piece.count;
		}
		if (last !== undefined) this.#add(last);
	}

	/** What is at a place in a leaf, as far as it lies in one place. */
	#pieceAt(first: number, frame: number, count: number, granuleLg2: number): Range {
		const protection = leaf.protection & (READ | WRITE);
		const mayShare = !this.#marksLeaves && granuleLg2 === PAGE_LG2;
		if (mayShare && this.#frames.locateInto(frame, location)) {
			const { backing, page, count: pages } = location;
			const isShared = this.#isShared(backing);
			return {
				...{ first, count: Math.min(count, pages), granuleLg2, protection },
				...{ backing: isShared ? backing : undefined, at: isShared ? page * PAGE_SIZE : 0 },
			};
		}
		return { first, count: mayShare ? 1 : count, granuleLg2, protection, backing: undefined, at: 0 };
	}

	#add(range: Range): void {
		this.#ranges.splice(this.#indexAt(range.first), 0, range);
		this.#new.add(range);
	}

	#dropAll(): void {
		this.#drop(0, Number.POSITIVE_INFINITY);
	}

	/** What reaches beyond the end is told anew. @returns whether there was something */
	#drop(first: number, end: number): boolean {
		const index = this.#indexAt(first);
		let until = index;
		while (until < this.#ranges.length && this.#ranges[until].first < end) until++;
		const dropped = this.#ranges.splice(index, until - index);
		for (const range of dropped) {
			if (!this.#new.delete(range)) this.#gone.add(range);
			if (range.first < first) this.#add(part(range, range.first, first));
			if (endOf(range) > end) this.#add(part(range, end, endOf(range)));
		}
		return dropped.length > 0;
	}

	/** Of the first range that doesn't end before `at`. */
	#indexAt(at: number): number {
		let low = 0;
		let high = this.#ranges.length;
		while (low < high) {
			const middle = (low + high) >>> 1;
			if (endOf(this.#ranges[middle]) <= at) low = middle + 1;
			else high = middle;
		}
		return low;
	}
}

function takeFirst<T>(set: Set<T>): T | undefined {
	const [first] = set;
	if (first !== undefined) set.delete(first);
	return first;
}

function endOf({ first, count }: Range): number {
	return first + count;
}

function part(range: Range, first: number, end: number): Range {
	const skipped = range.backing === undefined ? 0 : (first - range.first) * PAGE_SIZE;
	return { ...range, first, count: end - first, at: range.at + skipped };
}

/** Whether one range goes on with another. */
function follows(next: Range, last: Range): boolean {
	if (next.first !== endOf(last) || next.protection !== last.protection || next.backing !== last.backing) return false;
	return next.backing === undefined || next.at === last.at + last.count * PAGE_SIZE;
}

function inBytes({ first, count, granuleLg2, protection, backing, at }: Range): ToldRange {
	const shift = BigInt(granuleLg2);
	return {
		iova: BigInt(first) << shift,
		size: BigInt(count) << shift,
		protection,
		shared: backing === undefined ? undefined : { backing, at },
	};
}
