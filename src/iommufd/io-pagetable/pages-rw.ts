// How an in-kernel user copies to and from pages that it has not pinned. iopt_pages_rw_access() in
// drivers/iommu/iommufd/pages.c.

import { iommufdFails } from "../../faults/faults.js";
import { Undo } from "../../faults/undo.js";
import type { Caller } from "../../files/caller.js";
import { type AddressSpace, Extents, PAGE_SIZE } from "../../memory/address-space.js";
import { Errno, hex } from "../../uapi/errno.js";
import type { Pages } from "./pages.js";

/**
 * Copies between `data` and the bytes of `pages` from `startByte` on.
 * @throws EFAULT, and what pinning throws
 */
export function rwPages(
	pages: Pages,
	startByte: number,
	data: Uint8Array,
	caller: Caller,
	{ write, slowPath }: { readonly write: boolean; readonly slowPath: boolean },
): void {
	if (pages.kind === "user" && pages.space === caller.memory && !slowPath)
		copyByAddress(pages.space, pages.startPage * PAGE_SIZE + startByte, data, write);
	else copyByPages(pages, startByte, data, write);
}

/**
 * The caller's own memory: as if it copied itself, at the addresses that it mapped.
 * If it has other memory there by now, that is what gets copied: unlike a device, it sees no pages that it unmapped.
 */
function copyByAddress(space: AddressSpace, address: number, data: Uint8Array, write: boolean): void {
	const done = write ? space.write(address, data) : space.read(address, data);
	if (done < data.length)
		throw new Errno(
			"EFAULT",
			`the memory at ${hex(address + done)} can't be ${write ? "written" : "read"}`,
			"memory-hole",
		);
}

/**
 * As a device would do it, by way of the pages. Several are pinned as a mapping pins them, for writing where they may be
 * written; one alone is only for this copy, and looked up for no more than it needs.
 */
function copyByPages(pages: Pages, startByte: number, data: Uint8Array, write: boolean): void {
	const first = Math.floor(startByte / PAGE_SIZE);
	const last = Math.floor((startByte + data.length - 1) / PAGE_SIZE);
	const extents = new Extents();
	if (first === last && pages.kind === "user" && pages.space.alive) {
		if (iommufdFails("pinning one page"))
			throw new Errno("EINVAL", "fault injection: the page to be copied is not had");
		pages.space.resolve(pages.startPage + first, 1, write, extents);
		copyExtents(extents, startByte % PAGE_SIZE, data, write);
		return;
	}
	using undo = new Undo();
	pages.hold(first, last);
	undo.push(() => pages.drop(first, last));
	pages.extents(first, last, extents);
	copyExtents(extents, startByte % PAGE_SIZE, data, write);
}

/** @param offset in the first page, in bytes */
function copyExtents(
	{ backing, page, count, length: stretches }: Extents,
	offset: number,
	data: Uint8Array,
	write: boolean,
): void {
	let skip = offset;
	let done = 0;
	for (let i = 0; i < stretches; i++) {
		const length = Math.min(count[i] * PAGE_SIZE - skip, data.length - done);
		const part = data.subarray(done, done + length);
		const at = page[i] * PAGE_SIZE + skip;
		const copied = write ? backing[i].write(at, part) : backing[i].read(at, part);
		if (copied < length)
			throw new Errno(
				"EFAULT",
				`${backing[i].name} can't be ${write ? "written" : "read"} at ${hex(at + copied)}`,
				"memory-hole",
			);
		done += length;
		skip = 0;
	}
}
