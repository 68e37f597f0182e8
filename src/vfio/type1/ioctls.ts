// The ioctls of a container that type 1 is behind. vfio_iommu_type1_ioctl() in drivers/vfio/vfio_iommu_type1.c.

import type { Caller } from "../../files/caller.js";
import { copyIn, PAGE_SIZE, PINNABLE_END } from "../../memory/address-space.js";
import { pageOf } from "../../memory/page-number.js";
import { CACHE, READ, WRITE } from "../../pagetable/format.js";
import { Errno, hex } from "../../uapi/errno.js";
import { strayIoctl } from "../../uapi/ioctl-names.js";
import { checkFields, readVfioCommand, respond } from "../../uapi/rules.js";
import type { AnyStruct } from "../../uapi/struct.js";
import {
	VfioBitmap,
	VfioDirtyPagesFlags,
	VfioDmaMapFlags,
	VfioDmaUnmapFlags,
	VfioExtension,
	VfioIommuDirtyPages,
	VfioIommuGetInfo,
	VfioIommuMapDma,
	VfioIommuType1DirtyBitmapGet,
	VfioIommuUnmapDma,
} from "../../uapi/vfio.js";
import { bitmapBytes, LARGEST_BITMAP } from "./dirty-bits.js";
import { getInfo } from "./info.js";
import type { Mapping, MappingOwner } from "./mapping.js";
import type { Type1 } from "./type1.js";

const LAST = (1n << 64n) - 1n;
const LAST_PAGE = pageOf(LAST);

/** @throws ENOTTY for what is no ioctl of type 1's, and what the ioctls throw */
export function type1Ioctl(type1: Type1, caller: Caller, command: number, argument: number): void {
	switch (command) {
		case VfioIommuGetInfo.number:
			getInfo(type1, caller.memory, argument);
			break;
		case VfioIommuMapDma.number:
			mapDma(type1, caller, argument);
			break;
		case VfioIommuUnmapDma.number:
			unmapDma(type1, caller, argument);
			break;
		case VfioIommuDirtyPages.number:
			dirtyPages(type1, caller, argument);
			break;
		default:
			throw strayIoctl("ENOTTY", command, "a container of type 1", ["container"]);
	}
}

/**
 * VFIO_CHECK_EXTENSION
 * @param type1 undefined where the container has no back end yet
 */
export function type1Has(type1: Type1 | undefined, extension: number): boolean {
	switch (extension) {
		case VfioExtension.TYPE1_IOMMU:
		case VfioExtension.TYPE1v2_IOMMU:
		case VfioExtension.UNMAP_ALL:
			return true;
		case VfioExtension.UPDATE_VADDR:
			return type1 !== undefined;
		case VfioExtension.DMA_CC_IOMMU:
			return type1?.enforcesCacheCoherency ?? false;
		default:
			return false;
	}
}

/** VFIO_IOMMU_MAP_DMA */
function mapDma(type1: Type1, caller: Caller, argument: number): void {
	readVfioCommand(caller.memory, argument, VfioIommuMapDma);
	checkFields(VfioIommuMapDma);
	const { flags, vaddr, iova, size } = VfioIommuMapDma.view;
	if (size === 0n) throw new Errno("EINVAL", "size is 0: nothing is to be mapped", "zero-length");
	if (iova + size - 1n > LAST)
		throw new Errno(
			"EOVERFLOW",
			`a mapping at iova ${hex(iova)} of size ${hex(size)} goes beyond the 64-bit space`,
			"overflow",
		);
	if (vaddr + size - 1n > LAST)
		throw new Errno("EOVERFLOW", `vaddr ${hex(vaddr)} + size ${hex(size)} goes beyond the 64-bit space`, "overflow");
	const isRead = (flags & VfioDmaMapFlags.READ) !== 0;
	const isWritten = (flags & VfioDmaMapFlags.WRITE) !== 0;
	const givesVaddr = (flags & VfioDmaMapFlags.VADDR) !== 0;
	if (givesVaddr === (isRead || isWritten))
		throw new Errno("EINVAL", "flags must have READ, WRITE or both, or VADDR alone", "type1-flags");
	if ((size | iova | vaddr) & (type1.pageSize - 1n))
		throw new Errno(
			"EINVAL",
			`iova ${hex(iova)}, vaddr ${hex(vaddr)} and size ${hex(size)} must be multiples of ${hex(type1.pageSize)}, the smallest page`,
			"smallest-page",
		);
	const page = pageOf(iova);
	const count = pagesOf(size);
	if (givesVaddr) type1.updateVaddr(page, count, ownerOf(caller));
	else {
		const protection = (isRead ? READ : 0) | (isWritten ? WRITE : 0) | CACHE;
		type1.map(page, pageOf(vaddr), count, protection, isWritten, ownerOf(caller));
	}
}

