// The vIOMMU: a guest's share of a physical IOMMU, on a HWPT that translates the guest's memory.
// drivers/iommu/iommufd/viommu.c; what it does for the driver's half is in driver.c.

import { Undo } from "../faults/undo.js";
import type { Device, DriverHwQueue, DriverViommu, ViommuCore } from "../iommu/core/iommu.js";
import type { UserData } from "../iommu/core/user-data.js";
import type { MovableMemory } from "../memory/movable-memory.js";
import { Errno, hex } from "../uapi/errno.js";
import { nameIn } from "../uapi/field.js";
import { type ViommuAlloc, ViommuType } from "../uapi/iommufd.js";
import type { Args } from "../uapi/struct.js";
import type { Call } from "./call.js";
import type { Context } from "./context.js";
import { BoundDevice } from "./device.js";
import type { HwQueue } from "./hw-queue.js";
import { PagingHwpt } from "./hwpt.js";
import { IommufdObject } from "./object.js";
import type { Vdevice } from "./vdevice.js";
import type { VeventQueue } from "./veventq.js";

export class Viommu extends IommufdObject implements ViommuCore {
	override readonly kind = "VIOMMU";
	readonly context: Context;
	/** The physical IOMMU: only devices behind it can be in the guest's share. */
	readonly iommu: object;
	/** The parent of all nested HWPTs of the vIOMMU. */
	readonly hwpt: PagingHwpt;
	/** By type: one for each. */
	readonly eventQueues = new Map<number, VeventQueue>();
	/** By the number in the guest. */
	readonly vdevices = new Map<bigint, Vdevice>();
	/** Our half of each of the driver's queues. */
	readonly hwQueues = new Map<DriverHwQueue, HwQueue>();
	/** The driver's half. */
	readonly driver: DriverViommu;

	/**
	 * @param iommu see Device
	 * @param initialize makes the driver's half. What it throws leaves everything as it was
	 */
	constructor(
		context: Context,
		id: number,
		iommu: object,
		hwpt: PagingHwpt,
		initialize: (core: ViommuCore) => DriverViommu,
	) {
		super(id);
		this.context = context;
		this.iommu = iommu;
		this.hwpt = hwpt;
		this.driver = initialize(this);
		hwpt.users++;
	}

	findDevice(virtualId: bigint): Device | undefined {
		return this.vdevices.get(virtualId)?.device.device;
	}

	virtualIdOf(device: Device): bigint {
		for (const [virtualId, vdevice] of this.vdevices) if (vdevice.device.device === device) return virtualId;
		throw new Errno("ENOENT", `${device.name} has no vDEVICE in ${this}: one has to be made first`, "vdevice");
	}

	reportEvent(type: number, event: Uint8Array): void {
		const queue = this.eventQueues.get(type);
		if (queue === undefined)
			throw new Errno("EOPNOTSUPP", `${this} has no queue for events of type ${hex(type)}`, "viommu");
		queue.deliver(event);
	}

	addMapping(memory: MovableMemory): number {
		return this.context.mmapRegions.add(this, memory);
	}

	removeMapping(offset: number): void {
		this.context.mmapRegions.remove(offset);
	}

	override uses(): readonly IommufdObject[] {
		return [this.hwpt];
	}

	override keptBy(): readonly string[] {
		return this.context.mmapRegions.isMapped(this) ? ["a mapping of its registers"] : [];
	}

	override destroy(): void {
		this.driver.free();
		this.hwpt.users--;
	}

	override toString(): string {
		return `vIOMMU ${this.id}`;
	}
}

/** IOMMU_VIOMMU_ALLOC */
export function viommuAlloc(call: Call, alloc: Args<typeof ViommuAlloc>): void {
	const { context, caller } = call;
	const { type, dataLen: length, dataUptr: address } = alloc;
	if (type === ViommuType.DEFAULT)
		throw new Errno("EOPNOTSUPP", "type is DEFAULT, and no vIOMMU is of that type", "viommu");
	const { device } = context.objects.get(alloc.devId, BoundDevice, "dev_id");
	const { driver, iommu } = device;
	if (!driver.viommuInit || !driver.hasViommu?.(device, type))
		throw new Errno(
			"EOPNOTSUPP",
			`${driver.name} has no vIOMMU of type ${nameIn(ViommuType, type)} for ${device.name}`,
			"viommu",
		);
	const hwpt = context.objects.get(alloc.hwptId, PagingHwpt, "hwpt_id");
	if (!hwpt.isNestParent) throw new Errno("EINVAL", `${hwpt} was allocated without NEST_PARENT`, "nest-parent");
	const data: UserData | undefined = length === 0 ? undefined : { type, address, length, memory: caller.memory };
	using undo = new Undo();
	const id = context.objects.reserve("VIOMMU");
	undo.push(() => context.objects.cancel(id));
	const viommu = new Viommu(context, id, iommu, hwpt, (core) =>
		driver.viommuInit!(core, device, type, hwpt.domain, data),
	);
	undo.push(() => viommu.destroy());
	alloc.outViommuId = id;
	call.respond();
	undo.keep();
	context.objects.install(viommu);
}
