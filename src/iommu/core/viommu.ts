// A vIOMMU: one guest's share of a physical IOMMU, with what the guest has in it. The driver makes its half, and iommufd
// makes the other one, which user space names by an id. struct iommufd_viommu and its ops in include/linux/iommufd.h.

import type { MovableMemory } from "../../memory/movable-memory.js";
import type { Device } from "./device.js";
import type { NestedDomain } from "./domain.js";
import type { UserData, UserDataArray } from "./user-data.js";

/** What iommufd's half does for the driver's. drivers/iommu/iommufd/driver.c */
export interface ViommuCore {
	/** The device that has a number in the guest; undefined when none has it. */
	findDevice(virtualId: bigint): Device | undefined;

	/**
	 * The number that a device has in the guest.
	 * @throws ENOENT when it has none: no vDEVICE has been made for it
	 */
	virtualIdOf(device: Device): bigint;

	/**
	 * Tells the guest of an event.
	 * @param type VeventqType
	 * @param event a struct of that type; it is copied
	 * @throws EOPNOTSUPP when user space has made no queue for events of this type
	 */
	reportEvent(type: number, event: Uint8Array): void;

	/**
	 * Lets user space map something with mmap(2) on the file of the context.
	 * @param memory whole pages
	 * @returns the offset to map it at, in bytes
	 */
	addMapping(memory: MovableMemory): number;
	removeMapping(offset: number): void;
}

/** The driver's half. An op that is absent is how it says that it can't. */
export interface DriverViommu {
	/**
	 * A nested domain for the guest's devices, on the domain that the vIOMMU was made on.
	 * @throws EOPNOTSUPP for a flag or a type that it doesn't know, EINVAL for data that is wrong
	 */
	allocDomainNested?(flags: number, data: UserData): NestedDomain;

	/**
	 * Carries out invalidations that the guest queued, in order.
	 * Sets `array.done` to how many were carried out, also when it throws.
	 */
	invalidateCache?(array: UserDataArray): void;

	/** A device gets a number in the guest. @throws when it can't have it */
	vdeviceInit?(device: Device, virtualId: bigint): DriverVdevice;

	/** Whether hwQueueInit() can make queues of this type: HwQueueType. */
	hasHwQueue?(type: number): boolean;

	/**
	 * Has the hardware read a queue in the guest's memory, which stays where it is until the queue is freed.
	 * @param physicalAddress where it begins, in bytes; it is contiguous
	 */
	hwQueueInit?(queue: HwQueueRequest, physicalAddress: number): DriverHwQueue;

	/** Nothing is left of what the other ops made. */
	free(): void;
}

export interface DriverVdevice {
	free(): void;
}

export interface HwQueueRequest {
	/** HwQueueType */
	readonly type: number;
	/** Which of the vIOMMU's queues it is to be. */
	readonly index: number;
	/** Where it is in the guest's memory: an IOVA of the nesting parent, in bytes. */
	readonly iova: bigint;
	readonly length: bigint;
}

export interface DriverHwQueue {
	/** A queue of the same vIOMMU that can't be destroyed before this one. */
	readonly dependsOn: DriverHwQueue | undefined;
	free(): void;
}
