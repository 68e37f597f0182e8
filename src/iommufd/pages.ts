// A piece of memory that IOVAs are mapped to: pages of a process or of a file, found and pinned when somebody needs them.
// struct iopt_pages in drivers/iommu/iommufd/pages.c.
//
// Pages are counted from 0. Several areas, in several IOASes, can show parts of the same Pages. Each page is pinned once as
// long as any domain or access holds it, however many do.

import { allocation, iommufdFails } from "../faults/faults.js";
import { type AddressSpace, type Backing, Extents, PAGE_SIZE, PINNABLE_END } from "../memory/address-space.js";
import { type AccountMode, asItIs } from "../memory/memlock.js";
import type { Runs } from "../memory/runs.js";
import { Errno, hex } from "../uapi/errno.js";
import type { Caller, CallerFile, MemoryOwner } from "./caller.js";
import type { Platform } from "./platform.js";

/** Longer than this, in bytes, and rounding up to pages would wrap. */
const LONGEST = (1n << 64n) - 1n - BigInt(PAGE_SIZE);
/** How many pages Linux asks for at a time; the bounds of user space are checked for the first of them. */
const PIN_BATCH = 8192;

/** A stretch of pinned pages that lie side by side in one backing and have the same holders. */
interface PinnedStretch {
	/** First page, and number of pages. */
	first: number;
	count: number;
	/** How many domains' areas and accesses hold it. */
	holders: number;
	backing: Backing;
	/** The backing's page that `first` is. */
	page: number;
}

/** What find() appends to: emptied before each use. */
const found = new Extents();

export abstract class Pages {
	abstract readonly kind: "user" | "file" | "dmabuf";
	/** The first page's place in bytes: its low 12 bits are zero. Exact, because it decides about alignment. */
	readonly start: bigint;
	/** Number of pages. */
	readonly count: number;
	/** Whether they may be mapped writable. They are pinned for writing then, even by those who only read. */
	readonly writable: boolean;
	accountMode: AccountMode;
	/** The process and the user that are accounted; IOAS_CHANGE_PROCESS changes them. */
	owner: MemoryOwner;
	space: AddressSpace;
	readonly #platform: Platform;
	/** In order, without overlap. */
	readonly #pinned: PinnedStretch[] = [];
	/** How many areas show some of it. */
	#areas = 0;
	/** Pages that are pinned, and how many of them are accounted. */
	#pinnedCount = 0;
	#accounted = 0;

	/**
	 * @param start byte that the mapping begins with, in the source; @param length in bytes
	 * @throws EINVAL for a length that can't be mapped
	 */
	constructor(platform: Platform, caller: Caller, start: bigint, length: bigint, writable: boolean) {
		if (length === 0n || length > LONGEST) throw new Errno("EINVAL", `a length of ${hex(length)} can't be mapped`);
		allocation("the pages of a mapping");
		this.#platform = platform;
		this.start = start & ~0xfffn;
		this.count = Number(((start & 0xfffn) + length + 0xfffn) >> 12n);
		this.writable = writable;
		this.owner = asItIs(caller.owner);
		this.space = caller.memory;
		this.accountMode = caller.capable("CAP_IPC_LOCK") ? "none" : "user";
	}

	/**
	 * Finds out what is behind `count` pages from `first` on.
	 * @throws EFAULT, EINVAL or EOVERFLOW when they aren't there
	 */
	protected abstract find(first: number, count: number, into: Extents): void;

	/** Keeps what it takes to find the pages, as long as there are areas. */
	protected holdSource(): void {}
	protected dropSource(): void {}

