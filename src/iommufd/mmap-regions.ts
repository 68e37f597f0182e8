// What can be mapped with mmap(2) on the file of a context, by offset. ictx->mt_mmap and iommufd_fops_mmap() in
// drivers/iommu/iommufd/main.c. Nobody but who made a region is told its offset.

import { allocation } from "../faults/faults.js";
import type { Mapping } from "../files/open-file.js";
import { PAGE_SIZE } from "../memory/address-space.js";
import type { MovableMemory } from "../memory/movable-memory.js";
import { Errno, hex } from "../uapi/errno.js";
import type { IommufdObject } from "./object.js";

interface Region {
	/** In bytes. */
	readonly offset: number;
	/** Whole pages. */
	readonly memory: MovableMemory;
	/** Can't be destroyed as long as the region is mapped. */
	readonly owner: IommufdObject;
	/** How often it is mapped, for all that we know. */
	mappings: number;
}

export class MmapRegions {
	/** By offset, without overlap. */
	readonly #regions: Region[] = [];

	/**
	 * Adds a region at the lowest offset that is free; 0 is none, so that nobody maps a region by mistake.
	 * @returns the offset
	 */
	add(owner: IommufdObject, memory: MovableMemory): number {
		allocation("a region that can be mapped");
		let offset = PAGE_SIZE;
		let at = 0;
		for (; at < this.#regions.length && this.#regions[at].offset < offset + memory.length; at++)
			offset = this.#regions[at].offset + this.#regions[at].memory.length;
		this.#regions.splice(at, 0, { offset, memory, owner, mappings: 0 });
		return offset;
	}

	remove(offset: number): void {
		const at = this.#regions.findIndex((region) => region.offset === offset);
		if (at >= 0) this.#regions.splice(at, 1);
	}

	/**
	 * Maps a region, as a whole.
	 * @throws EINVAL for a length that isn't whole pages, ENXIO where no region begins or it has another length
	 */
	map(offset: number, length: number): Mapping<MovableMemory> {
		if (length % PAGE_SIZE !== 0)
			throw new Errno("EINVAL", `length ${hex(length)} is not a multiple of the page size`, "mmap-offset");
		const region = this.#regions.find((candidate) => candidate.offset === offset);
		if (region === undefined)
			throw new Errno("ENXIO", `nothing that can be mapped begins at offset ${hex(offset)}`, "mmap-offset");
		const { memory, owner } = region;
		if (memory.length !== length)
			throw new Errno(
				"ENXIO",
				`what begins at offset ${hex(offset)} is ${hex(memory.length)} bytes, not ${hex(length)}`,
				"mmap-offset",
			);
		owner.users++;
		region.mappings++;
		return {
			backing: memory,
			release: () => {
				owner.users--;
				region.mappings--;
			},
		};
	}

	/** Whether something of an object's is mapped, for all that we know. */
	isMapped(owner: IommufdObject): boolean {
		return this.#regions.some((region) => region.owner === owner && region.mappings > 0);
	}
}
