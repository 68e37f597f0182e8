// The IOVAs of an IOAS that are reserved, allowed and free, and the choice of an IOVA for who doesn't name one.
// struct io_pagetable's reserved_itree and allowed_itree, and iopt_alloc_iova(), in drivers/iommu/iommufd/io_pagetable.c.

import { MemoryBudget, type Share } from "../../faults/memory-budget.js";
import { IntervalSet } from "./interval-set.js";

export const LAST_IOVA = (1n << 64n) - 1n;

const PAGE = 4096n;
/** Linux aligns no IOVA more than to a huge page of the CPU. */
const HUGE_PAGE = 1n << 21n;

/** Both ends are in bytes, and belong to the interval. */
export interface Interval {
	readonly first: bigint;
	readonly last: bigint;
}

/** A range that can't be mapped because of a device, a domain's aperture, or a test. */
export interface Reservation extends Interval {
	readonly owner: object | undefined;
	/** What it is, for a reason: "the interrupt window of 0000:00:02.0". */
	readonly what: string;
}

/** What a reservation takes, in bytes. */
const RESERVATION_BYTES = 120;

export class IovaRanges {
	/** By first IOVA. They may overlap: several devices have the same window. */
	readonly #reserved: Reservation[] = [];
	#allowed: IntervalSet;
	readonly #budget: Share;

	/** @param budget what they are charged to */
	constructor(budget = new MemoryBudget().ranges) {
		this.#budget = budget;
		this.#allowed = new IntervalSet(budget);
	}

	/** Gives back what they take. */
	dispose(): void {
		this.#allowed.dispose();
		this.#budget.uncharge(this.#reserved.length * RESERVATION_BYTES);
		this.#reserved.length = 0;
	}

