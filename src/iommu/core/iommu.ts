// What devices, their groups, domains, drivers and vIOMMUs are to each other: include/linux/iommu.h and iommufd.h. Each has something
// of the others, so all are here, and this file needs none that holds a class of them: device.ts, group.ts, domain.ts.
//
// Ops have the kernel's names in camelCase. An op that is absent is how a driver says that it can't.

import type { MovableMemory } from "../../memory/movable-memory.js";
import type { PageTable } from "../../pagetable/pagetable.js";
import type { Turn } from "../../uapi/turns.js";
import type { Notes } from "./notes.js";
import type { PageRequest } from "./page-request.js";
import type { Pasid } from "./pasid.js";
import type { ReservedRegion } from "./reserved.js";
import type { UserData, UserDataArray } from "./user-data.js";

/** A device behind an IOMMU, or behind none: struct device with its dev_iommu. */
export interface Device {
	readonly name: string;
	readonly driver: IommuDriver;
	readonly group: Group;
	/** How many PASIDs it can use; 0 where it has none. A power of two. */
	readonly maxPasids: number;
	/** The IOMMU in front of it. What is made for one IOMMU may not fit another one of the same driver. */
	readonly iommu: object;
	/** Page requests whose group isn't complete yet; undefined as long as the device may not fault. fault.ts keeps it. */
	unfinishedFaults: PageRequest[] | undefined;
	/** Whether one is in front of it: dev->iommu. */
	readonly hasIommu: boolean;
}

/** What is attached to a group for one PASID, with the core's own note of who did it. */
export interface Attachment {
	readonly domain: Domain;
	readonly handle: object;
}

/** Is told when a group's devices translate through another domain. */
export interface GroupWatcher {
	attached(domain: Domain): void;
}

/** Who takes a group over. */
export interface GroupOwner {
	/** Of those that work for it: one of them may be about to let go of the group. */
	readonly turn?: Turn;
}

/** Devices that the hardware can't tell apart, or can't keep from one another: they are attached together. */
export interface Group {
	readonly id: number;
	readonly devices: Device[];
	/** For requests without PASID. */
	readonly watchers: Set<GroupWatcher>;
	/** Of who has noted what is attached. They are told when that changes. */
	readonly notes: Notes;

	/** What is attached for a PASID. */
	attachment(pasid: Pasid): Attachment | undefined;

	/**
	 * Takes the group's DMA over for one owner; may be called again by the same one.
	 * From then on its devices can't do DMA until something is attached.
	 * @throws EPERM when another owner has it, Later while that is at work, EINVAL when the firmware wants memory mapped for a device at all times
	 */
	claim(owner: GroupOwner, name: string): void;

	/** The same for an owner that comes once and wants the whole group. @throws EPERM also when it has it already, EINVAL */
	claimAlone(owner: GroupOwner, name: string): void;

	/** Whether somebody has taken it over, or a driver of the kernel's uses a device of it. */
	readonly isClaimed: boolean;

	/**
	 * A driver of the kernel's uses a device of the group for DMA: then nobody can take the group over.
	 * @param driver for the reason
	 * @throws EBUSY when somebody has
	 */
	useByKernel(driver: string): void;

	/** Undoes one claim, or one use by the kernel. */
	release(): void;

	/**
	 * Attaches a domain for requests without PASID.
	 * @throws EBUSY when something is attached, EINVAL for a domain of another driver, and what the driver's attach throws
	 */
	attach(domain: Domain, handle: object): void;

	/** Attaches another domain instead; on error the old one stays. */
	replace(domain: Domain, handle: object): void;

	/** Detaches what attach() or replace() attached: back to no DMA. */
	detach(): void;

	/**
	 * Attaches a domain for requests with a PASID.
	 * @throws EOPNOTSUPP where the driver has no PASIDs, EINVAL for a PASID that a device can't use, EBUSY when it is in use
	 */
	attachPasid(domain: Domain, pasid: Pasid, handle: object): void;

