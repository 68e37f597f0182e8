// IOMMU_TEST_CMD: what the kernel's own tests do to iommufd from inside. drivers/iommu/iommufd/selftest.c.

import { NO_PASID } from "../iommu/domain.js";
import { type MockDevice, MockDomain, MockNestedDomain } from "../iommu/drivers/selftest.js";
import { type AddressSpace, type Backing, copyIn, Extents, PAGE_SHIFT, PAGE_SIZE } from "../memory/address-space.js";
import { Errno, hex } from "../uapi/errno.js";
import {
	MOCK_DEV_CACHE_ID_MAX,
	MOCK_NESTED_DOMAIN_IOTLB_ID_MAX,
	type TestArgs,
	type TestCommand,
	TestOp,
	type TestOpName,
	testVariants,
} from "../uapi/iommufd-test.js";
import type { Args } from "../uapi/struct.js";
import { attachDevice, detachDevice, replaceDevice } from "./attach.js";
import type { Call } from "./call.js";
import type { Context } from "./context.js";
import { BoundDevice, bindDevice, unbindDevice } from "./device.js";
import { Hwpt, NestedHwpt, PagingHwpt } from "./hwpt.js";
import { Ioas } from "./ioas.js";
import { LAST_IOVA } from "./iova-ranges.js";
import { IommufdObject } from "./object.js";
import { Undo } from "./undo.js";

/** A mock device, bound and attached as long as this object exists. */
class SelftestDevice extends IommufdObject {
	override readonly kind = "SELFTEST";
	readonly #context: Context;
	readonly mock: MockDevice;
	readonly bound: BoundDevice;

	constructor(context: Context, id: number, mock: MockDevice, bound: BoundDevice) {
		super(id);
		this.#context = context;
		this.mock = mock;
		this.bound = bound;
	}

	override destroy(): void {
		detachDevice(this.bound, NO_PASID);
		unbindDevice(this.bound);
		this.#context.platform.selftest!.removeDevice(this.mock);
	}
}

/** IOMMU_TEST_CMD */
export function testCommand(call: Call, command: Args<typeof TestCommand>): void {
	const handler = handlers.get(command.op);
	if (handler === undefined) throw new Errno("EOPNOTSUPP", `there is no IOMMU_TEST_OP ${command.op}`);
	handler(call);
}

/** Makes a device, binds it and attaches it to an IOAS or a HWPT. */
function mockDomain(call: Call, args: TestArgs<"MOCK_DOMAIN">): void {
	addDevice(call, args, 0);
}

function mockDomainFlags(call: Call, args: TestArgs<"MOCK_DOMAIN_FLAGS">): void {
	addDevice(call, args, args.devFlags);
}

function addDevice(call: Call, args: TestArgs<"MOCK_DOMAIN"> | TestArgs<"MOCK_DOMAIN_FLAGS">, flags: number): void {
	const { context } = call;
	const selftest = context.platform.selftest!;
	using undo = new Undo();
	const id = context.objects.reserve();
	undo.push(() => context.objects.cancel(id));
	const mock = selftest.addDevice(flags);
	undo.push(() => selftest.removeDevice(mock));
	const bound = bindDevice(context, mock);
	undo.push(() => unbindDevice(bound));
	args.outHwptId = attachDevice(bound, NO_PASID, args.id);
	undo.push(() => detachDevice(bound, NO_PASID));
	args.outStdevId = id;
	args.outIdevId = bound.id;
	call.respond();
	undo.keep();
	context.objects.install(new SelftestDevice(context, id, mock, bound));
}

function mockDomainReplace(call: Call, args: TestArgs<"MOCK_DOMAIN_REPLACE">): void {
	const { bound } = call.context.objects.get(args.id, SelftestDevice, "id");
	args.ptId = replaceDevice(bound, NO_PASID, args.ptId);
	call.respond();
}

/** Reserves a range that nothing but the end of the IOAS gives back. */
function addReserved(call: Call, args: TestArgs<"ADD_RESERVED">): void {
	const { start, length } = args;
	if (length === 0n) throw new Errno("EINVAL", "length is 0");
	const last = start + length - 1n;
	if (last >= 1n << 64n)
		throw new Errno("EOVERFLOW", `start ${hex(start)} + length ${hex(length)} goes beyond the 64-bit space`);
	call.context.objects.get(args.id, Ioas, "id").map.reserve(start, last, undefined);
}

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
	if (!(domain instanceof MockNestedDomain)) throw new Errno("EINVAL", `${args.id} is not a HWPT of selftest`);
	if (args.iotlbId > MOCK_NESTED_DOMAIN_IOTLB_ID_MAX || domain.iotlb[args.iotlbId] !== args.iotlb)
		throw new Errno(
			"EINVAL",
			`iotlb ${args.iotlbId} is ${hex(domain.iotlb[args.iotlbId] ?? 0)}, and ${hex(args.iotlb)} was expected`,
		);
}

