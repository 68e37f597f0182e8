// The mock IOMMU's half of a vIOMMU, with two hardware queues. drivers/iommu/iommufd/selftest.c.

import { PAGE_SIZE } from "../../../memory/address-space.js";
import { MovableMemory } from "../../../memory/movable-memory.js";
import { Errno, hex } from "../../../uapi/errno.js";
import { flagsIn, nameIn } from "../../../uapi/field.js";
import { HwptAllocFlags, HwptDataType, HwQueueType, InvalidateDataType, ViommuType } from "../../../uapi/iommufd.js";
import {
	HwptSelftest,
	IOMMU_TEST_HW_QUEUE_MAX,
	MOCK_DEV_CACHE_ID_MAX,
	TestInvalidateFlags,
	ViommuInvalidateSelftest,
	ViommuSelftest,
} from "../../../uapi/iommufd-test.js";
import type { DriverHwQueue, DriverViommu, HwQueueRequest, IommuDriver, ViommuCore } from "../../core/iommu.js";
import {
	carryOutUserData,
	readUserData,
	type UserData,
	type UserDataArray,
	writeUserData,
} from "../../core/user-data.js";
import type { MockDevice } from "./device.js";
import { type MockDomain, MockNestedDomain } from "./domain.js";

/** What user space can map of a mock vIOMMU, in bytes. */
const MMAP_LENGTH = 2 * PAGE_SIZE;

export class MockViommu implements DriverViommu {
	readonly core: ViommuCore;
	readonly #driver: IommuDriver;
	readonly #parent: MockDomain;
	/** By index. */
	readonly #queues: (MockHwQueue | undefined)[] = [];
	#mmapOffset: number | undefined;

	/** @param data an iommu_viommu_selftest: the number in it comes back in the struct, and in the first word of the mapping */
	constructor(driver: IommuDriver, core: ViommuCore, parent: MockDomain, data: UserData | undefined) {
		this.core = core;
		this.#driver = driver;
		this.#parent = parent;
		if (data !== undefined) this.#echo(data);
	}

	#echo(data: UserData): void {
		const view = readUserData(data, ViommuType.SELFTEST, ViommuSelftest);
		const registers = new MovableMemory("registers of a mock vIOMMU", MMAP_LENGTH);
		registers.write(0, new Uint8Array(Uint32Array.of(view.inData).buffer));
		const offset = this.core.addMapping(registers);
		view.outData = view.inData;
		view.outMmapLength = BigInt(MMAP_LENGTH);
		view.outMmapOffset = BigInt(offset);
		try {
			writeUserData(data, view, ViommuSelftest);
		} catch (error) {
			this.core.removeMapping(offset);
			throw error;
		}
		this.#mmapOffset = offset;
	}

	allocDomainNested(flags: number, data: UserData): MockNestedDomain {
		return allocNested(this.#driver, flags, data, this);
	}

	invalidateCache(array: UserDataArray): void {
		const type = InvalidateDataType.SELFTEST;
		// An empty array asks whether the type is known.
		if (array.entries === 0 && array.type === type) return;
		carryOutUserData(array, type, ViommuInvalidateSelftest, ({ flags, vdevId, cacheId }, index) => {
			if (flags & ~TestInvalidateFlags.ALL)
				throw new Errno(
					"EOPNOTSUPP",
					`entry ${index}: flags is ${hex(flags)}, and only ALL is known`,
					"invalidation-entry",
				);
			if (cacheId > MOCK_DEV_CACHE_ID_MAX)
				throw new Errno(
					"EINVAL",
					`entry ${index}: cache_id is ${cacheId}, and the last one is ${MOCK_DEV_CACHE_ID_MAX}`,
					"invalidation-entry",
				);
			const device = this.core.findDevice(BigInt(vdevId)) as MockDevice | undefined;
			if (device === undefined)
				throw new Errno("EINVAL", `entry ${index}: the vIOMMU has no vDEVICE ${hex(vdevId)}`, "invalidation-entry");
			if (flags & TestInvalidateFlags.ALL) device.cache.fill(0);
			else device.cache[cacheId] = 0;
		});
	}

	hasHwQueue(type: number): boolean {
		return type === HwQueueType.SELFTEST;
	}

	/** Queues are made in the order of their indexes, so that a test sees one queue holding another. */
	hwQueueInit({ index, iova }: HwQueueRequest, physicalAddress: number): DriverHwQueue {
		if (index >= IOMMU_TEST_HW_QUEUE_MAX)
			throw new Errno(
				"EINVAL",
				`index is ${index}, and a mock vIOMMU has ${IOMMU_TEST_HW_QUEUE_MAX} queues`,
				"hw-queue",
			);
		if (this.#queues[index] !== undefined)
			throw new Errno("EEXIST", `the vIOMMU has a queue ${index} already`, "hw-queue");
		const before = index > 0 ? this.#queues[index - 1] : undefined;
		if (index > 0 && before === undefined)
			throw new Errno("EIO", `queue ${index - 1} has to be made before queue ${index}`, "hw-queue");
		if (this.#translate(iova) !== physicalAddress)
			throw new Errno("EFAULT", `IOVA ${hex(iova)} of the parent doesn't lead to ${hex(physicalAddress)}`, "hw-queue");
		const queue = new MockHwQueue(before, () => {
			// Whichever queue goes: Linux's mock never notes a queue's index, so that of another one than 0 stays taken.
			this.#queues[0] = undefined;
		});
		this.#queues[index] = queue;
		return queue;
	}

	free(): void {
		if (this.#mmapOffset !== undefined) this.core.removeMapping(this.#mmapOffset);
	}

	/** Where an IOVA of the parent leads to, in bytes. */
	#translate(iova: bigint): number {
		const { table } = this.#parent;
		const granule = 2 ** table.format.granuleLg2;
		const found = table.translate(Number(iova / BigInt(granule)));
		return found < 0 ? 0 : found * granule + Number(iova % BigInt(granule));
	}
}

class MockHwQueue implements DriverHwQueue {
	readonly dependsOn: MockHwQueue | undefined;
	readonly free: () => void;

	constructor(dependsOn: MockHwQueue | undefined, free: () => void) {
		this.dependsOn = dependsOn;
		this.free = free;
	}
}

/** A nested domain, on a parent or on a vIOMMU. */
export function allocNested(driver: IommuDriver, flags: number, data: UserData, viommu?: MockViommu): MockNestedDomain {
	if (flags & ~HwptAllocFlags.PASID)
		throw new Errno(
			"EOPNOTSUPP",
			`selftest: a nested HWPT takes no flag but PASID, and flags has ${flagsIn(HwptAllocFlags, flags)}`,
			"unknown-flag",
		);
	if (data.type !== HwptDataType.SELFTEST)
		throw new Errno(
			"EOPNOTSUPP",
			`selftest: data_type is ${nameIn(HwptDataType, data.type)}, and it nests with SELFTEST only`,
			"data-type",
		);
	return new MockNestedDomain(driver, readUserData(data, HwptDataType.SELFTEST, HwptSelftest).iotlb, viommu);
}
