// VFIO's container interface on an iommufd, so that programs which know nothing else can be served.
// drivers/iommu/iommufd/vfio_compat.c. It works on one IOAS of the context: VFIO_IOAS says which.

import type { Caller } from "../../files/caller.js";
import { CACHE, READ, WRITE } from "../../pagetable/format.js";
import { Errno, hex } from "../../uapi/errno.js";
import { flagsIn, nameIn } from "../../uapi/field.js";
import { strayIoctl } from "../../uapi/ioctl-names.js";
import { type VfioIoas, VfioIoasOp } from "../../uapi/iommufd.js";
import { checkFields, readVfioCommand } from "../../uapi/rules.js";
import type { AnyCommand, Args } from "../../uapi/struct.js";
import {
	VFIO_API_VERSION,
	VfioCheckExtension,
	VfioDmaMapFlags,
	VfioDmaUnmapFlags,
	VfioExtension,
	VfioGetApiVersion,
	VfioIommuGetInfo,
	VfioIommuMapDma,
	VfioIommuUnmapDma,
	VfioSetIommu,
} from "../../uapi/vfio.js";
import type { Call } from "../call.js";
import type { Context } from "../context.js";
import { cutAfter } from "../io-pagetable/area-split.js";
import type { IoPagetable } from "../io-pagetable/io-pagetable.js";
import { LAST_IOVA } from "../io-pagetable/iova-ranges.js";
import { Ioas, mapUserMemory } from "../ioas.js";
import { iommuGetInfo } from "./vfio-info.js";

/** IOMMU_VFIO_IOAS: which IOAS the container ioctls work on. */
export function vfioIoas(call: Call, request: Args<typeof VfioIoas>): void {
	const { context } = call;
	switch (request.op) {
		case VfioIoasOp.GET:
			request.ioasId = compatIoas(context).id;
			call.respond();
			return;
		case VfioIoasOp.SET:
			context.vfioIoas = context.objects.get(request.ioasId, Ioas, "ioas_id");
			return;
		case VfioIoasOp.CLEAR:
			context.vfioIoas = undefined;
			return;
		default:
			throw new Errno("EOPNOTSUPP", `op is ${request.op}, which is none of GET, SET and CLEAR`);
	}
}

/** The IOAS that stands in for a container's. @throws ENODEV when there is none */
export function compatIoas(context: Context): Ioas {
	if (context.vfioIoas === undefined)
		throw new Errno("ENODEV", "no IOAS has been set for VFIO's ioctls: IOMMU_VFIO_IOAS does it", "compat-ioas");
	return context.vfioIoas;
}

/**
 * Makes an IOAS for VFIO's ioctls unless there is one, as a group does whose container the iommufd becomes. User space may destroy it like
 * others. @throws EINVAL when a group without an IOMMU has come before
 */
export function ensureCompatIoas(context: Context): Ioas {
	const id = context.objects.reserve("IOAS");
	if (context.noIommuMode || context.vfioIoas !== undefined) context.objects.cancel(id);
	if (context.noIommuMode)
		throw new Errno(
			"EINVAL",
			"the iommufd is the container of a group without an IOMMU: one with an IOMMU doesn't go with it",
			"noiommu-mix",
		);
	if (context.vfioIoas !== undefined) return context.vfioIoas;
	const ioas = new Ioas(context, id);
	context.objects.install(ioas);
	context.vfioIoas = ioas;
	return ioas;
}

/** A group without an IOMMU has made the iommufd its container. @throws EINVAL when there is an IOAS for VFIO's ioctls */
export function setNoIommuMode(context: Context): void {
	if (context.vfioIoas !== undefined)
		throw new Errno(
			"EINVAL",
			"the iommufd has an IOAS for VFIO's ioctls, and a group without an IOMMU has no use for it",
			"noiommu-mix",
		);
	context.noIommuMode = true;
}

/**
 * Answers an ioctl of a VFIO container.
 * @param argument a pointer in bytes, or a number
 * @returns the ioctl's return value
 * @throws ENOTTY when it is none
 */
export function containerIoctl(call: Call, caller: Caller, command: number, argument: number): number {
	const { context } = call;
	switch (command) {
		case VfioGetApiVersion.number:
			return VFIO_API_VERSION;
		case VfioCheckExtension.number:
			return checkExtension(context, argument) ? 1 : 0;
		case VfioSetIommu.number:
			setIommu(context, caller, argument);
			return 0;
		case VfioIommuGetInfo.number:
			begin(call, caller, VfioIommuGetInfo, argument);
			iommuGetInfo(call, argument, VfioIommuGetInfo.view, compatIoas(context).map);
			return 0;
		case VfioIommuMapDma.number:
			begin(call, caller, VfioIommuMapDma, argument);
			mapDma(call, VfioIommuMapDma.view);
			return 0;
		case VfioIommuUnmapDma.number:
			begin(call, caller, VfioIommuUnmapDma, argument);
			unmapDma(call, VfioIommuUnmapDma.view);
			return 0;
		default:
			throw strayIoctl("ENOTTY", command, "/dev/iommu", ["iommufd", "container"]);
	}
}

