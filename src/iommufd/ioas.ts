// The I/O address space and its ioctls. drivers/iommu/iommufd/ioas.c.

import { allocation } from "../faults/faults.js";
import { Undo } from "../faults/undo.js";
import { type AddressSpace, copyIn, copyOut } from "../memory/address-space.js";
import { CACHE, READ, WRITE } from "../pagetable/format.js";
import { Errno, hex } from "../uapi/errno.js";
import {
	type IoasAlloc,
	type IoasAllowIovas,
	type IoasCopy,
	type IoasIovaRanges,
	type IoasMap,
	type IoasMapFile,
	IoasMapFlags,
	type IoasUnmap,
	IovaRange,
} from "../uapi/iommufd.js";
import { worked } from "../uapi/slices.js";
import type { Args } from "../uapi/struct.js";
import type { Call } from "./call.js";
import type { Context } from "./context.js";
import { DmaBuf } from "./dmabuf.js";
import type { PagingHwpt } from "./hwpt.js";
import type { IntervalSet } from "./io-pagetable/interval-set.js";
import { IoPagetable } from "./io-pagetable/io-pagetable.js";
import { LAST_IOVA } from "./io-pagetable/iova-ranges.js";
import { FilePages, type Pages, UserPages } from "./io-pagetable/pages.js";
import { IommufdObject } from "./object.js";

export class Ioas extends IommufdObject {
	override readonly kind = "IOAS";
	readonly #context: Context;
	// Both are made when somebody asks for them: programs allocate more than they use, and an IOAS without them is an
	// eighth as large. To allocate it is to have the garbage collector copy it, so that size is time.
	#map: IoPagetable | undefined;
	#hwpts: PagingHwpt[] | undefined;

	constructor(context: Context, id: number) {
		super(id);
		this.#context = context;
	}

	get map(): IoPagetable {
		this.#map ??= new IoPagetable(this.#context.platform, `IOAS ${this.id}`);
		return this.#map;
	}

	/** The same for who only looks; undefined as long as nobody has used it. */
	get mapIfMade(): IoPagetable | undefined {
		return this.#map;
	}

	/** The HWPTs that show this IOAS, in the order in which they were made. */
	get hwpts(): PagingHwpt[] {
		this.#hwpts ??= [];
		return this.#hwpts;
	}