function checkCache(call: Call, args: TestArgs<"DEV_CHECK_CACHE">): void {
	const mock = call.context.objects.get(args.id, BoundDevice, "id").device as MockDevice;
	if (args.cacheId > MOCK_DEV_CACHE_ID_MAX || mock.cache[args.cacheId] !== args.cache)
		throw new Errno(
			"EINVAL",
			`cache ${args.cacheId} is ${hex(mock.cache[args.cacheId] ?? 0)}, and ${hex(args.cache)} was expected`,
		);
}

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
	const bits = new Uint8Array(Math.ceil(Number(pages) / 8));
	copyIn(call.caller.memory, uptr, bits, "uptr");
	const granule = BigInt(domain.table.format.granuleLg2);
	let count = 0n;
	for (let page = 0; page < Number(pages); page++) {
		if ((bits[page >>> 3] & (1 << (page & 7))) === 0) continue;
		domain.table.setDirty(Number((iova + BigInt(page) * pageSize) >> granule));
		count++;
	}
	args.outNrDirty = count;
	call.respond();
}

/** How much memory Linux takes at a time while it pins. We take none, so there is nothing to limit. */
function setMemoryLimit(_call: Call, args: TestArgs<"SET_TEMP_MEMORY_LIMIT">): void {
	if (args.limit < 12) throw new Errno("EINVAL", `limit is ${args.limit}, less than one entry of 12 bytes`);
}

function pasidAttach(call: Call, args: TestArgs<"PASID_ATTACH">): void {
	const { bound } = call.context.objects.get(args.id, SelftestDevice, "id");
	args.ptId = attachDevice(bound, args.pasid, args.ptId);
	try {
		call.respond();
	} catch (error) {
		detachDevice(bound, args.pasid);
		throw error;
	}
}

function pasidReplace(call: Call, args: TestArgs<"PASID_REPLACE">): void {
	const { bound } = call.context.objects.get(args.id, SelftestDevice, "id");
	args.ptId = replaceDevice(bound, args.pasid, args.ptId);
	call.respond();
}

function pasidDetach(call: Call, args: TestArgs<"PASID_DETACH">): void {
	detachDevice(call.context.objects.get(args.id, SelftestDevice, "id").bound, args.pasid);
}

/** Checks what a PASID is attached to; hwpt_id 0: to nothing. */
function pasidCheck(call: Call, args: TestArgs<"PASID_CHECK_HWPT">): void {
	const { objects } = call.context;
	const { mock } = objects.get(args.id, SelftestDevice, "id");
	const attached = mock.group.attachment(args.pasid)?.domain;
	if (args.hwptId === 0) {
		if (attached !== undefined) throw new Errno("EINVAL", `PASID ${args.pasid} is attached`);
		return;
	}
	const hwpt = objects.any(args.hwptId, "hwpt_id");
	if (!(hwpt instanceof Hwpt)) throw new Errno("EINVAL", `hwpt_id is ${args.hwptId}, and ${hwpt} is not a HWPT`);
	if (attached !== hwpt.domain) throw new Errno("EINVAL", `PASID ${args.pasid} is not attached to ${hwpt}`);
}

function mockHwpt(context: Context, id: number): { domain: MockDomain } {
	const { domain } = context.objects.get(id, PagingHwpt, "id");
	if (!(domain instanceof MockDomain)) throw new Errno("EINVAL", `${id} is not a HWPT of selftest`);
	return { domain };
}

const found = new Extents();
const probe = new Uint8Array(1);

/** The page that a process has at an address. @throws EFAULT */
function pageOf(space: AddressSpace, address: number): { backing: Backing; page: number } {
	// A page that was never touched has to be there, as it is after get_user_pages().
	copyIn(space, address, probe, "uptr");
	found.clear();
	space.resolve(Math.floor(address / PAGE_SIZE), 1, false, found);
	return { backing: found.backing[0], page: found.page[0] };
}

type Handler = (call: Call) => void;

function on<Op extends TestOpName>(op: Op, handle: (call: Call, args: TestArgs<Op>) => void): [number, Handler] {
	const args = testVariants[op].view as TestArgs<Op>;
	return [TestOp[op], (call) => handle(call, args)];
}

const handlers: ReadonlyMap<number, Handler> = new Map([
	on("ADD_RESERVED", addReserved),
	on("MOCK_DOMAIN", mockDomain),
	on("MOCK_DOMAIN_FLAGS", mockDomainFlags),
	on("MOCK_DOMAIN_REPLACE", mockDomainReplace),
	on("MD_CHECK_MAP", checkMap),
	on("MD_CHECK_REFS", checkRefs),
	on("MD_CHECK_IOTLB", checkIotlb),
	on("DEV_CHECK_CACHE", checkCache),
	on("DIRTY", dirty),
	on("SET_TEMP_MEMORY_LIMIT", setMemoryLimit),
	on("PASID_ATTACH", pasidAttach),
	on("PASID_REPLACE", pasidReplace),
	on("PASID_DETACH", pasidDetach),
	on("PASID_CHECK_HWPT", pasidCheck),
]);
