// An access: how a driver without DMA of its own (an emulated device, a hardware queue) uses an IOAS.
// drivers/iommu/iommufd/device.c.

import { allocation, iommufdFails } from "../faults/faults.js";
import type { Share } from "../faults/memory-budget.js";
import { Undo } from "../faults/undo.js";
import type { Caller } from "../files/caller.js";
import { PAGE_SIZE } from "../memory/address-space.js";
import type { Runs } from "../memory/runs.js";
import { READ, WRITE } from "../pagetable/format.js";
import { Errno, hex } from "../uapi/errno.js";
import { worked } from "../uapi/slices.js";
import type { Context } from "./context.js";
import type { Area } from "./io-pagetable/area.js";
import { inWords, type MapUser } from "./io-pagetable/io-pagetable.js";
import { type Interval, LAST_IOVA } from "./io-pagetable/iova-ranges.js";
import { rwPages } from "./io-pagetable/pages-rw.js";
import type { Ioas } from "./ioas.js";
import { IommufdObject } from "./object.js";

/** What the driver says of itself. struct iommufd_access_ops */
export interface AccessOps {
	/** Whether it pins pages: then the IOVAs of the IOAS have to be aligned to them. */
	readonly needsPinPages: boolean;
	/** Something in first..last is to be unmapped: it has to unpin what it has there before it returns. */
	unmap(first: bigint, last: bigint): void;
}

/** What access.rw() does. */
export interface RwOptions {
	readonly write: boolean;
	/** By way of the pages, also where the caller's own addresses lead to the same memory. */
	readonly slowPath: boolean;
}

const PAGE = BigInt(PAGE_SIZE);
/** What a pin of an area takes, in bytes: here, in the area's uses and at whoever pins. */
const PIN_BYTES = 400;
/** What it takes to pin an area, as slices.ts counts. */
const PER_AREA = 200;

export class Access extends IommufdObject implements MapUser {
	override readonly kind = "ACCESS";
	readonly iovaAlignment: bigint;
	readonly #context: Context;
	/** Absent for one of iommufd's own, which lets nothing be unmapped that it has pinned. */
	readonly #ops: AccessOps | undefined;
	#ioas: Ioas | undefined;
	/** As long as it leaves an IOAS it may still unpin there, but pin no more. */
	#unpinFrom: Ioas | undefined;

	readonly #purpose: string | undefined;
	#locked: Interval | undefined;

	private constructor(context: Context, id: number, ops: AccessOps | undefined, purpose: string | undefined) {
		super(id);
		this.#purpose = purpose;
		this.#context = context;
		this.#ops = ops;
		this.iovaAlignment = ops === undefined || ops.needsPinPages ? PAGE : 1n;
	}

	/**
	 * Makes an access that is attached to nothing. destroyUser() of the table of objects undoes it.
	 * @param ops undefined for one of iommufd's own, which lives no longer than the context
	 * @param purpose whose it is then, for a reason
	 */
	static create(context: Context, ops: AccessOps | undefined, purpose?: string): Access {
		const access = new Access(context, context.objects.reserve("ACCESS"), ops, purpose);
		access.users++; // the driver
		if (ops !== undefined) context.hold();
		context.objects.install(access);
		return access;
	}

	get ioas(): Ioas | undefined {
		return this.#ioas;
	}

	/** What it keeps from being unmapped. */
	get locked(): Interval | undefined {
		return this.#locked;
	}

	get needsPinPages(): boolean {
		return this.#ops?.needsPinPages ?? true;
	}

