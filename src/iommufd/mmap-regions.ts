// What can be mapped with mmap(2) on the file of a context, by offset. ictx->mt_mmap and iommufd_fops_mmap() in
// drivers/iommu/iommufd/main.c. Nobody but who made a region is told its offset.

import { type Backing, PAGE_SIZE } from "../memory/address-space.js";
import { Errno, hex } from "../uapi/errno.js";
import type { Mapping } from "./caller.js";
import type { IommufdObject } from "./object.js";

interface Region {
	/** In bytes, as the length. */
	readonly offset: number;
	readonly length: number;
	readonly backing: Backing;
	/** Can't be destroyed as long as the region is mapped. */
	readonly owner: IommufdObject;
}

export class MmapRegions {
	/** By offset, without overlap. */
	readonly #regions: Region[] = [];

	/**
	 * Adds a region at the lowest offset that is free; 0 is none, so that nobody maps a region by mistake.
	 * @param length in bytes, whole pages
	 * @returns the offset
	 */
	add(owner: IommufdObject, backing: Backing, length: number): number {
		let offset = PAGE_SIZE;
		let at = 0;
		for (; at < this.#regions.length && this.#regions[at].offset < offset + length; at++)
			offset = this.#regions[at].offset + this.#regions[at].length;
		this.#regions.splice(at, 0, { offset, length, backing, owner });
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
	map(offset: number, length: number): Mapping {
		if (length % PAGE_SIZE !== 0) throw new Errno("EINVAL", `length ${hex(length)} is not a multiple of the page size`);
		const region = this.#regions.find((candidate) => candidate.offset === offset);
		if (region === undefined) throw new Errno("ENXIO", `nothing that can be mapped begins at offset ${hex(offset)}`);
		if (region.length !== length)
			throw new Errno(
				"ENXIO",
				`what begins at offset ${hex(offset)} is ${hex(region.length)} bytes, not ${hex(length)}`,
			);
		const { backing, owner } = region;
		owner.users++;
		return {
			backing,
			release: () => {
				owner.users--;
			},
		};
	}
}