function ownerOf(caller: Caller): MappingOwner {
	return { space: caller.memory, owner: caller.owner, isUnlimited: caller.capable("CAP_IPC_LOCK") };
}

/** Of a size in bytes, which is a multiple of a page's. 2^64 isn't one that a program can give. */
function pagesOf(size: bigint): number {
	return pageOf(size);
}

/** VFIO_IOMMU_UNMAP_DMA. Answers how much was unmapped, unless that ends with an error. */
function unmapDma(type1: Type1, caller: Caller, argument: number): void {
	const argsz = readVfioCommand(caller.memory, argument, VfioIommuUnmapDma);
	checkFields(VfioIommuUnmapDma);
	const unmap = VfioIommuUnmapDma.view;
	const { flags, iova, size } = unmap;
	const all = (flags & VfioDmaUnmapFlags.ALL) !== 0;
	const takesVaddr = (flags & VfioDmaUnmapFlags.VADDR) !== 0;
	const wantsBitmap = (flags & VfioDmaUnmapFlags.GET_DIRTY_BITMAP) !== 0;
	if (wantsBitmap && (all || takesVaddr))
		throw new Errno("EINVAL", "flags has GET_DIRTY_BITMAP, with which neither ALL nor VADDR goes", "type1-flags");
	const bitmap = wantsBitmap ? bitmapBehind(caller, argument, argsz, size) : undefined;
	const pageSize = type1.pageSize;
	if (iova & (pageSize - 1n))
		throw new Errno(
			"EINVAL",
			`iova ${hex(iova)} is not a multiple of ${hex(pageSize)}, the smallest page`,
			"smallest-page",
		);
	if (all) {
		if (iova !== 0n || size !== 0n)
			throw new Errno("EINVAL", `flags has ALL, so iova ${hex(iova)} and size ${hex(size)} must be 0`, "unmap-whole");
	} else {
		if (size === 0n || size & (pageSize - 1n))
			throw new Errno(
				"EINVAL",
				`size ${hex(size)} must be a multiple of ${hex(pageSize)}, the smallest page, and not 0`,
				"smallest-page",
			);
		if (iova + size - 1n > LAST)
			throw new Errno(
				"EOVERFLOW",
				`an unmap from iova ${hex(iova)} on of size ${hex(size)} goes beyond the 64-bit space`,
				"overflow",
			);
	}
	if (bitmap !== undefined) checkTracking(type1, bitmap.pgsize);
	const first = pageOf(iova);
	const last = all ? LAST_PAGE : first + pagesOf(size) - 1;
	if (type1.isV2 && !all) checkNotCut(type1, first, last);
	let mappings = type1.mappings.in(first, last);
	// In the first version a range that begins in the middle of a mapping unmaps nothing; in its end it may lie.
	if (!type1.isV2 && mappings.length > 0 && mappings[0].page < first) mappings = [];
	unmap.size = takesVaddr ? invalidate(type1, mappings) : unmapAll(type1, caller, mappings, first, bitmap);
	respond(caller.memory, argument, VfioIommuUnmapDma, VfioIommuUnmapDma.size);
}