	/** Whether what it pins can't be unmapped before it unpins it of its own accord. */
	get #locks(): boolean {
		return this.#ops === undefined;
	}

	hasLocked(first: bigint, last: bigint): boolean {
		return this.#locked !== undefined && this.#locked.first <= last && this.#locked.last >= first;
	}

	unmap(first: bigint, last: bigint): void {
		this.#ops?.unmap(first, last);
	}

	/**
	 * Goes over to an IOAS, or leaves the one that it has. What it has pinned in the old one is unpinned.
	 * @throws EADDRINUSE when a mapping of the new one is not aligned as the access needs it; nothing changes then
	 */
	attach(ioas: Ioas | undefined): void {
		const old = this.#ioas;
		if (old === ioas) return;
		if (ioas !== undefined) {
			ioas.map.addAccess(this);
			ioas.users++;
		}
		if (old !== undefined) {
			this.#ioas = undefined;
			this.#ops?.unmap(0n, LAST_IOVA);
			old.map.removeAccess(this);
			old.users--;
		}
		this.#ioas = ioas;
		this.#unpinFrom = ioas;
	}

	/**
	 * Has the pages of a range stay where they are until unpin().
	 * @param into gets the frames, one for each page that the range touches
	 * @throws EINVAL, EOVERFLOW, ENOENT for a gap, EPERM for a mapping that doesn't let it, and what pinning throws
	 */
	pin(iova: bigint, length: bigint, write: boolean, into: Runs): void {
		const last = lastOf(iova, length);
		const ioas = this.#attached();
		let at = iova;
		using undo = new Undo();
		undo.push(() => this.#unpin(ioas, iova, at - 1n));
		for (const area of ioas.map.contiguous(iova, last)) {
			const end = area.last < last ? area.last : last;
			if (ioas.map.uses.of(area).isPrevented) throw beingUnmapped(area);
			checkAligned(area, at, area.last < last);
			checkMemory(area, write);
			pinArea(area, area.indexOf(at), area.indexOf(end), into, this.#context.platform.budget.pins);
			ioas.map.uses.add(area, this.#locks);
			at = end + 1n;
			worked(PER_AREA);
		}
		if (at <= last) throw gap(ioas, at);
		if (this.#locks) this.#locked = { first: iova, last };
		undo.keep();
	}

	/** Undoes one pin() of the very same range. */
	unpin(iova: bigint, length: bigint): void {
		this.#locked = undefined;
		this.#unpin(this.#unpinFrom!, iova, iova + length - 1n);
	}

	#unpin(ioas: Ioas, first: bigint, last: bigint): void {
		if (last < first) return;
		let at = first;
		for (const area of ioas.map.contiguous(first, last)) {
			const end = area.last < last ? area.last : last;
			area.pages.drop(area.indexOf(at), area.indexOf(end));
			this.#context.platform.budget.pins.uncharge(PIN_BYTES);
			ioas.map.uses.drop(area, this.#locks);
			at = end + 1n;
			worked(PER_AREA);
		}
	}

	/**
	 * Copies between `data` and the memory behind an IOVA. What was written before an error stays written.
	 * @throws EINVAL, EOVERFLOW, ENOENT for a gap, EPERM for a mapping that doesn't let it, EFAULT
	 */
	rw(caller: Caller, iova: bigint, data: Uint8Array, options: RwOptions): void {
		const last = lastOf(iova, BigInt(data.length));
		const ioas = this.#attached();
		let at = iova;
		for (const area of ioas.map.contiguous(iova, last)) {
			const end = area.last < last ? area.last : last;
			if (ioas.map.uses.of(area).isPrevented) throw beingUnmapped(area);
			checkMemory(area, options.write);
			const part = data.subarray(Number(at - iova), Number(end + 1n - iova));
			rwPages(area.pages, Number(area.startByte(at)), part, caller, options);
			at = end + 1n;
		}
		if (at <= last) throw gap(ioas, at);
	}

	#attached(): Ioas {
		if (this.#ioas === undefined) throw new Errno("ENOENT", `${this} is attached to no IOAS`);
		return this.#ioas;
	}

	override uses(): readonly IommufdObject[] {
		return this.#ioas === undefined ? [] : [this.#ioas];
	}

	override keptBy(): readonly string[] {
		return [this.#purpose ?? "the driver that has made it"];
	}

	override toString(): string {
		return this.#purpose ?? super.toString();
	}

	override destroy(): void {
		this.attach(undefined);
		if (this.#ops !== undefined) this.#context.drop();
	}
}

/** Pins pages of an area that stand for IOVAs, and appends their frames. */
function pinArea({ pages }: Area, first: number, last: number, into: Runs, budget: Share): void {
	using undo = new Undo();
	pages.hold(first, last);
	undo.push(() => pages.drop(first, last));
	pages.account();
	if (iommufdFails("keeping pinned pages"))
		throw new Errno("EINVAL", `fault injection: ${last - first + 1} pinned pages can't be remembered`);
	allocation("an access to an area");
	budget.charge(PIN_BYTES);
	pages.runs(first, last, into);
	undo.keep();
}

/** @throws EINVAL or EOVERFLOW for a range that is none */
function lastOf(iova: bigint, length: bigint): bigint {
	if (length === 0n) throw new Errno("EINVAL", "length is 0: an access is to one byte at least", "zero-length");
	const last = iova + length - 1n;
	if (last > LAST_IOVA)
		throw new Errno(
			"EOVERFLOW",
			`an access to IOVA ${hex(iova)} + length ${hex(length)} goes beyond the 64-bit space`,
			"overflow",
		);
	return last;
}

/**
 * @param goesOn whether the range goes on after the area
 * @throws EINVAL when the pages that are pinned would not follow one another as the IOVAs do
 */
function checkAligned(area: Area, iova: bigint, goesOn: boolean): void {
	if (area.startByte(iova) % PAGE !== 0n)
		throw new Errno("EINVAL", `IOVA ${hex(iova)} of the mapping ${inWords(area)} is not the first byte of a page`);
	if (goesOn && (area.startByte(area.last) + 1n) % PAGE !== 0n)
		throw new Errno("EINVAL", `the mapping ${inWords(area)} ends within a page, and the range goes on after it`);
}

/** @throws EPERM, EINVAL for memory that has no pages */
function checkMemory(area: Area, write: boolean): void {
	if ((area.protection & (write ? WRITE : READ)) === 0)
		throw new Errno(
			"EPERM",
			`the mapping ${inWords(area)} is not ${write ? "writeable" : "readable"}`,
			"map-permission",
		);
	if (write && !area.pages.writable)
		throw new Errno("EPERM", `the memory behind the mapping ${inWords(area)} was mapped read-only`);
	if (area.pages.kind === "dmabuf")
		throw new Errno(
			"EINVAL",
			`the mapping ${inWords(area)} is one of a dma-buf, which only devices can use`,
			"dma-buf",
		);
}

function beingUnmapped(area: Area): Errno {
	return new Errno("EINVAL", `the mapping ${inWords(area)} is being unmapped, so nothing is pinned in it any more`);
}

function gap(ioas: Ioas, iova: bigint): Errno {
	return new Errno("ENOENT", `an access finds nothing mapped at IOVA ${hex(iova)} of ${ioas}`, "nothing-mapped");
}