	/** Takes a range away until unreserve(owner). @throws ENOMEM */
	reserve(first: bigint, last: bigint, owner: object | undefined, what: string): void {
		this.#budget.charge(RESERVATION_BYTES);
		let at = this.#reserved.length;
		while (at > 0 && this.#reserved[at - 1].first > first) at--;
		this.#reserved.splice(at, 0, { first, last, owner, what });
	}

	/** Gives back everything that was reserved for an owner. */
	unreserve(owner: object | undefined): void {
		let kept = 0;
		for (const reservation of this.#reserved) if (reservation.owner !== owner) this.#reserved[kept++] = reservation;
		this.#budget.uncharge((this.#reserved.length - kept) * RESERVATION_BYTES);
		this.#reserved.length = kept;
	}

	/** All of them, by first IOVA. */
	get reserved(): readonly Reservation[] {
		return this.#reserved;
	}

	/** The first reserved range that has a byte of first..last. */
	reservedIn(first: bigint, last: bigint): Reservation | undefined {
		return firstIn(this.#reserved, first, last);
	}

	/** The first allowed range that has a byte of first..last. */
	allowedIn(first: bigint, last: bigint): Interval | undefined {
		return this.#allowed.firstIn(first, last);
	}

	/** A set that can be allowed. */
	newSet(): IntervalSet {
		return new IntervalSet(this.#budget);
	}

	/** The first of some ranges that has something which is reserved. */
	firstReserved(ranges: IntervalSet): Interval | undefined {
		let first: Interval | undefined;
		for (const reserved of this.#reserved) {
			const range = ranges.firstIn(reserved.first, reserved.last);
			if (range !== undefined && (first === undefined || range.first < first.first)) first = range;
		}
		return first;
	}

	/** Whether an IOVA is chosen only in some ranges. */
	get hasAllowed(): boolean {
		return this.#allowed.size > 0;
	}

	/** Replaces the allowed ranges. None means that everything is allowed. */
	allow(ranges: IntervalSet): void {
		this.#allowed.dispose();
		this.#allowed = ranges;
	}

	/** What is not reserved, in order. */
	*usable(): Generator<Interval> {
		yield* gaps(this.#reserved, 0n, LAST_IOVA);
	}

	/**
	 * Chooses an IOVA: the lowest one that is allowed, not reserved, not in `taken`, and never 0. It keeps the alignment
	 * that the memory has, as far as the length gives a reason to.
	 * @param address where the memory is, in bytes: low bits that the IOVA will share
	 * @param taken what is in use, in order, from a place on; it may join intervals that have less room between them
	 * @returns undefined when there is no room
	 */
	choose(
		address: bigint,
		length: bigint,
		taken: (from: bigint, room: bigint) => Iterable<Interval>,
	): bigint | undefined {
		const alignment = alignmentFor(address, length);
		const offset = address % PAGE;
		for (const allowed of this.#allowedSpans()) {
			const from = lowestFit(allowed.first, allowed.last, length, alignment, offset);
			if (from === undefined) continue;
			for (const free of freeSpans(this.#reserved, taken(from, length), from, allowed.last)) {
				const iova = lowestFit(free.first, free.last, length, alignment, offset);
				if (iova !== undefined) return iova;
			}
		}
		return undefined;
	}

	/** The allowed ranges with neighbours joined; without any, all but the first and the last page. */
	*#allowedSpans(): Generator<Interval> {
		if (this.#allowed.size === 0) yield { first: PAGE, last: LAST_IOVA - PAGE };
		else
			for (const span of joined(this.#allowed)) {
				const first = span.first < PAGE ? PAGE : span.first;
				const last = span.last > LAST_IOVA - PAGE ? LAST_IOVA - PAGE : span.last;
				if (first <= last) yield { first, last };
			}
	}
}

/** The alignment that a chosen IOVA gets, in bytes: that of the memory, but no more than the length or a huge page asks for. */
export function alignmentFor(address: bigint, length: bigint): bigint {
	// The next power of two.
	const ofLength = length >= HUGE_PAGE ? Number(HUGE_PAGE) : 2 ** (32 - Math.clz32(Number(length) - 1));
	const low = Number(address & (HUGE_PAGE - 1n));
	const ofAddress = low & -low;
	return BigInt(low !== 0 && ofAddress < ofLength ? ofAddress : ofLength);
}

/** The lowest aligned IOVA in first..last where `length` bytes fit; Linux wants the range to be longer than one byte. */
function lowestFit(first: bigint, last: bigint, length: bigint, alignment: bigint, offset: bigint): bigint | undefined {
	const aligned = ((first + alignment - 1n) & ~(alignment - 1n)) | offset;
	return aligned >= last || last - aligned < length - 1n ? undefined : aligned;
}

function firstIn<T extends Interval>(sorted: readonly T[], first: bigint, last: bigint): T | undefined {
	return sorted.find((range) => range.first <= last && range.last >= first);
}

/** Sorted intervals with those that touch or overlap made one. */
function* joined(sorted: Iterable<Interval>): Generator<Interval> {
	let span: { first: bigint; last: bigint } | undefined;
	for (const range of sorted) {
		if (span !== undefined && range.first <= span.last + 1n) {
			if (range.last > span.last) span.last = range.last;
			continue;
		}
		if (span !== undefined) yield span;
		span = { first: range.first, last: range.last };
	}
	if (span !== undefined) yield span;
}

/** What of first..last is in none of the sorted intervals. */
function* gaps(sorted: Iterable<Interval>, first: bigint, last: bigint): Generator<Interval> {
	let at = first;
	for (const used of joined(sorted)) {
		if (used.last < at) continue;
		if (used.first > last) break;
		if (used.first > at) yield { first: at, last: used.first - 1n };
		at = used.last + 1n;
		if (at > last) return;
	}
	if (at <= last) yield { first: at, last };
}

/** What of first..last is neither reserved nor taken. */
function* freeSpans(
	reserved: readonly Interval[],
	taken: Iterable<Interval>,
	first: bigint,
	last: bigint,
): Generator<Interval> {
	for (const gap of gaps(taken, first, last)) yield* gaps(reserved, gap.first, gap.last);
}
