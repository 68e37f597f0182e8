// Making two areas of one, so that a part of a mapping can be unmapped: only the first version of VFIO's container does
// that. iopt_cut_iova() in drivers/iommu/iommufd/io_pagetable.c.

import { allocation } from "../../faults/faults.js";
import { Errno, hex } from "../../uapi/errno.js";
import { Area } from "./area.js";
import { type IoPagetable, inWords } from "./io-pagetable.js";

/**
 * Splits the area that an IOVA lies in, if there is one, so that the first part ends with this IOVA. An area that begins
 * with it is left as it is, as in Linux.
 * @throws EINVAL where domains may show the area with large pages, or an access holds it, EBUSY while it is unmapped
 */
export function cutAfter(map: IoPagetable, iova: bigint): void {
	const area = map.areas.firstIn(iova, iova);
	if (area === undefined || iova === area.first || iova === area.last) return;
	const use = map.uses.of(area);
	if (use.isPrevented)
		throw new Errno("EBUSY", `the mapping ${inWords(area)} is being unmapped, and can't be cut meanwhile`);
	if (area.pages.kind === "dmabuf")
		throw new Errno("EOPNOTSUPP", `the mapping ${inWords(area)} is one of a dma-buf, which can't be cut`, "dma-buf");
	const rest = iova + 1n;
	if ((rest | area.startByte(rest)) & (map.alignment - 1n))
		throw new Errno(
			"EINVAL",
			`the mapping ${inWords(area)} can't be cut at ${hex(rest)}, which is not a multiple of ${hex(map.alignment)}`,
			"alignment",
		);
	if (use.accesses > 0)
		throw new Errno(
			"EINVAL",
			`the mapping ${inWords(area)} can't be cut: an in-kernel user has pinned it`,
			"in-kernel-user",
		);
	if (map.domains.length > 0 && !map.largePagesDisabled)
		throw new Errno(
			"EINVAL",
			`the mapping ${inWords(area)} can't be cut: domains may show it with large pages`,
			"cut-area",
		);
	const { pages, protection } = area;
	map.areas.prepare(2);
	allocation("the left part of an area");
	allocation("the right part of an area");
	const left = Area.of(area.first, rest - area.first, pages, area.startByte(area.first), protection);
	const right = Area.of(rest, area.last - iova, pages, area.startByte(rest), protection);
	// Each page stays held once for the domains: where small pages are all that is used, areas begin with a page.
	map.areas.remove(area);
	map.areas.insert(left);
	map.areas.insert(right);
	pages.addArea();
}
