// What programs map of a PCI function whose registers are in a device thread: one memfd for as long as the thread runs, in which each BAR
// lies at the offset that it has in the device's file. Whoever opens the function gets the same.

import type { DeviceMemory } from "../../files/open-file.js";
import { type Backing, PAGE_SIZE } from "../../memory/address-space.js";
import { REGION_SIZE } from "../../vfio/region-access.js";
import { close, errno, ftruncate, SystemError, succeed } from "../linux/libc.js";
import { memfdNamed, ShownFile } from "./shown-file.js";

const PAGES_PER_BAR = REGION_SIZE / PAGE_SIZE;

export class FunctionMemory extends ShownFile implements DeviceMemory {
	/** Gives the mmap(2) that is being answered to the device thread, which has the kernel make it. */
	readonly handOver: (offset: number, length: number) => void;

	readonly #memoryOf: (bar: number) => Backing | undefined;

	/**
	 * @param what "registers of 0000:00:03.0"
	 * @param size of the file, in bytes
	 * @param memoryOf gives a BAR as other devices reach it
	 * @throws SystemError
	 */
	constructor(
		what: string,
		size: number,
		memoryOf: (bar: number) => Backing | undefined,
		handOver: (offset: number, length: number) => void,
	) {
		super(succeed(memfdNamed(what), "memfd_create"), what);
		this.#memoryOf = memoryOf;
		this.handOver = handOver;
		if (ftruncate(this.fd, size) === 0) return;
		const problem = new SystemError("ftruncate", errno());
		close(this.fd);
		throw problem;
	}

	override placeOf(page: number): { readonly backing: Backing; readonly page: number } {
		const bar = Math.floor(page / PAGES_PER_BAR);
		return { backing: this.#memoryOf(bar) ?? this, page: page % PAGES_PER_BAR };
	}

	/** The thread has it still. */
	override release(): void {}

	close(): void {
		super.release();
	}
}
