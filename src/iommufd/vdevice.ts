// The vDEVICE: what a device is in the guest of a vIOMMU, under a number that the guest knows it by.
// drivers/iommu/iommufd/viommu.c.

import { allocation } from "../faults/faults.js";
import { Undo } from "../faults/undo.js";
import type { DriverVdevice } from "../iommu/core/iommu.js";
import { Errno, hex } from "../uapi/errno.js";
import type { VdeviceAlloc } from "../uapi/iommufd.js";
import type { Args } from "../uapi/struct.js";
import type { Call } from "./call.js";
import { BoundDevice } from "./device.js";
import { IommufdObject } from "./object.js";
import { Viommu } from "./viommu.js";

export class Vdevice extends IommufdObject {
	override readonly kind = "VDEVICE";
	readonly device: BoundDevice;
	readonly #viommu: Viommu;
	/** The number by which the guest knows it. */
	readonly virtualId: bigint;
	readonly #driver: DriverVdevice | undefined;

	constructor(id: number, viommu: Viommu, device: BoundDevice, virtualId: bigint, driver: DriverVdevice | undefined) {
		super(id);
		this.#viommu = viommu;
		this.device = device;
		this.virtualId = virtualId;
		this.#driver = driver;
		viommu.vdevices.set(virtualId, this);
		viommu.users++;
		device.vdevice = this;
		device.users++;
	}

	override uses(): readonly IommufdObject[] {
		return [this.#viommu, this.device];
	}

	override destroy(): void {
		this.#driver?.free();
		this.#viommu.vdevices.delete(this.virtualId);
		this.#viommu.users--;
		this.device.vdevice = undefined;
		this.device.users--;
	}
}

/** IOMMU_VDEVICE_ALLOC */
export function vdeviceAlloc(call: Call, alloc: Args<typeof VdeviceAlloc>): void {
	const { context } = call;
	const { virtId } = alloc;
	const viommu = context.objects.get(alloc.viommuId, Viommu, "viommu_id");
	const device = context.objects.get(alloc.devId, BoundDevice, "dev_id");
	if (device.device.iommu !== viommu.iommu)
		throw new Errno(
			"EINVAL",
			`${device} can't be in the guest of ${viommu}, which is a share of another IOMMU than the device's`,
			"viommu",
		);
	if (device.vdevice !== undefined) throw new Errno("EEXIST", `${device} is ${device.vdevice} already`, "vdevice");
	using undo = new Undo();
	const id = context.objects.reserve("VDEVICE");
	undo.push(() => context.objects.cancel(id));
	allocation("a place in the list of vDEVICEs");
	const other = viommu.vdevices.get(virtId);
	if (other !== undefined)
		throw new Errno("EEXIST", `virt_id is ${hex(virtId)}, by which ${viommu} has ${other.device} already`, "vdevice");
	const vdevice = new Vdevice(id, viommu, device, virtId, viommu.driver.vdeviceInit?.(device.device, virtId));
	undo.push(() => vdevice.destroy());
	alloc.outVdeviceId = id;
	call.respond();
	undo.keep();
	context.objects.install(vdevice);
}
