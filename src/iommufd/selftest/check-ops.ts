// IOMMU_TEST_CMD's ops that look into domains, pages and caches, and mark pages as written.
// drivers/iommu/iommufd/selftest.c.

import { allocation } from "../../faults/faults.js";
import { MockDomain, MockNestedDomain } from "../../iommu/drivers/selftest.js";
import { copyIn, PAGE_SHIFT, PAGE_SIZE } from "../../memory/address-space.js";
import { Errno, hex } from "../../uapi/errno.js";
import { MOCK_DEV_CACHE_ID_MAX, MOCK_NESTED_DOMAIN_IOTLB_ID_MAX, type TestArgs } from "../../uapi/iommufd-test.js";
import { worked } from "../../uapi/slices.js";
import type { Call } from "../call.js";
import type { Context } from "../context.js";
import { NestedHwpt, PagingHwpt } from "../hwpt.js";
import { LAST_IOVA } from "../io-pagetable/iova-ranges.js";
import { mockDevice, on, pageOf } from "./test-op.js";

/** Checks that the IOVAs of a HWPT lead to the very pages that the caller has at an address. */
function checkMap(call: Call, args: TestArgs<"MD_CHECK_MAP">): void {
	const { domain } = mockHwpt(call.context, args.id);
	const { frames } = call.context.platform;
	const granule = domain.table.format.granuleLg2;
	const smallest = domain.pageSizes & -domain.pageSizes;
	if ((args.iova | args.length | args.uptr) & (smallest - 1n) || args.uptr + args.length > LAST_IOVA)
		throw new Errno("EINVAL", `iova, length and uptr must be multiples of ${smallest}, and not wrap`);
	const step = Number(smallest);
	const start = Number(args.uptr);
	const end = start + Number(args.length);
	let iova = Number(args.iova >> BigInt(granule));
	for (let at = start; at < end; at += step) {
		const { backing, page } = pageOf(call.caller.memory, at);
		const frame = frames.frameOf(backing, page);
		const expected = frame * 2 ** (PAGE_SHIFT - granule) + Math.floor((at % PAGE_SIZE) / 2 ** granule);
		const found = domain.table.translate(iova);
		if (frame < 0 || found !== expected)
			throw new Errno(
				"EINVAL",
				`IOVA ${hex(BigInt(iova) << BigInt(granule))} leads to ${found < 0 ? "nothing" : hex(found * 2 ** granule)}, and the memory at ${hex(at)} is ${frame < 0 ? "not pinned" : `at ${hex(expected * 2 ** granule)}`}`,
			);
		iova += step / 2 ** granule;
	}
}

/** Checks how often the pages at an address are pinned. */
function checkRefs(call: Call, args: TestArgs<"MD_CHECK_REFS">): void {
	const { frames } = call.context.platform;
	if ((args.length | args.uptr) & BigInt(PAGE_SIZE - 1) || args.uptr + args.length > LAST_IOVA)
		throw new Errno("EINVAL", "uptr and length must be multiples of the page size, and not wrap");
	// Files that are closed by now pin nothing any more.
	call.context.platform.settle();
	const start = Number(args.uptr);
	const end = start + Number(args.length);
	for (let at = start; at < end; at += PAGE_SIZE) {
		const { backing, page } = pageOf(call.caller.memory, at);
		const pins = frames.pins(backing, page);
		if (pins !== args.refs)
			throw new Errno("EIO", `the page at ${hex(at)} is pinned ${pins} times, and ${args.refs} were expected`);
	}
}

function checkIotlb(call: Call, args: TestArgs<"MD_CHECK_IOTLB">): void {
	const { domain } = call.context.objects.get(args.id, NestedHwpt, "id");
	if (!(domain instanceof MockNestedDomain))
		throw new Errno("EINVAL", `${args.id} is a nested HWPT, but none of selftest`);
	if (args.iotlbId > MOCK_NESTED_DOMAIN_IOTLB_ID_MAX || domain.iotlb[args.iotlbId] !== args.iotlb)
		throw new Errno(
			"EINVAL",
			`iotlb ${args.iotlbId} is ${hex(domain.iotlb[args.iotlbId] ?? 0)}, and ${hex(args.iotlb)} was expected`,
		);
}

function checkCache(call: Call, args: TestArgs<"DEV_CHECK_CACHE">): void {
	const mock = mockDevice(call, args.id, "id");
	if (args.cacheId > MOCK_DEV_CACHE_ID_MAX || mock.cache[args.cacheId] !== args.cache)
		throw new Errno(
			"EINVAL",
			`cache ${args.cacheId} is ${hex(mock.cache[args.cacheId] ?? 0)}, and ${hex(args.cache)} was expected`,
		);
}

/** What it takes to mark a page, as slices.ts counts. */
const PER_BIT = 50;

/** Marks the pages whose bits are set as written, as a device would. */
function dirty(call: Call, args: TestArgs<"DIRTY">): void {
	const { iova, length, pageSize, uptr } = args;
	if (pageSize === 0n || length === 0n || iova % pageSize || length % pageSize || uptr === 0)
		throw new Errno(
			"EINVAL",
			`iova, length and uptr must not be 0, and the first two multiples of page_size ${hex(pageSize)}`,
		);
	const pages = length / pageSize;
	if (pages > 1n << 27n) throw new Errno("EOVERFLOW", `${pages} pages are more than a bitmap of 16 MiB has bits`);
	const { domain } = mockHwpt(call.context, args.id);
	if (!domain.dirtyTracking?.enabled) throw new Errno("EINVAL", `dirty tracking of HWPT ${args.id} is off`);
	allocation("a bitmap of pages to mark");
	const bits = new Uint8Array(Math.ceil(Number(pages) / 8));
	copyIn(call.caller.memory, uptr, bits, "uptr");
	const granule = BigInt(domain.table.format.granuleLg2);
	let count = 0n;
	for (let page = 0; page < Number(pages); page++) {
		worked(PER_BIT);
		if ((bits[page >>> 3] & (1 << (page & 7))) === 0) continue;
		domain.table.setDirty(Number((iova + BigInt(page) * pageSize) >> granule));
		count++;
	}
	args.outNrDirty = count;
	call.respond();
}

function mockHwpt(context: Context, id: number): { domain: MockDomain } {
	const { domain } = context.objects.get(id, PagingHwpt, "id");
	if (!(domain instanceof MockDomain)) throw new Errno("EINVAL", `${id} is a paging HWPT, but none of selftest`);
	return { domain };
}

export const checkHandlers = [
	on("MD_CHECK_MAP", checkMap),
	on("MD_CHECK_REFS", checkRefs),
	on("MD_CHECK_IOTLB", checkIotlb),
	on("DEV_CHECK_CACHE", checkCache),
	on("DIRTY", dirty),
];