/** Reads a command's struct, and makes it the call that is under way. */
function begin(call: Call, caller: Caller, command: AnyCommand, address: number): void {
	const argsz = readVfioCommand(caller.memory, address, command);
	checkFields(command);
	call.begin(caller, command, address, argsz);
}

/** VFIO_CHECK_EXTENSION */
function checkExtension(context: Context, extension: number): boolean {
	switch (extension) {
		case VfioExtension.TYPE1_IOMMU:
		case VfioExtension.TYPE1v2_IOMMU:
		case VfioExtension.UNMAP_ALL:
			return !context.noIommuMode;
		case VfioExtension.NOIOMMU_IOMMU: // the kernel is built with it, which doesn't mean that a device has it
			return true;
		case VfioExtension.DMA_CC_IOMMU:
			return compatIoas(context).hwpts.every((hwpt) => hwpt.enforcesCacheCoherency);
		default:
			return false;
	}
}

/**
 * VFIO_SET_IOMMU. The first version lets a part of a mapping be unmapped, which the second doesn't; for that every page
 * has to be mapped by itself.
 */
function setIommu(context: Context, caller: Caller, type: number): void {
	if (type === VfioExtension.NOIOMMU_IOMMU && context.noIommuMode) {
		if (!caller.capable("CAP_SYS_RAWIO"))
			throw new Errno(
				"EPERM",
				"the container's groups have no IOMMU: NOIOMMU_IOMMU takes CAP_SYS_RAWIO",
				"noiommu-rights",
			);
		return;
	}
	if (context.noIommuMode)
		throw new Errno(
			"EINVAL",
			`type ${nameIn(VfioExtension, type)} isn't NOIOMMU_IOMMU, and the container's groups have no IOMMU`,
			"container-type",
		);
	if (type !== VfioExtension.TYPE1_IOMMU && type !== VfioExtension.TYPE1v2_IOMMU)
		throw new Errno(
			"EINVAL",
			`type ${nameIn(VfioExtension, type)} is neither TYPE1_IOMMU nor TYPE1v2_IOMMU`,
			"container-type",
		);
	const ioas = compatIoas(context);
	if (type === VfioExtension.TYPE1_IOMMU) ioas.map.disableLargePages();
}

/** VFIO_IOMMU_MAP_DMA, always at the IOVA that is asked for. */
function mapDma(call: Call, map: Args<typeof VfioIommuMapDma>): void {
	if (map.flags & VfioDmaMapFlags.VADDR)
		throw new Errno("EINVAL", "flags has VADDR: on /dev/iommu the memory of a mapping can't move", "own-back-end");
	const readable = map.flags & VfioDmaMapFlags.READ ? READ : 0;
	const writeable = map.flags & VfioDmaMapFlags.WRITE ? WRITE : 0;
	mapUserMemory(call, compatIoas(call.context), map.vaddr, map.size, map.iova, readable | writeable | CACHE);
}

/** VFIO_IOMMU_UNMAP_DMA. Answers how much was unmapped, also when that ended with an error. */
function unmapDma(call: Call, unmap: Args<typeof VfioIommuUnmapDma>): void {
	if (unmap.flags & ~VfioDmaUnmapFlags.ALL)
		throw new Errno(
			"EINVAL",
			`flags has ${flagsIn(VfioDmaUnmapFlags, unmap.flags & ~VfioDmaUnmapFlags.ALL)}: on /dev/iommu UNMAP_DMA has no flag but ALL`,
			"own-back-end",
		);
	const { map } = compatIoas(call.context);
	const { iova, size, flags } = unmap;
	const all = (flags & VfioDmaUnmapFlags.ALL) !== 0;
	if (all && (iova !== 0n || size !== 0n))
		throw new Errno(
			"EINVAL",
			`flags has ALL, and iova is ${hex(iova)} and size ${hex(size)}: both must be 0`,
			"unmap-whole",
		);
	if (!all && map.largePagesDisabled) cutOut(map, iova, size);
	const done = { bytes: 0n };
	try {
		if (all) map.unmap(0n, LAST_IOVA, done);
		else {
			if (size === 0n)
				throw new Errno("EINVAL", "size is 0: nothing is to be unmapped, and the flag ALL isn't set", "zero-length");
			if (iova + size - 1n > LAST_IOVA)
				throw new Errno("EOVERFLOW", `iova ${hex(iova)} + size ${hex(size)} goes beyond the 64-bit space`, "overflow");
			map.unmap(iova, iova + size - 1n, done);
		}
	} finally {
		unmap.size = done.bytes;
		call.respond();
	}
}

/** Cuts the mappings at both ends of a range, whatever the range is. */
function cutOut(map: IoPagetable, iova: bigint, size: bigint): void {
	cutAfter(map, BigInt.asUintN(64, iova + size - 1n));
	if (iova !== 0n) cutAfter(map, iova - 1n);
}
