// A guest for tests: memory with page tables in it, behind a second stage.

import { PAGE_SIZE } from "../../memory/address-space.js";
import { ArrayBacking } from "../../memory/array-space.js";
import { type Contiguity, Frames } from "../../memory/frames.js";
import { Runs } from "../../memory/runs.js";
import { READ, WRITE } from "../../pagetable/pagetable.js";
import type { DmaEvent } from "../../trace/event.js";
import type { Device, Domain, PagingDomain } from "../core/iommu.js";
import { NO_PASID } from "../core/pasid.js";
import type { DmaFault } from "../translation/dma-fault.js";
import { Dma } from "./dma.js";

export class Guest {
	readonly frames: Frames;
	readonly dma: Dma;
	readonly device: Device;
	readonly parent: PagingDomain;
	readonly ram: ArrayBacking;
	/** What the trace would show. */
	readonly events: DmaEvent[] = [];
	/** By guest-physical page: the page of RAM. */
	readonly #pages = new Map<number, number>();

	constructor(device: Device, parent: PagingDomain, { pages = 256, contiguity = "4K" as Contiguity } = {}) {
		this.device = device;
		this.parent = parent;
		this.frames = new Frames(contiguity);
		this.dma = new Dma(this.frames);
		this.dma.report = (event) => this.events.push(event);
		this.ram = new ArrayBacking("guest RAM", new Uint8Array(pages * PAGE_SIZE));
		this.frames.pin(this.ram, 0, pages);
	}

	/** Shows pages of RAM at guest-physical pages. */
	map(guestPage: number, ramPage: number, count = 1, protection = READ | WRITE): void {
		const runs = new Runs();
		for (let done = 0; done < count; ) {
			runs.clear();
			const taken = this.frames.runs(this.ram, ramPage + done, count - done, runs);
			let at = guestPage + done;
			for (let i = 0; i < runs.length; i++) {
				this.parent.map(at, runs.frame[i], runs.count[i], protection, this.parent.pageSizes);
				at += runs.count[i];
			}
			done += taken;
		}
		for (let i = 0; i < count; i++) this.#pages.set(guestPage + i, ramPage + i);
	}

	unmap(guestPage: number, count = 1): void {
		this.parent.unmap(guestPage, count);
		for (let i = 0; i < count; i++) this.#pages.delete(guestPage + i);
	}

	attach(domain: Domain): void {
		const { group } = this.device;
		if (group.attachment(NO_PASID)) group.replace(domain, {});
		else group.attach(domain, {});
	}

	/** The word of 64 bits at a guest-physical address. */
	word(address: number): bigint {
		return this.#view.getBigUint64(this.#offset(address), true);
	}

	setWord(address: number, value: bigint): void {
		this.#view.setBigUint64(this.#offset(address), value, true);
	}

	/** The first byte of each of the first pages of RAM tells which one it is. */
	numberPages(count: number): void {
		for (let page = 0; page < count; page++) this.ram.bytes[page * PAGE_SIZE] = page;
	}

	/** A byte that the device reads, or why it can't. */
	read(iova: bigint, pasid?: number): number | DmaFault {
		const byte = new Uint8Array(1);
		return this.dma.read(this.device, iova, byte, pasid) ?? byte[0];
	}

	/** The device writes a byte: undefined, or why it can't. */
	write(iova: bigint, byte: number, pasid?: number): DmaFault | undefined {
		return this.dma.write(this.device, iova, Uint8Array.of(byte), pasid);
	}

	get #view(): DataView {
		return new DataView(this.ram.bytes.buffer);
	}

	#offset(address: number): number {
		const page = this.#pages.get(Math.floor(address / PAGE_SIZE));
		if (page === undefined) throw new Error(`no RAM at guest-physical 0x${address.toString(16)}`);
		return page * PAGE_SIZE + (address % PAGE_SIZE);
	}
}

/** "second stage: not-present" */
export function faultOf(result: number | DmaFault | undefined): string | number | undefined {
	return typeof result === "object" ? `${result.stage}: ${result.kind}` : result;
}

/** Page tables of one format in a guest's memory, the simplest way: a table is a page, found by the address of its entry. */
export class GuestTables {
	readonly root: number;
	readonly #guest: Guest;
	readonly #levels: number;
	readonly #tableBits: bigint;
	#free: number;

	/**
	 * @param firstPage guest-physical pages from here on are for tables; they have RAM
	 * @param tableBits what an entry that points to a table has besides the address
	 */
	constructor(guest: Guest, firstPage: number, levels: number, tableBits: bigint) {
		this.#guest = guest;
		this.#levels = levels;
		this.#tableBits = tableBits;
		this.#free = firstPage;
		this.root = this.#newTable();
	}

	/** Address of the entry of a level (0 is the lowest) that an IOVA goes through; tables on the way are made. */
	entryAddress(iova: bigint, level = 0): number {
		let table = this.root;
		for (let at = this.#levels - 1; ; at--) {
			const address = table + 8 * Number((iova >> BigInt(12 + 9 * at)) & 511n);
			if (at === level) return address;
			let entry = this.#guest.word(address);
			if (entry === 0n) {
				entry = BigInt(this.#newTable()) | this.#tableBits;
				this.#guest.setWord(address, entry);
			}
			table = Number(entry & 0xffff_ffff_f000n);
		}
	}

	set(iova: bigint, entry: bigint, level = 0): void {
		this.#guest.setWord(this.entryAddress(iova, level), entry);
	}

	get(iova: bigint, level = 0): bigint {
		return this.#guest.word(this.entryAddress(iova, level));
	}

	#newTable(): number {
		return this.#free++ * PAGE_SIZE;
	}
}