/** @returns the bytes that were unmapped. @throws EFAULT for a bitmap that can't be written; what came before is unmapped then */
function unmapAll(
	type1: Type1,
	caller: Caller,
	mappings: readonly Mapping[],
	first: number,
	bitmap: Bitmap | undefined,
): bigint {
	let told = 0;
	try {
		if (bitmap === undefined) told = mappings.length;
		else for (; told < mappings.length; told++) writeBits(caller, mappings[told], first, bitmap);
	} catch (error) {
		if (!(error instanceof Errno) || told === 0) throw error;
		throw error.after(`${mappings[0]} to ${mappings[told - 1]} are unmapped by now`);
	} finally {
		type1.unmap(mappings.slice(0, told));
	}
	return bytesOf(mappings);
}

/** The memory of mappings is about to move: none of them, when one of them has moved already. */
function invalidate(type1: Type1, mappings: readonly Mapping[]): bigint {
	const moved = mappings.find(({ isVaddrInvalid }) => isVaddrInvalid);
	if (moved !== undefined)
		throw new Errno("EINVAL", `${moved} has lost its address already, and has got no new one`, "vaddr");
	for (const mapping of mappings) type1.invalidateVaddr(mapping);
	return bytesOf(mappings);
}

function bytesOf(mappings: readonly Mapping[]): bigint {
	return BigInt(mappings.reduce((pages, { count }) => pages + count, 0)) * BigInt(PAGE_SIZE);
}

/** @throws EINVAL for a range that has a part of a mapping in it */
function checkNotCut({ mappings }: Type1, first: number, last: number): void {
	const atStart = mappings.firstIn(first, first);
	const atEnd = mappings.firstIn(last, last);
	const cut = atStart !== undefined && atStart.page !== first ? atStart : atEnd?.lastPage !== last ? atEnd : undefined;
	if (cut !== undefined) throw new Errno("EINVAL", `the range cuts ${cut} in two`, "unmap-whole");
}

// --- Dirty pages ---

/** A program's bitmap: a bit for each page of so many bytes. */
interface Bitmap {
	readonly pgsize: bigint;
	/** In bytes. */
	readonly address: number;
}

/** The struct vfio_bitmap behind UNMAP_DMA's. @throws EINVAL for one that doesn't suit, EFAULT */
function bitmapBehind(caller: Caller, argument: number, argsz: number, size: bigint): Bitmap {
	if (argsz < VfioIommuUnmapDma.size + VfioBitmap.size)
		throw new Errno(
			"EINVAL",
			`flags has GET_DIRTY_BITMAP, and argsz ${argsz} has no room for the bitmap's struct`,
			"argsz",
		);
	readStruct(caller, argument + VfioIommuUnmapDma.size, VfioBitmap);
	const { pgsize, size: bytes, data } = VfioBitmap.view;
	checkBitmap(size, pgsize, bytes, data);
	return { pgsize, address: Number(data) };
}

/** VFIO_IOMMU_DIRTY_PAGES */
function dirtyPages(type1: Type1, caller: Caller, argument: number): void {
	if (!type1.isV2)
		throw new Errno("EACCES", "a container of the first version of type 1 tracks no dirty pages", "dirty-pages");
	const argsz = readVfioCommand(caller.memory, argument, VfioIommuDirtyPages);
	checkFields(VfioIommuDirtyPages);
	switch (VfioIommuDirtyPages.view.flags) {
		case VfioDirtyPagesFlags.START:
			type1.startTracking();
			break;
		case VfioDirtyPagesFlags.STOP:
			type1.stopTracking();
			break;
		case VfioDirtyPagesFlags.GET_BITMAP:
			getBitmap(type1, caller, argument, argsz);
			break;
		default:
			throw new Errno("EINVAL", "flags must have one of START, STOP and GET_BITMAP", "dirty-pages");
	}
}