	override destroy(): void {
		this.#map?.unmap(0n, LAST_IOVA);
		this.#map?.dispose();
		if (this.#context.vfioIoas === this) this.#context.vfioIoas = undefined;
	}
}

/** IOMMU_IOAS_ALLOC */
export function ioasAlloc(call: Call, alloc: Args<typeof IoasAlloc>): void {
	const { context } = call;
	const id = context.objects.reserve("IOAS");
	try {
		alloc.outIoasId = id;
		call.respond();
	} catch (error) {
		context.objects.cancel(id);
		throw error;
	}
	context.objects.install(new Ioas(context, id));
}

/** IOMMU_IOAS_IOVA_RANGES */
export function ioasIovaRanges(call: Call, query: Args<typeof IoasIovaRanges>): void {
	const ioas = call.context.objects.get(query.ioasId, Ioas, "ioas_id");
	const room = query.numIovas;
	const range = IovaRange.newView();
	let count = 0;
	for (const { first, last } of ioas.map.ranges.usable()) {
		if (count < room) {
			range.start = first;
			range.last = last;
			copyOut(call.caller.memory, query.allowedIovas + count * IovaRange.size, range.bytes, "allowed_iovas");
			worked(PER_COPY);
		}
		count++;
	}
	query.numIovas = count;
	query.outIovaAlignment = ioas.map.alignment;
	call.respond();
	if (count > room)
		throw new Errno("EMSGSIZE", `${ioas} has ${count} ranges, and num_iovas has room for ${room}`, "ask-twice");
}

/** IOMMU_IOAS_ALLOW_IOVAS */
export function ioasAllowIovas(call: Call, allow: Args<typeof IoasAllowIovas>): void {
	const { map } = call.context.objects.get(allow.ioasId, Ioas, "ioas_id");
	const ranges = map.ranges.newSet();
	using undo = new Undo();
	undo.push(() => ranges.dispose());
	readRanges(call.caller.memory, allow.allowedIovas, allow.numIovas, ranges);
	map.allow(ranges);
	undo.keep();
}

/** What it takes to copy something small to the caller, and to take an allowed range in, as slices.ts counts. */
const PER_COPY = 300;
const PER_RANGE = 150;

/** Of a caller's array, so many ranges are read at a time. */
const READ_AT_ONCE = 4096;
const rangeBytes = new Uint8Array(READ_AT_ONCE * IovaRange.size);
const rangeWords = new Uint32Array(rangeBytes.buffer);

/** Reads the caller's array of ranges. They count one by one, so a bad range comes before a bad address that is behind it. */
function readRanges(memory: AddressSpace, address: number, count: number, into: IntervalSet): void {
	const { size } = IovaRange;
	for (let done = 0; done < count; ) {
		const some = Math.min(READ_AT_ONCE, count - done);
		const at = address + done * size;
		const read = Math.floor(memory.read(at, rangeBytes.subarray(0, some * size)) / size);
		for (let i = 0; i < read; i++) addRange(done + i, rangeWords.subarray(i * 4, i * 4 + 4), into);
		// Where it ends says why.
		if (read < some) copyIn(memory, at + read * size, rangeBytes.subarray(0, size), "allowed_iovas");
		done += read;
		worked(read * PER_RANGE);
	}
}

/** @param words of a struct iommu_iova_range: start, last */
function addRange(index: number, words: Uint32Array, into: IntervalSet): void {
	const [firstLow, firstHigh, lastLow, lastHigh] = words;
	const inWords = () => `${hex(join(firstLow, firstHigh))} to ${hex(join(lastLow, lastHigh))}`;
	if (firstHigh > lastHigh || (firstHigh === lastHigh && firstLow >= lastLow))
		throw new Errno("EINVAL", `allowed_iovas[${index}], ${inWords()}, doesn't end after its start`, "range-list");
	allocation("an allowed range");
	if (!into.add(firstLow, firstHigh, lastLow, lastHigh))
		throw new Errno("EINVAL", `allowed_iovas[${index}], ${inWords()}, overlaps another of the ranges`, "range-list");
}

function join(low: number, high: number): bigint {
	return (BigInt(high) << 32n) | BigInt(low);
}

/** IOMMU_IOAS_MAP */
export function ioasMap(call: Call, map: Args<typeof IoasMap>): void {
	const { flags, length } = map;
	checkRange(map.iova, length);
	const protection = protectionOf(flags);
	const ioas = call.context.objects.get(map.ioasId, Ioas, "ioas_id");
	map.iova = mapUserMemory(call, ioas, map.userVa, length, fixedIova(flags, map.iova), protection);
	call.respond();
}

/** IOMMU_IOAS_MAP_FILE */
export function ioasMapFile(call: Call, map: Args<typeof IoasMapFile>): void {
	const { context, caller } = call;
	const { flags, length, start } = map;
	checkRange(map.iova, length);
	const protection = protectionOf(flags);
	const ioas = context.objects.get(map.ioasId, Ioas, "ioas_id");
	if (length === 0n) throw new Errno("EINVAL", "length is 0: nothing of the file is to be mapped", "zero-length");
	if (start + length - 1n > LAST_IOVA)
		throw new Errno(
			"EOVERFLOW",
			`the file's start ${hex(start)} + length ${hex(length)} goes beyond the 64-bit space`,
			"overflow",
		);
	const file = caller.file(map.fd);
	if (file === undefined) throw new Errno("EBADF", `fd ${map.fd} is not open`, "fd");
	const writable = (protection & WRITE) !== 0;
	const pages =
		file.kind === "ours" && file.file instanceof DmaBuf
			? file.file.pages(context, caller, start, length, writable)
			: new FilePages(context, caller, file, start, length, writable);
	map.iova = mapPages(context, ioas, pages, start & 0xfffn, length, fixedIova(flags, map.iova), protection);
	call.respond();
}

/** IOMMU_IOAS_COPY */
export function ioasCopy(call: Call, copy: Args<typeof IoasCopy>): void {
	const { context } = call;
	const { flags, srcIova } = copy;
	checkRange(srcIova, copy.length);
	checkRange(copy.dstIova, copy.length);
	const protection = protectionOf(flags);
	const source = context.objects.get(copy.srcIoasId, Ioas, "src_ioas_id");
	const slices = source.map.slices(srcIova, copy.length);
	using undo = new Undo();
	undo.push(() => source.map.releaseSlices(slices));
	const destination = context.objects.get(copy.dstIoasId, Ioas, "dst_ioas_id");
	copy.dstIova = destination.map.map(slices, copy.length, fixedIova(flags, copy.dstIova), protection);
	call.respond();
}

/** IOMMU_IOAS_UNMAP */
export function ioasUnmap(call: Call, unmap: Args<typeof IoasUnmap>): void {
	const { iova, length } = unmap;
	const ioas = call.context.objects.get(unmap.ioasId, Ioas, "ioas_id");
	const everything = iova === 0n && length === LAST_IOVA;
	if (everything) unmap.length = ioas.map.unmap(0n, LAST_IOVA);
	else {
		checkRange(iova, length);
		if (length === 0n) throw new Errno("EINVAL", "length is 0: nothing is to be unmapped", "zero-length");
		if (iova + length - 1n > LAST_IOVA)
			throw new Errno(
				"EOVERFLOW",
				`iova ${hex(iova)} + length ${hex(length)} goes beyond the 64-bit space`,
				"overflow",
			);
		unmap.length = ioas.map.unmap(iova, iova + length - 1n);
		if (unmap.length === 0n)
			throw new Errno(
				"ENOENT",
				`nothing is mapped from ${hex(iova)} to ${hex(iova + length - 1n)} in ${ioas}`,
				"nothing-mapped",
			);
	}
	call.respond();
}

/**
 * Maps memory of the caller.
 * @param userVa in bytes; @param iova undefined to have one chosen; @param protection READ, WRITE, CACHE
 * @returns the IOVA
 */
export function mapUserMemory(
	{ context, caller }: Call,
	ioas: Ioas,
	userVa: bigint,
	length: bigint,
	iova: bigint | undefined,
	protection: number,
): bigint {
	const pages = new UserPages(context, caller, userVa, length, (protection & WRITE) !== 0);
	return mapPages(context, ioas, pages, userVa & 0xfffn, length, iova, protection);
}

/**
 * Maps new pages that nothing else uses.
 * @param startByte where in the first page they begin
 */
function mapPages(
	context: Context,
	ioas: Ioas,
	pages: Pages,
	startByte: bigint,
	length: bigint,
	iova: bigint | undefined,
	protection: number,
): bigint {
	if (context.accountMode === "mm" && pages.accountMode === "user") pages.accountMode = "mm";
	return ioas.map.map([{ pages, startByte, length }], length, iova, protection);
}

/** The IOVA that the caller asks for; undefined when one is to be chosen. */
function fixedIova(flags: number, iova: bigint): bigint | undefined {
	return flags & IoasMapFlags.FIXED_IOVA ? iova : undefined;
}

/** @throws EOVERFLOW for the one value of 64 bits that Linux keeps for itself */
function checkRange(iova: bigint, length: bigint): void {
	if (iova === LAST_IOVA || length === LAST_IOVA)
		throw new Errno("EOVERFLOW", `an IOVA or a length of ${hex(LAST_IOVA)} is out of range`, "overflow");
}

/** @throws EINVAL when a mapping is to be neither readable nor writeable */
function protectionOf(flags: number): number {
	const readable = flags & IoasMapFlags.READABLE ? READ : 0;
	const writeable = flags & IoasMapFlags.WRITEABLE ? WRITE : 0;
	if (readable + writeable === 0)
		throw new Errno("EINVAL", "a mapping is READABLE, WRITEABLE or both: flags has neither", "map-permission");
	// Nobody gives user space a way to flush caches, so all DMA is coherent: bind refuses devices that cannot.
	return readable | writeable | CACHE;
}
