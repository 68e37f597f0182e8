// A piece of memory that IOVAs are mapped to: pages of a process or of a file, found and pinned when somebody needs them.
// struct iopt_pages in drivers/iommu/iommufd/pages.c.
//
// Pages are counted from 0. Several areas, in several IOASes, can show parts of the same Pages. Each page is pinned once as
// long as any domain or access holds it, however many do.

import { allocation, iommufdFails } from "../../faults/faults.js";
import type { MemoryBudget } from "../../faults/memory-budget.js";
import type { Caller, CallerFile } from "../../files/caller.js";
import type { MappingHistory } from "../../iommu/dma/mapping-history.js";
import { type AddressSpace, type Backing, Extents, PAGE_SIZE, PINNABLE_END } from "../../memory/address-space.js";
import type { Frames } from "../../memory/frames.js";
import type { Account, AccountMode, Memlock, MemoryOwner } from "../../memory/memlock.js";
import { addressOf, offsetInPage, pageOf } from "../../memory/page-number.js";
import type { Runs } from "../../memory/runs.js";
import { Errno, hex } from "../../uapi/errno.js";
import { type Gap, PinnedStretches } from "./pinned-stretches.js";

/** Longer than this, in bytes, and rounding up to pages would wrap. */
const LONGEST = (1n << 64n) - 1n - BigInt(PAGE_SIZE);
const LAST_ADDRESS = (1n << 64n) - 1n;
/** What a Pages takes, in bytes. */
const PAGES_BYTES = 144;
/** How many pages Linux asks for at a time; the bounds of user space are checked for the first of them. */
const PIN_BATCH = 8192;

/** What find() appends to: emptied before each use. */
const found = new Extents();

/** What Pages has to know of the context that it is made in. */
export interface PagesContext {
	readonly platform: {
		readonly frames: Frames;
		readonly memlock: Memlock;
		readonly budget: MemoryBudget;
		readonly history?: MappingHistory | undefined;
		settle(): void;
	};
	/** Whether files that have been closed, and not looked at yet, may hold something of it. */
	readonly hasHolders: boolean;
}

/** There may be a million of them, so all that is seldom different is shared, and what is seldom there takes one field. */
export abstract class Pages {
	abstract get kind(): "user" | "file" | "dmabuf";
	/** The first page's number, in the source. */
	readonly startPage: number;
	/** Number of pages. */
	readonly count: number;
	/** Whether they may be mapped writable. They are pinned for writing then, even by those who only read. */
	readonly writable: boolean;
	readonly #context: PagesContext;
	/** Who is accounted; IOAS_CHANGE_PROCESS changes it. */
	#account: Account;
	/** How many areas show some of it. */
	#areas = 0;
	/** Pages that are accounted now. */
	#accounted = 0;
	// As a rule all pages lie side by side in one backing, and are held together: by so many, there.
	#holders = 0;
	#backing: Backing | undefined;
	/** The backing's page that the first page is, where source and backing don't count alike. Those of private memory do. */
	#backingStart: number | undefined;
	/** Where it is otherwise. */
	#stretches: PinnedStretches | undefined;

	/**
	 * @param start byte that the mapping begins with, in the source; @param length in bytes
	 * @throws EINVAL for a length that can't be mapped
	 */
	constructor(context: PagesContext, caller: Caller, start: bigint, length: bigint, writable: boolean) {
		if (length === 0n) throw new Errno("EINVAL", "length is 0: a mapping has one byte at least", "zero-length");
		if (length > LONGEST)
			throw new Errno("EINVAL", `length is ${hex(length)}, and at most ${hex(LONGEST)} can be mapped`, "overflow");
		allocation("the pages of a mapping");
		this.#context = context;
		this.startPage = pageOf(start);
		this.count = pageOf(length) + Math.ceil((offsetInPage(start) + offsetInPage(length)) / PAGE_SIZE);
		this.writable = writable;
		const mode = caller.capable("CAP_IPC_LOCK") ? "none" : "user";
		this.#account = context.platform.memlock.account(mode, caller.owner, caller.memory);
	}

	/**
	 * Finds out what is behind `count` pages from `first` on.
	 * @throws EFAULT, EINVAL or EOVERFLOW when they aren't there
	 */
	protected abstract find(first: number, count: number, into: Extents): void;

	/** Keeps what it takes to find the pages, as long as there are areas. */
	protected holdSource(): void {}
	protected dropSource(): void {}

	/** The first page's place in bytes. */
	get start(): bigint {
		return addressOf(this.startPage, 0);
	}

	get owner(): MemoryOwner {
		return this.#account.owner;
	}

	get space(): AddressSpace {
		return this.#account.space;
	}

	get accountMode(): AccountMode {
		return this.#account.mode;
	}

	/** Before anything is accounted. */
	set accountMode(mode: AccountMode) {
		this.#account = { ...this.#account, mode };
	}

	/** An area shows some of it, until removeArea(). @throws ENOMEM */
	addArea(): void {
		if (this.#areas === 0) {
			this.#context.platform.budget.areas.charge(PAGES_BYTES);
			this.holdSource();
		}
		this.#areas++;
	}