function getBitmap(type1: Type1, caller: Caller, argument: number, argsz: number): void {
	if (argsz - VfioIommuDirtyPages.size < VfioIommuType1DirtyBitmapGet.size)
		throw new Errno("EINVAL", `argsz ${argsz} has no room for the struct that says what GET_BITMAP is about`, "argsz");
	readStruct(caller, argument + VfioIommuDirtyPages.size, VfioIommuType1DirtyBitmapGet);
	const { iova, size, pgsize, bitmapSize, data } = VfioIommuType1DirtyBitmapGet.view;
	if (size === 0n) throw new Errno("EINVAL", "size is 0: no page is asked about", "zero-length");
	if (iova + size - 1n > LAST)
		throw new Errno(
			"EOVERFLOW",
			`dirty pages from iova ${hex(iova)} on, ${hex(size)} bytes, go beyond the 64-bit space`,
			"overflow",
		);
	checkBitmap(size, pgsize, bitmapSize, data);
	const pageSize = type1.pageSize;
	checkPageSize(type1, pgsize);
	if ((iova | size) & (pageSize - 1n))
		throw new Errno(
			"EINVAL",
			`iova ${hex(iova)} and size ${hex(size)} must be multiples of ${hex(pageSize)}`,
			"smallest-page",
		);
	checkTracking(type1, pgsize);
	const first = pageOf(iova);
	const last = first + pagesOf(size) - 1;
	checkNotCut(type1, first, last);
	const bitmap = { pgsize, address: Number(data) };
	for (const mapping of type1.mappings.in(first, last)) writeBits(caller, mapping, first, bitmap);
}

function writeBits(caller: Caller, mapping: Mapping, first: number, { pgsize, address }: Bitmap): void {
	const pages = Number(pgsize) / PAGE_SIZE;
	mapping.dirty?.writeTo(caller.memory, address, (mapping.page - first) / pages);
}

/** @throws EINVAL when nothing is tracked */
function checkTracking(type1: Type1, pgsize: bigint): void {
	if (!type1.isTrackingDirtyPages)
		throw new Errno("EINVAL", "dirty pages aren't tracked: DIRTY_PAGES with the flag START comes first", "dirty-pages");
	checkPageSize(type1, pgsize);
}

function checkPageSize({ pageSize }: Type1, pgsize: bigint): void {
	if (pgsize !== pageSize)
		throw new Errno(
			"EINVAL",
			`the bitmap's pgsize is ${hex(pgsize)}: only the smallest page has bits, ${hex(pageSize)}`,
			"dirty-bitmap",
		);
}

/** @throws EINVAL for a bitmap that isn't memory of a program's, or not as large as the pages take */
function checkBitmap(size: bigint, pgsize: bigint, bytes: bigint, data: bigint): void {
	if (data + bytes > BigInt(PINNABLE_END))
		throw new Errno(
			"EINVAL",
			`a bitmap of ${bytes} bytes at ${hex(data)} is beyond what a program can have`,
			"dirty-bitmap",
		);
	const pages = size >> lowestBit(pgsize);
	if (pages === 0n)
		throw new Errno("EINVAL", `size ${hex(size)} is less than a page of the bitmap's, ${hex(pgsize)}`, "dirty-bitmap");
	if (bytes === 0n || bytes > LARGEST_BITMAP || Number(bytes) < bitmapBytes(Number(pages)))
		throw new Errno(
			"EINVAL",
			`a bitmap of ${bytes} bytes isn't one for ${pages} pages: it takes a bit for each, in words of 8, and ${LARGEST_BITMAP} at most`,
			"dirty-bitmap",
		);
}

/** The number of the lowest bit that is set; 0 for none, as a processor's shift by 64 is none. */
function lowestBit(value: bigint): bigint {
	if (value === 0n) return 0n;
	let bit = 0n;
	while (!((value >> bit) & 1n)) bit++;
	return bit;
}

function readStruct(caller: Caller, address: number, description: AnyStruct): void {
	copyIn(caller.memory, address, description.view.bytes, description.name);
}
