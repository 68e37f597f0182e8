// IOMMU_IOAS_NOIOMMU_GET_PA: where an IOVA leads to, for who does DMA with a device that has no IOMMU in front of it.
// iommufd_ioas_noiommu_get_pa() in drivers/iommu/iommufd/ioas.c, iopt_get_phys() in io_pagetable.c.

import type { PagingDomain } from "../iommu/core/iommu.js";
import { PAGE_SIZE } from "../memory/address-space.js";
import { addressOf, offsetInPage, pageOf } from "../memory/page-number.js";
import { Translation } from "../pagetable/pagetable.js";
import { Errno, hex } from "../uapi/errno.js";
import type { IoasNoiommuGetPa } from "../uapi/iommufd.js";
import type { Args } from "../uapi/struct.js";
import type { Call } from "./call.js";
import type { Area } from "./io-pagetable/area.js";
import { LAST_IOVA } from "./io-pagetable/iova-ranges.js";
import { Ioas } from "./ioas.js";

const leaf = new Translation();

/** IOMMU_IOAS_NOIOMMU_GET_PA */
export function noiommuGetPa(call: Call, query: Args<typeof IoasNoiommuGetPa>): void {
	const { flags, reserved, length, iova } = query;
	if (!call.caller.capable("CAP_SYS_RAWIO"))
		throw new Errno("EPERM", "physical addresses take CAP_SYS_RAWIO", "noiommu-rights");
	if (flags || reserved)
		throw new Errno(
			"EOPNOTSUPP",
			`flags is ${hex(flags)} and __reserved ${hex(reserved)}: both must be 0`,
			"not-cleared",
		);
	if (length === 0n) throw new Errno("EINVAL", "length is 0: there is no address to be told", "zero-length");
	if (iova === LAST_IOVA) throw new Errno("EOVERFLOW", `an IOVA of ${hex(iova)} is out of range`, "overflow");
	const ioas = call.context.objects.get(query.ioasId, Ioas, "ioas_id");
	const area = ioas.map.areas.firstIn(iova, iova);
	if (area === undefined)
		throw new Errno(
			"ENOENT",
			`no physical address: nothing is mapped at IOVA ${hex(iova)} of ${ioas}`,
			"nothing-mapped",
		);
	if (area.pages.revoked)
		throw new Errno(
			"EINVAL",
			`no physical address: the dma-buf at IOVA ${hex(iova)} of ${ioas} was revoked`,
			"dma-buf",
		);
	// Linux asks the domain that keeps the area's frames, which is the first of the IOAS.
	const [domain] = ioas.map.domains;
	if (domain === undefined)
		throw new Errno("EOPNOTSUPP", `no device without an IOMMU is attached to ${ioas}`, "not-attached");
	if (!domain.driver.isAbsent)
		throw new Errno(
			"EOPNOTSUPP",
			`the first page table of ${ioas} is ${domain.driver.name}'s, for an IOMMU to walk`,
			"noiommu-mix",
		);
	const { frame, pages } = contiguousFrom(domain, area, pageOf(iova), pagesOf(iova, length));
	query.outPhys = addressOf(frame, offsetInPage(iova));
	const contiguous = addressOf(pages, 0) - BigInt(offsetInPage(iova));
	if (contiguous < length) query.length = contiguous;
	call.respond();
}

/** In how many pages a range lies; inexact beyond what any table has. */
function pagesOf(iova: bigint, length: bigint): number {
	return Number((BigInt(offsetInPage(iova)) + length + BigInt(PAGE_SIZE - 1)) / BigInt(PAGE_SIZE));
}

/** Where a page of an area leads, and how many pages from it on lie side by side there: at most `limit`, all of the area. */
function contiguousFrom(
	domain: PagingDomain,
	area: Area,
	page: number,
	limit: number,
): { frame: number; pages: number } {
	const { table } = domain;
	const frame = table.translate(page);
	const last = Math.min(limit, pageOf(area.last) - page + 1);
	let pages = 0;
	while (pages < last && table.lookup(page + pages, leaf) && leaf.frame === frame + pages)
		pages = leaf.leafVa + leaf.leafFrames - page;
	return { frame, pages: Math.min(pages, last) };
}
