// A device that is bound to a context, and the group that is attached with it. drivers/iommu/iommufd/device.c.

import { allocation } from "../faults/faults.js";
import type { Device, Group } from "../iommu/core/iommu.js";
import type { Pasid } from "../iommu/core/pasid.js";
import { Errno } from "../uapi/errno.js";
import type { Context } from "./context.js";
import type { Hwpt } from "./hwpt.js";
import { IommufdObject } from "./object.js";
import type { Vdevice } from "./vdevice.js";

/** What a group is attached to for one PASID, and which of its devices have asked for it. */
interface GroupAttachment {
	hwpt: Hwpt;
	readonly devices: Set<BoundDevice>;
}

/** What a context knows of a group: all its devices are attached to the same HWPT. */
export class IommufdGroup {
	readonly group: Group;
	readonly attachments = new Map<Pasid, GroupAttachment>();
	/** Devices of the group that are bound. */
	bound = 0;
	/** Where a software MSI is mapped, if a device of the group needs that. */
	softwareMsi: bigint | undefined;

	constructor(group: Group) {
		this.group = group;
	}
}

export class BoundDevice extends IommufdObject {
	override readonly kind = "DEVICE";
	readonly context: Context;
	readonly device: Device;
	readonly group: IommufdGroup;
	readonly enforcesCacheCoherency: boolean;
	/** What it is in the guest of a vIOMMU. */
	vdevice: Vdevice | undefined;
	readonly #keepsContext: boolean;

	constructor(context: Context, id: number, device: Device, group: IommufdGroup, keepsContext: boolean) {
		super(id);
		this.context = context;
		this.device = device;
		this.group = group;
		this.#keepsContext = keepsContext;
		if (keepsContext) context.hold();
		this.enforcesCacheCoherency = device.driver.capable(device, "enforce-cache-coherency");
		group.bound++;
	}

	/** A vDEVICE does not keep its device: it goes with it, but leaves its id behind. */
	override preDestroy(): void {
		if (this.vdevice === undefined) return;
		this.vdevice.users++;
		this.context.objects.tombstoneUser(this.vdevice);
	}

	override destroy(): void {
		if (this.device.hasIommu) this.group.group.release();
		this.group.bound--;
		if (this.group.bound === 0) this.context.groups.delete(this.group.group);
		if (this.#keepsContext) this.context.drop();
	}

	override uses(): readonly IommufdObject[] {
		const attachments = [...this.group.attachments.values()];
		return attachments.filter(({ devices }) => devices.has(this)).map(({ hwpt }) => hwpt);
	}

	override toString(): string {
		return `device ${this.id} (${this.device.name})`;
	}
}

/**
 * Takes a device over for a context: nobody else can use its group until it is unbound.
 * @param keepsContext whether the context stays until then; false for a device that is an object of the context itself
 * @throws EINVAL for a device that isn't cache coherent, EOPNOTSUPP for one that the allocation rule keeps out, EPERM for one
 * that could forge interrupts or whose group belongs to another context
 */
export function bindDevice(context: Context, device: Device, keepsContext = true): BoundDevice {
	const id = context.objects.reserve("DEVICE");
	let group: IommufdGroup;
	try {
		group = device.hasIommu ? claimGroup(context, device) : groupOfItsOwn(device);
	} catch (error) {
		context.objects.cancel(id);
		throw error;
	}
	const bound = new BoundDevice(context, id, device, group, keepsContext);
	bound.users++; // the driver that binds it
	context.objects.install(bound);
	return bound;
}

function claimGroup(context: Context, device: Device): IommufdGroup {
	if (!device.driver.capable(device, "cache-coherency"))
		throw new Errno(
			"EINVAL",
			`${device.name} is not cache coherent behind ${device.driver.name}, and user space can't flush caches`,
			"cache-coherency",
		);
	context.platform.policy.checkBind?.(device);
	if (device.driver.isolatesInterrupts?.(device) === false)
		throw new Errno(
			"EPERM",
			`${device.name} could forge interrupts: its IOMMU doesn't remap them`,
			"interrupt-remapping",
		);
	const known = context.groups.get(device.group);
	if (known === undefined) allocation("a group");
	device.group.claim(context, "another open of /dev/iommu");
	if (known !== undefined) return known;
	const group = new IommufdGroup(device.group);
	context.groups.set(device.group, group);
	return group;
}

/** Without an IOMMU there is nothing that keeps the device from memory, and so nothing to claim. */
function groupOfItsOwn(device: Device): IommufdGroup {
	allocation("a group for a device without an IOMMU");
	return new IommufdGroup(device.group);
}

/** Undoes bindDevice(); nothing is attached any more. */
export function unbindDevice(device: BoundDevice): void {
	device.context.objects.destroyUser(device);
}