	/** @throws EINVAL when nothing is attached for the PASID; on error the old domain stays */
	replacePasid(domain: Domain, pasid: Pasid, handle: object): void;

	detachPasid(pasid: Pasid): void;
}

/** All page requests that one answer is for. struct iopf_group */
export interface FaultGroup {
	readonly device: Device;
	/** In the order in which they came. The last one, and no other, has LAST_PAGE. */
	readonly requests: readonly PageRequest[];
	/** What the device was attached to when it asked. */
	readonly attachment: Attachment;
	/**
	 * Answers, once.
	 * @param code PageResponseCode
	 */
	respond(code: number): void;
}

/** Takes a group of faults over, and calls respond() of it some time. */
export type FaultHandler = (group: FaultGroup) => void;

export type DomainType = "paging" | "nested" | "blocked" | "identity";

/** One translation that devices can be attached to. */
export interface Domain {
	readonly type: DomainType;
	/** Whose domain it is: a device of another driver can't be attached. */
	readonly driver: IommuDriver;
	/** Who takes page faults of this domain. A driver looks only at whether there is one: then devices may fault. */
	faultHandler: FaultHandler | undefined;

	/**
	 * Makes the device translate its untagged requests through this domain.
	 * @throws EINVAL when this device can't use this domain (the core may then try another); other errors end the attach
	 */
	attachDevice(device: Device, old: Domain): void;

	/** The same for requests with a PASID. Absent where the driver has no PASIDs. */
	setDevicePasid?(device: Device, pasid: Pasid, old: Domain | undefined): void;

	/** Gives everything back. Nothing is attached any more. */
	free(): void;
}

/** What was mapped at once, in granules. */
export interface Stretch {
	readonly first: number;
	readonly count: number;
}

/** Is told what a paging domain shows. */
export interface DomainWatcher {
	/** All of a stretch is there now. */
	mapped(stretch: Stretch): void;
	/** Nothing is there any more. */
	unmapped(stretch: Stretch): void;
}

/**
 * A domain whose translation the kernel keeps, in an I/O page table. IOVAs and physical addresses that go through map and unmap are
 * counted in the granules of the table (2^granuleLg2 bytes), as doubles; ranges in bytes are bigints.
 */
export interface PagingDomain extends Domain {
	/** Page sizes in bytes as a bitmap; 4096 or something smaller is among them. */
	readonly pageSizes: bigint;
	/** The IOVAs that it translates, in bytes, both ends included. */
	readonly aperture: { readonly first: bigint; readonly last: bigint };
	/** Present where the domain was made to track what devices write. */
	readonly dirtyTracking: DirtyTracking | undefined;
	/** How often what IOMMUs have cached of the table was flushed. What was cached before the last time doesn't count. */
	readonly flushes: number;
	/** Of who has noted where the table leads. They are told when that is flushed. */
	readonly notes: Notes;
	/** Whether the IOMMU marks leaves as accessed and dirty. */
	readonly marksLeaves: boolean;
	readonly watchers: Set<DomainWatcher>;
	/** All stretches that are mapped, as whoever maps them knows them. */
	stretches: () => Iterable<Stretch>;
	/** Whether it has its page table: some drivers finish a domain only when it is first attached. */
	readonly isFinished: boolean;
	/** @throws ENODEV while the domain is not finished */
	readonly table: PageTable;

	/** Maps frames as PageTable.map does; a driver may have to refuse some, or want more in every entry. */
	map(va: number, pa: number, count: number, protection: number, allowedSizes: bigint): void;

	/** A stretch has been mapped: watchers are told. */
	hasMapped(first: number, count: number): void;

	/** Unmaps frames as PageTable.unmap does, and flushes what IOMMUs have cached: iommu_unmap(). */
	unmap(va: number, count: number): number;