	removeArea(): void {
		if (--this.#areas > 0) return;
		this.#context.platform.budget.areas.uncharge(PAGES_BYTES);
		this.dropSource();
	}

	/** Whether the memory has been taken away, so that no domain may show it. */
	get revoked(): boolean {
		return false;
	}

	/** Pages that are pinned now. */
	get pinned(): number {
		if (this.#stretches !== undefined) return this.#stretches.count;
		return this.#holders > 0 ? this.count : 0;
	}

	/**
	 * Makes the pages first..last (both included) stay where they are for one holder more; drop() undoes it. They are not
	 * accounted before account() is called.
	 * @throws what finding them throws; nothing is held then
	 */
	hold(first: number, last: number): void {
		if (this.isAll(first, last)) {
			if (this.#holders > 0) this.#holders++;
			else this.pinAll();
			return;
		}
		const pinned = this.stretched();
		found.clear();
		const gaps = pinned.gaps(first, last);
		for (const gap of gaps) this.findToPin(gap.first, gap.count);
		pinned.prepare(found.length + gaps.length + 2);
		this.#context.platform.frames.pinAll(found);
		// Nothing can fail from here on.
		pinned.hold(first, last);
		this.addFound(gaps);
	}

	// `private`, not #: for the sake of private methods with a # each object would have a field more.

	/** Finds what is to be pinned. */
	private findToPin(first: number, count: number): void {
		if (iommufdFails("a list of pages"))
			throw new Errno("ENOMEM", `fault injection: ${count} pages to be pinned can't be listed`);
		allocation("a list of pages");
		if (iommufdFails("pinning pages")) throw new Errno("EFAULT", `fault injection: ${count} pages can't be pinned`);
		this.find(first, count, found);
		// Its owner hands a dma-buf out, and takes it back; a mapping of a device's memory isn't his to give.
		if (this.kind === "dmabuf") return;
		for (let i = 0; i < found.length; i++)
			if (found.backing[i].isDeviceMemory)
				throw new Errno(
					"EFAULT",
					`${found.backing[i].name} is memory of a device: only VFIO's own containers map that`,
					"device-memory",
				);
	}

	/** Undoes one hold() of the same range. What nobody holds any more is unpinned, and no longer accounted. */
	drop(first: number, last: number): void {
		if (this.isAll(first, last)) {
			this.#holders--;
			if (this.#holders > 0) return;
			this.#context.platform.frames.unpin(this.#backing!, this.page, this.count);
			this.#backing = undefined;
		} else {
			const { frames } = this.#context.platform;
			this.stretched().drop(first, last, ({ backing, page, count }) => frames.unpin(backing, page, count));
			if (this.#stretches!.count === 0) this.#stretches = undefined;
		}
		const surplus = this.#accounted - this.pinned;
		if (surplus <= 0) return;
		const { mode, owner, space } = this.#account;
		this.#context.platform.memlock.uncharge(mode, owner, space, surplus);
		this.#accounted -= surplus;
	}

	/**
	 * Accounts what has been pinned since the last time.
	 * @throws ENOMEM when that exceeds RLIMIT_MEMLOCK; the caller then drops what it held
	 */
	account(): void {
		const more = this.pinned - this.#accounted;
		if (more <= 0) return;
		if (iommufdFails("accounting pages"))
			throw new Errno("ENOMEM", `fault injection: ${more} pages more than may be locked`);
		const { mode, owner, space } = this.#account;
		try {
			this.#context.platform.memlock.charge(mode, owner, space, more);
		} catch (error) {
			// A context that has just been closed may still hold what is missing. What has to do with this one was looked after
			// when the call came, and must not go while its areas are being filled.
			if (this.#context.hasHolders) throw error;
			this.#context.platform.settle();
			this.#context.platform.memlock.charge(mode, owner, space, more);
		}
		this.#accounted += more;
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
		const { mode, owner, space } = this.#account;
		const { memlock } = this.#context.platform;
		if (charged) memlock.uncharge(mode, owner, space, this.#accounted);
		this.#account = memlock.account(mode, caller.owner, caller.memory);
	}

	/** How many pages of any memory have frames side by side at most. */
	get longestRun(): number {
		return this.#context.platform.frames.longestRun;
	}

	/**
	 * Appends the frames of pages that are held, first..last.
	 * @returns the page before which there was no more room; last + 1 if there was
	 */
	runs(first: number, last: number, into: Runs): number {
		const { frames } = this.#context.platform;
		if (this.#stretches === undefined)
			return first + frames.runs(this.#backing!, this.page + first, last + 1 - first, into);
		return this.#stretches.each(first, last, (backing, page, count) => frames.runs(backing, page, count, into));
	}

	/** Appends where pages that are held lie, first..last. */
	extents(first: number, last: number, into: Extents): void {
		if (this.#stretches === undefined) into.add(this.#backing!, this.page + first, last + 1 - first);
		else
			this.#stretches.each(first, last, (backing, page, count) => {
				into.add(backing, page, count);
				return count;
			});
	}

	/** The backing's page that the first page is. */
	private get page(): number {
		return this.#backingStart ?? this.startPage;
	}

	/** Whether a range is all of the pages, and nobody holds some of them alone. */
	private isAll(first: number, last: number): boolean {
		return this.#stretches === undefined && first === 0 && last === this.count - 1;
	}

	/** Pins all pages, of which none is pinned, for one holder. */
	private pinAll(): void {
		found.clear();
		this.findToPin(0, this.count);
		const { frames, budget } = this.#context.platform;
		if (found.length > 1) {
			const stretches = new PinnedStretches(budget.pins);
			stretches.prepare(found.length);
			frames.pinAll(found);
			this.#stretches = stretches;
			this.addFound([{ first: 0, count: this.count }]);
			return;
		}
		frames.pin(found.backing[0], found.page[0], this.count);
		this.#holders = 1;
		this.#backing = found.backing[0];
		this.#backingStart = found.page[0] === this.startPage ? undefined : found.page[0];
	}

	/** Notes what was found for the gaps, and has been pinned for one holder. */
	private addFound(gaps: readonly Gap[]): void {
		const pinned = this.stretched();
		let extent = 0;
		let used = 0;
		for (const gap of gaps) {
			for (let done = 0; done < gap.count; ) {
				const length = Math.min(found.count[extent] - used, gap.count - done);
				const page = found.page[extent] + used;
				pinned.add(gap.first + done, length, found.backing[extent], page);
				done += length;
				used += length;
				if (used === found.count[extent]) {
					extent++;
					used = 0;
				}
			}
		}
	}

	/** What is pinned, as stretches from now on. */
	private stretched(): PinnedStretches {
		if (this.#stretches !== undefined) return this.#stretches;
		this.#stretches = new PinnedStretches(this.#context.platform.budget.pins);
		if (this.#holders > 0) this.#stretches.add(0, this.count, this.#backing!, this.page, this.#holders);
		this.#holders = 0;
		this.#backing = undefined;
		return this.#stretches;
	}
}

/** Memory of a process. */
export class UserPages extends Pages {
	override get kind() {
		return "user" as const;
	}

	/**
	 * The caller's memory from `address` on (bytes). Nothing is looked at yet.
	 * @throws EOVERFLOW when the range wraps, EINVAL when it is empty
	 */
	constructor(context: PagesContext, caller: Caller, address: bigint, length: bigint, writable: boolean) {
		if (address + length > LAST_ADDRESS)
			throw new Errno(
				"EOVERFLOW",
				`user_va ${hex(address)} + length ${hex(length)} goes beyond the 64-bit space`,
				"overflow",
			);
		super(context, caller, address, length, writable);
	}

	protected override find(first: number, count: number, into: Extents): void {
		// A double is exact wherever memory can be, and these checks are about places far beyond that.
		const from = (this.startPage + first) * PAGE_SIZE;
		const batchEnd = from + Math.min(count, PIN_BATCH) * PAGE_SIZE;
		if (batchEnd >= 2 ** 64)
			throw new Errno("EOVERFLOW", "the memory's last page is the last one of the 64-bit space", "overflow");
		if (batchEnd > PINNABLE_END)
			throw new Errno("EFAULT", `${hex(this.start)} is not an address of user space`, "user-address");
		try {
			this.space.resolve(from / PAGE_SIZE, count, this.writable, into);
		} catch (error) {
			// Only who finds nothing asks, because it takes as long as to look.
			if (this.space.alive) throw error;
			throw new Errno("EFAULT", `${this.space.name} is gone, and with it the memory at ${hex(from)}`, "process-gone");
		}
	}
}

/** Part of a file of shared memory. */
export class FilePages extends Pages {
	override get kind() {
		return "file" as const;
	}
	readonly #file: CallerFile;

	/**
	 * The file from byte `start` on. Nothing of it is looked at yet.
	 * @throws EINVAL when the range is empty, EPERM for a file that the caller couldn't write to itself, which Linux doesn't ask
	 */
	constructor(
		context: PagesContext,
		caller: Caller,
		file: CallerFile,
		start: bigint,
		length: bigint,
		writable: boolean,
	) {
		super(context, caller, start, length, writable);
		if (writable && file.kind === "shared-memory" && file.mayWrite?.() === false)
			throw new Errno(
				"EPERM",
				`a device is to write to ${file.backing.name}, and the program itself couldn't: neither by this fd nor by another`,
			);
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
			throw new Errno("EINVAL", "the fd is not a memfd or another file of shared memory", "memfd");
		if (this.startPage * PAGE_SIZE >= 2 ** 63)
			throw new Errno("EINVAL", `start ${hex(this.start)} is negative as a file offset`, "file-size");
		const page = this.startPage + first;
		const size = file.size();
		if ((page + count) * PAGE_SIZE > size)
			throw new Errno(
				"EINVAL",
				`${hex(page * PAGE_SIZE)} to ${hex((page + count) * PAGE_SIZE)} of ${file.backing.name} lies beyond its size, ${hex(size)}`,
				"file-size",
			);
		into.add(file.backing, page, count);
	}
}
