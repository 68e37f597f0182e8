// The engine in this process: a map of IOVAs with a domain of a real IOMMU, and a client with as much memory as one likes.

import { MemoryBudget } from "../../src/faults/memory-budget.js";
import type { Caller } from "../../src/files/caller.js";
import { DEFAULT_CAPABILITY_HEADER } from "../../src/iommu/drivers/amd/registers.js";
import { AmdDriver } from "../../src/iommu/drivers/amd.js";
import { deviceBehind } from "../../src/iommu/drivers/function.testing.js";
import { mainline } from "../../src/iommufd/hwpt-policy.js";
import { IoPagetable } from "../../src/iommufd/io-pagetable/io-pagetable.js";
import { UserPages } from "../../src/iommufd/io-pagetable/pages.js";
import type { Platform } from "../../src/iommufd/platform.js";
import { type AddressSpace, type Backing, type Extents, PAGE_SIZE } from "../../src/memory/address-space.js";
import { type Contiguity, Frames } from "../../src/memory/frames.js";
import { Memlock } from "../../src/memory/memlock.js";
import { CACHE, READ, WRITE } from "../../src/pagetable/pagetable.js";
import { TableMemory } from "../../src/pagetable/table-memory.js";
import { HwptAllocFlags } from "../../src/uapi/iommufd.js";

/** All of it is there, and none of it has bytes. */
export class EndlessSpace implements AddressSpace, Backing {
	readonly name = "endless memory";
	readonly alive = true;
	readonly selfLocked = 0;

	read(_at: number, into: Uint8Array): number {
		return into.length;
	}

	write(_at: number, from: Uint8Array): number {
		return from.length;
	}

	resolve(first: number, count: number, _writable: boolean, into: Extents): void {
		into.add(this, first, count);
	}
}

export const space = new EndlessSpace();

const caller: Caller = {
	thread: 1,
	memory: space,
	owner: { uid: 0, memlockLimit: () => Number.POSITIVE_INFINITY },
	capable: () => true,
	file: () => undefined,
	install: () => -1,
};

/** An IOAS's map that an AMD IOMMU shows: it tracks dirty pages, and has all page sizes. */
export class Engine {
	readonly tables = new TableMemory({ budget: new MemoryBudget(Number.POSITIVE_INFINITY).pageTables });
	readonly platform: Platform;
	readonly hasHolders = false;
	readonly map: IoPagetable;
	readonly domain;

	constructor({ contiguity = "as-addresses" as Contiguity, smallPages = false } = {}) {
		this.platform = {
			frames: new Frames(contiguity),
			memlock: new Memlock(),
			budget: new MemoryBudget(Number.POSITIVE_INFINITY),
			selftest: undefined,
			policy: mainline,
			settle() {},
			remark() {},
		};
		const driver = new AmdDriver(this.tables);
		const unit = driver.addIommu({
			efr: 0x247577efa2254afan,
			efr2: 0x18n,
			capabilityHeader: DEFAULT_CAPABILITY_HEADER,
		});
		this.domain = driver.domainAllocPagingFlags(deviceBehind(unit), HwptAllocFlags.DIRTY_TRACKING, undefined);
		this.map = new IoPagetable(this.platform, "IOAS 1");
		if (smallPages) this.map.disableLargePages();
		this.map.addDomain(this.domain, "HWPT 2");
	}

	/** IOAS_MAP of the memory that has the same addresses. In bytes. */
	mapMemory(iova: bigint, length: bigint, address = iova): void {
		const pages = new UserPages(this, caller, address, length, true);
		this.map.map([{ pages, startByte: 0n, length }], length, iova, READ | WRITE | CACHE);
	}

	unmap(iova: bigint, length: bigint): void {
		this.map.unmap(iova, iova + length - 1n);
	}
}

/** What is in use after a collection, in bytes: objects and arrays. */
export function memoryInUse(): number {
	globalThis.gc?.();
	globalThis.gc?.();
	const { heapUsed, external, arrayBuffers } = process.memoryUsage();
	return heapUsed + Math.max(external, arrayBuffers);
}

export const PAGE = BigInt(PAGE_SIZE);