	/**
	 * Makes every request snoop the CPU's caches from now on; false where an IOMMU can't. Called before any map.
	 * @param attached the devices that are attached by now: iommufd asks before the first, VFIO's type 1 after it
	 */
	enforceCacheCoherency?(attached?: readonly Device[]): boolean;
}

/** Recording which pages devices have written. */
export interface DirtyTracking {
	enabled: boolean;
	/** @throws EINVAL where it can't be switched now */
	set(enable: boolean): void;
}

/** A domain whose first stage is in the hands of user space, and whose second stage is a paging domain. */
export interface NestedDomain extends Domain {
	/**
	 * Carries out invalidations that user space queued, in order.
	 * Sets `array.done` to how many were carried out, also when it throws.
	 */
	invalidateCache?(array: UserDataArray): void;
}

/** enum iommu_cap */
export type IommuCapability =
	| "cache-coherency"
	| "enforce-cache-coherency"
	| "dirty-tracking"
	| "deferred-flush"
	| "pci-ats";

/** What GET_HW_INFO answers: the type of the struct, and its bytes. */
export interface HwInfo {
	readonly type: number;
	readonly bytes: Uint8Array;
}

/** What an IOMMU driver offers: struct iommu_ops. */
export interface IommuDriver {
	readonly name: string;

	/** There is no IOMMU: what the devices read and write are physical addresses, and nothing can be attached to them. */
	readonly isAbsent?: true;

	/** Whether an IOMMU of this driver can do something for this device. */
	capable(device: Device, capability: IommuCapability): boolean;

	/** Whether a device's writes can't forge other devices' interrupts. Absent where they never can. */
	isolatesInterrupts?(device: Device): boolean;

	/** The domain in which a device that nobody uses can do no DMA. */
	readonly blockedDomain: Domain;

	/**
	 * A paging domain to the user's wishes: HWPT_ALLOC's flags, and data of the driver's own.
	 * @throws EOPNOTSUPP for a flag or a type that it doesn't know, EINVAL for data that is wrong, ENOMEM
	 */
	domainAllocPagingFlags?(device: Device, flags: number, data: UserData | undefined): PagingDomain;

	/** A paging domain as the driver likes it; undefined is Linux's null. A driver has this or domainAllocPagingFlags. */
	domainAllocPaging?(device: Device): PagingDomain | undefined;

	/** A nested domain on a parent that was allocated as one. */
	domainAllocNested?(device: Device, parent: PagingDomain, flags: number, data: UserData): NestedDomain;

	/**
	 * The hardware's description of itself.
	 * @param type the type that is asked for, 0 for the driver's choice
	 * @throws EOPNOTSUPP for a type that it doesn't know
	 */
	hwInfo?(device: Device, type: number): HwInfo;

	/** Ranges that the device's IOAS must leave alone. */
	reservedRegions?(device: Device): readonly ReservedRegion[];

	/**
	 * Tells a device how its page request was answered. Absent where devices can't fault.
	 * @param code PageResponseCode
	 */
	pageResponse?(device: Device, request: PageRequest, code: number): void;

	/** Whether a nested domain brings its own table of PASIDs, so that faults of any PASID are faults of it. */
	readonly userPasidTable?: boolean;

	/**
	 * Whether viommuInit() can make a vIOMMU of this type: get_viommu_size() in Linux.
	 * @param type ViommuType
	 */
	hasViommu?(device: Device, type: number): boolean;

	/**
	 * The driver's half of a new vIOMMU on a domain that was allocated as a parent.
	 * @throws EINVAL or EOPNOTSUPP for data that it can't use
	 */
	viommuInit?(
		core: ViommuCore,
		device: Device,
		type: number,
		parent: PagingDomain,
		data: UserData | undefined,
	): DriverViommu;
}

// A vIOMMU is one guest's share of a physical IOMMU, with what the guest has in it. The driver makes its half, and iommufd makes
// the other one, which user space names by an id.

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