	/** An area shows some of it, until removeArea(). */
	addArea(): void {
		if (this.#areas++ === 0) this.holdSource();
	}

	removeArea(): void {
		if (--this.#areas === 0) this.dropSource();
	}

	/** Whether the memory has been taken away, so that no domain may show it. */
	get revoked(): boolean {
		return false;
	}

	/** Pages that are pinned now. */
	get pinned(): number {
		return this.#pinnedCount;
	}

	/**
	 * Makes the pages first..last (both included) stay where they are for one holder more; drop() undoes it. They are not
	 * accounted before account() is called.
	 * @throws what finding them throws; nothing is held then
	 */
	hold(first: number, last: number): void {
		found.clear();
		const gaps = this.#gaps(first, last);
		for (const gap of gaps) this.#pinning(gap.first, gap.count);
		// Nothing can fail from here on.
		this.#cutAt(first);
		this.#cutAt(last + 1);
		for (const stretch of this.#between(first, last)) stretch.holders++;
		let extent = 0;
		let used = 0;
		for (const gap of gaps) {
			for (let done = 0; done < gap.count; ) {
				const length = Math.min(found.count[extent] - used, gap.count - done);
				this.#pin(gap.first + done, length, found.backing[extent], found.page[extent] + used);
				done += length;
				used += length;
				if (used === found.count[extent]) {
					extent++;
					used = 0;
				}
			}
		}
	}

	/** Finds what is to be pinned. */
	#pinning(first: number, count: number): void {
		if (iommufdFails("a list of pages"))
			throw new Errno("ENOMEM", `fault injection: ${count} pages to be pinned can't be listed`);
		allocation("a list of pages");
		if (iommufdFails("pinning pages")) throw new Errno("EFAULT", `fault injection: ${count} pages can't be pinned`);
		this.find(first, count, found);
	}

	/** Undoes one hold() of the same range. What nobody holds any more is unpinned, and no longer accounted. */
	drop(first: number, last: number): void {
		this.#cutAt(first);
		this.#cutAt(last + 1);
		const from = this.#firstAt(first);
		let to = from;
		let kept = from;
		for (; to < this.#pinned.length && this.#pinned[to].first <= last; to++) {
			const stretch = this.#pinned[to];
			stretch.holders--;
			if (stretch.holders > 0) this.#pinned[kept++] = stretch;
			else {
				this.#platform.frames.unpin(stretch.backing, stretch.page, stretch.count);
				this.#pinnedCount -= stretch.count;
			}
		}
		this.#pinned.splice(kept, to - kept);
		const surplus = this.#accounted - this.#pinnedCount;
		if (surplus > 0) this.#platform.memlock.uncharge(this.accountMode, this.owner, this.space, surplus);
		this.#accounted -= Math.max(0, surplus);
	}

	/**
	 * Accounts what has been pinned since the last time.
	 * @throws ENOMEM when that exceeds RLIMIT_MEMLOCK; the caller then drops what it held
	 */
	account(): void {
		const more = this.#pinnedCount - this.#accounted;
		if (more <= 0) return;
		if (iommufdFails("accounting pages"))
			throw new Errno("ENOMEM", `fault injection: ${more} pages more than may be locked`);
		try {
			this.#platform.memlock.charge(this.accountMode, this.owner, this.space, more);
		} catch {
			// A context that has just been closed may still hold what is missing.
			this.#platform.settle();
			this.#platform.memlock.charge(this.accountMode, this.owner, this.space, more);
		}
		this.#accounted = this.#pinnedCount;
	}

	/** Pages that are accounted now. */
	get accounted(): number {
		return this.#accounted;
	}

	/**
	 * Makes the pages another process's.
	 * @param charged whether it has been charged for them, so that the one before is to be relieved
	 */
	changeOwner(caller: Caller, charged: boolean): void {
		if (charged) this.#platform.memlock.uncharge(this.accountMode, this.owner, this.space, this.#accounted);
		this.owner = asItIs(caller.owner);
		this.space = caller.memory;
	}

	/** Appends the frames of pages that are held, first..last. */
	runs(first: number, last: number, into: Runs): void {
		for (const stretch of this.#between(first, last)) {
			const from = Math.max(first, stretch.first);
			const to = Math.min(last + 1, stretch.first + stretch.count);
			this.#platform.frames.runs(stretch.backing, stretch.page + from - stretch.first, to - from, into);
		}
	}

	/** Appends where pages that are held lie, first..last. */
	extents(first: number, last: number, into: Extents): void {
		for (const stretch of this.#between(first, last)) {
			const from = Math.max(first, stretch.first);
			const to = Math.min(last + 1, stretch.first + stretch.count);
			into.add(stretch.backing, stretch.page + from - stretch.first, to - from);
		}
	}

	#pin(first: number, count: number, backing: Backing, page: number): void {
		this.#platform.frames.pin(backing, page, count);
		this.#pinnedCount += count;
		this.#pinned.splice(this.#firstAt(first), 0, { first, count, holders: 1, backing, page });
	}

	/** The parts of first..last that are not pinned. */
	#gaps(first: number, last: number): { first: number; count: number }[] {
		const gaps = [];
		let at = first;
		for (const stretch of this.#between(first, last)) {
			if (stretch.first > at) gaps.push({ first: at, count: stretch.first - at });
			at = stretch.first + stretch.count;
		}
		if (at <= last) gaps.push({ first: at, count: last + 1 - at });
		return gaps;
	}

