// What programs map of a PCI function whose registers are in a device thread: one memfd for as long as the thread runs, in which each BAR
// lies at the offset that it has in the device's file. Whoever opens the function gets the same.

import type { DeviceMemory } from "../../files/open-file.js";
import { type Backing, PAGE_SIZE } from "../../memory/address-space.js";
import { REGION_SIZE } from "../../vfio/region-access.js";
import { close, errno, ftruncate, NativeMemory, pwrite, SystemError, succeed } from "../linux/libc.js";
import { memfdNamed, ShownFile } from "./shown-file.js";

const PAGES_PER_BAR = REGION_SIZE / PAGE_SIZE;

/** More than that of a BAR isn't filled. */
const MOST_FILLED = 4 * 1024 * 1024;
const PIECE = 64 * 1024;

interface BarInFile {
	readonly start: number;
	readonly length: number;
}

export class FunctionMemory extends ShownFile implements DeviceMemory {
	/** Gives the mmap(2) that is being answered to the device thread, which has the kernel make it. */
	readonly handOver: (offset: number, length: number) => void;

	readonly #bars: readonly BarInFile[];
	readonly #memoryOf: (bar: number) => Backing | undefined;

	/**
	 * @param what "registers of 0000:00:03.0"
	 * @param bars where each is in the file, and how long, in bytes
	 * @param memoryOf gives a BAR as other devices reach it
	 * @throws SystemError
	 */
	constructor(
		what: string,
		bars: readonly BarInFile[],
		memoryOf: (bar: number) => Backing | undefined,
		handOver: (offset: number, length: number) => void,
	) {
		super(succeed(memfdNamed(what), "memfd_create"), what);
		this.#memoryOf = memoryOf;
		this.handOver = handOver;
		this.#bars = bars;
		const size = bars.reduce((end, { start, length }) => Math.max(end, start + length), 0);
		if (ftruncate(this.fd, size) === 0) return;
		const problem = new SystemError("ftruncate", errno());
		close(this.fd);
		throw problem;
	}

	override placeOf(page: number): { readonly backing: Backing; readonly page: number } {
		const bar = Math.floor(page / PAGES_PER_BAR);
		return { backing: this.#memoryOf(bar) ?? this, page: page % PAGES_PER_BAR };
	}

	/** Nobody answers any more: as far as it pays, each page reads as that. */
	fillWithOnes(): void {
		const piece = new NativeMemory(PIECE);
		piece.bytes.fill(0xff);
		for (const { start, length } of this.#bars)
			for (let at = 0; at < Math.min(length, MOST_FILLED); at += PIECE)
				pwrite(this.fd, piece.address, Math.min(PIECE, length - at), start + at);
	}

	/** The thread has it still. */
	override release(): void {}

	close(): void {
		super.release();
	}
}
