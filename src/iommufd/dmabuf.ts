// A dma-buf: memory of a device that its owner hands out as a file, and can take away again. IOAS_MAP_FILE maps it without
// pinning it. iopt_alloc_dmabuf_pages() and iopt_revoke_notify() in drivers/iommu/iommufd/pages.c.

import type { Caller } from "../files/caller.js";
import type { OpenFile } from "../files/open-file.js";
import type { Backing, Extents } from "../memory/address-space.js";
import { Errno, hex } from "../uapi/errno.js";
import { whenFree } from "../uapi/turns.js";
import type { Context } from "./context.js";
import { Pages } from "./io-pagetable/pages.js";
import type { Ioas } from "./ioas.js";

/** Where the bytes of a dma-buf are. */
export interface DmaBufMemory {
	readonly backing: Backing;
	/** The page of the backing that is the first of the dma-buf. */
	readonly firstPage: number;
	/** In bytes. */
	readonly size: number;
	/** Whether it is one piece: iommufd maps no others. */
	readonly isOnePiece: boolean;
}

/** The file. */
export class DmaBuf implements OpenFile {
	readonly path = "dmabuf";
	readonly memory: DmaBufMemory;
	/** Called when it is neither open nor mapped any more. */
	onUnused: (() => void) | undefined;
	/** Whether it can't be mapped now. */
	#revoked = false;
	/** How often mappings have been taken away. */
	#generation = 0;
	/** Who has mapped it. */
	readonly #contexts = new Set<Context>();
	#isOpen = true;
	/** How many mappings there are. */
	#mappings = 0;

	constructor(memory: DmaBufMemory) {
		this.memory = memory;
	}

	get generation(): number {
		return this.#generation;
	}

	get isRevoked(): boolean {
		return this.#revoked;
	}

	/**
	 * Some of it for an IOAS of a context.
	 * @throws EINVAL for a range that it hasn't got, ENODEV while it is revoked, EOPNOTSUPP for one of several pieces
	 */
	pages(context: Context, caller: Caller, start: bigint, length: bigint, writable: boolean): DmabufPages {
		if (start + length > BigInt(this.memory.size))
			throw new Errno(
				"EINVAL",
				`${hex(start)} + ${hex(length)} lies beyond the dma-buf's size, ${hex(this.memory.size)}`,
				"dma-buf",
			);
		const pages = new DmabufPages(context, caller, this, start, length, writable);
		if (this.#revoked) throw new Errno("ENODEV", "the dma-buf's owner has revoked it", "dma-buf");
		if (!this.memory.isOnePiece)
			throw new Errno("EOPNOTSUPP", "the dma-buf has several ranges: iommufd maps those of one range", "dma-buf");
		this.#contexts.add(context);
		return pages;
	}

	/**
	 * Takes all mappings away, as soon as no call works on a context that has some. The areas stay, and lead to nothing.
	 * @param revoked whether new ones are refused from now on
	 */
	invalidateMappings(revoked: boolean): void {
		this.#revoked = revoked;
		const contexts = [...this.#contexts].sort((one, other) => one.turn.number - other.turn.number);
		this.#contexts.clear();
		const turns = contexts.map((context) => () => context.turn);
		whenFree(turns, () => {
			for (const context of contexts)
				for (const object of context.objects) if (object.kind === "IOAS") this.#hideIn(object as Ioas);
			this.#generation++;
		});
	}

	#hideIn({ map }: Ioas): void {
		for (const area of map.areas)
			if (area.pages instanceof DmabufPages && area.pages.dmabuf === this)
				for (const domain of map.domains) area.unmap(domain);
	}

	ioctl(): number {
		throw new Errno("ENOTTY", "a dma-buf has no ioctls here");
	}

	addMapping(): void {
		this.#mappings++;
	}

	removeMapping(): void {
		this.#mappings--;
		this.#tellIfUnused();
	}

	release(): void {
		this.#isOpen = false;
		this.#tellIfUnused();
	}

	#tellIfUnused(): void {
		if (!this.#isOpen && this.#mappings === 0) this.onUnused?.();
	}
}

export class DmabufPages extends Pages {
	override get kind() {
		return "dmabuf" as const;
	}

	readonly dmabuf: DmaBuf;
	readonly #generation: number;

	constructor(context: Context, caller: Caller, dmabuf: DmaBuf, start: bigint, length: bigint, writable: boolean) {
		super(context, caller, start, length, writable);
		// It is the device's memory, and nobody's limit.
		this.accountMode = "none";
		this.dmabuf = dmabuf;
		this.#generation = dmabuf.generation;
	}

	/** What has been revoked stays so, also when the dma-buf can be mapped again. */
	override get revoked(): boolean {
		return this.dmabuf.generation !== this.#generation;
	}

	protected override find(first: number, count: number, into: Extents): void {
		const { backing, firstPage } = this.dmabuf.memory;
		into.add(backing, firstPage + this.startPage + first, count);
	}

	protected override holdSource(): void {
		this.dmabuf.addMapping();
	}

	protected override dropSource(): void {
		this.dmabuf.removeMapping();
	}
}