	/** Stretches that have a page of first..last. */
	#between(first: number, last: number): PinnedStretch[] {
		const from = this.#firstAt(first);
		let to = from;
		while (to < this.#pinned.length && this.#pinned[to].first <= last) to++;
		return this.#pinned.slice(from, to);
	}

	/** Index of the first stretch that ends after `page` or begins there or later. */
	#firstAt(page: number): number {
		let low = 0;
		let high = this.#pinned.length;
		while (low < high) {
			const middle = (low + high) >>> 1;
			const stretch = this.#pinned[middle];
			if (stretch.first + stretch.count <= page) low = middle + 1;
			else high = middle;
		}
		return low;
	}

	/** Makes sure that no stretch goes across the border before `page`. */
	#cutAt(page: number): void {
		const at = this.#firstAt(page);
		const stretch = this.#pinned[at];
		if (stretch === undefined || stretch.first >= page) return;
		const head = page - stretch.first;
		this.#pinned.splice(at + 1, 0, {
			first: page,
			count: stretch.count - head,
			holders: stretch.holders,
			backing: stretch.backing,
			page: stretch.page + head,
		});
		stretch.count = head;
	}
}

/** Memory of a process. */
export class UserPages extends Pages {
	override readonly kind = "user";

	/**
	 * The caller's memory from `address` on (bytes). Nothing is looked at yet.
	 * @throws EOVERFLOW when the range wraps, EINVAL when it is empty
	 */
	constructor(platform: Platform, caller: Caller, address: bigint, length: bigint, writable: boolean) {
		if (address + length >= 1n << 64n)
			throw new Errno("EOVERFLOW", `user_va ${hex(address)} + length ${hex(length)} goes beyond the 64-bit space`);
		super(platform, caller, address, length, writable);
	}

	protected override find(first: number, count: number, into: Extents): void {
		// A double is exact wherever memory can be, and these checks are about places far beyond that.
		const from = Number(this.start) + first * PAGE_SIZE;
		const batchEnd = from + Math.min(count, PIN_BATCH) * PAGE_SIZE;
		if (batchEnd >= 2 ** 64) throw new Errno("EOVERFLOW", "the memory's last page is the last one of the 64-bit space");
		if (batchEnd > PINNABLE_END) throw new Errno("EFAULT", `${hex(this.start)} is not an address of user space`);
		if (!this.space.alive)
			throw new Errno("EFAULT", `${this.space.name} is gone, and with it the memory at ${hex(from)}`);
		this.space.resolve(from / PAGE_SIZE, count, this.writable, into);
	}
}

/** Part of a file of shared memory. */
export class FilePages extends Pages {
	override readonly kind = "file";
	readonly #file: CallerFile;

	/** The file from byte `start` on. Nothing is looked at yet. @throws EINVAL when the range is empty */
	constructor(platform: Platform, caller: Caller, file: CallerFile, start: bigint, length: bigint, writable: boolean) {
		super(platform, caller, start, length, writable);
		this.#file = file;
	}

	protected override holdSource(): void {
		if (this.#file.kind === "shared-memory") this.#file.backing.hold?.();
	}

	protected override dropSource(): void {
		if (this.#file.kind === "shared-memory") this.#file.backing.drop?.();
	}

	protected override find(first: number, count: number, into: Extents): void {
		const file = this.#file;
		if (file.kind !== "shared-memory")
			throw new Errno("EINVAL", "the fd is not a memfd or another file of shared memory");
		if (this.start >= 1n << 63n) throw new Errno("EINVAL", `start ${hex(this.start)} is negative as a file offset`);
		const page = Number(this.start >> 12n) + first;
		const size = file.size();
		if ((page + count) * PAGE_SIZE > size)
			throw new Errno(
				"EINVAL",
				`${hex(page * PAGE_SIZE)} to ${hex((page + count) * PAGE_SIZE)} of ${file.backing.name} lies beyond its size, ${hex(size)}`,
			);
		into.add(file.backing, page, count);
	}
}
