// The data of the command that is executed: where it is in the host's memory, and its way to the controller and back.

import type { DmaFault } from "../../iommu/translation/dma-fault.js";
import type { Command } from "./command.js";
import { Extents, NOWHERE } from "./extents.js";
import type { HostMemory } from "./host-memory.js";
import { PrpReader } from "./prp.js";
import { SglReader } from "./sgl.js";
import { Status } from "./status.js";

/** Maximum Data Transfer Size: 2^7 pages of 4 KiB. */
export const MDTS = 7;
export const MAX_TRANSFER = 4096 << MDTS;

export class Transfer {
	/** CC.MPS, in bytes. */
	pageSize = 4096;
	/** How many bytes have been moved since the start. */
	moved = 0;
	readonly #memory: HostMemory;
	readonly #prps: PrpReader;
	readonly #sgls: SglReader;
	readonly #extents = new Extents();
	readonly #buffer = new Uint8Array(MAX_TRANSFER);
	/** The last view that somebody wanted: mostly all want the same. */
	#view = this.#buffer.subarray(0, 4096);

	constructor(memory: HostMemory) {
		this.#memory = memory;
		this.#prps = new PrpReader(memory, MAX_TRANSFER);
		this.#sgls = new SglReader(memory);
	}

	/** The controller's end of a transfer: so many bytes, up to MAX_TRANSFER, which are the next command's later. */
	bytes(length: number): Uint8Array {
		if (this.#view.length !== length) this.#view = this.#buffer.subarray(0, length);
		return this.#view;
	}

	/** Brings the data of a command to the controller, into `bytes(length)`. @returns a status */
	fromHost(command: Command, length: number): number {
		return this.#locate(command, length, true) || this.#move(command, length, false);
	}

	/** Brings `bytes(length)` to the host. @returns a status */
	toHost(command: Command, length: number): number {
		return this.#locate(command, length, false) || this.#move(command, length, true);
	}

	#locate(command: Command, length: number, isWrite: boolean): number {
		this.#extents.clear();
		if (length === 0) return Status.SUCCESS;
		if (command.transferKind === 0) return this.#prps.read(command, length, this.pageSize, this.#extents);
		return this.#sgls.read(command, length, isWrite, this.#extents);
	}

	#move(command: Command, length: number, toHost: boolean): number {
		const { count, pages, offsets, lengths } = this.#extents;
		this.moved += length;
		for (let i = 0, done = 0; i < count; i++) {
			const size = lengths[i];
			const piece = size === length ? this.bytes(length) : this.#buffer.subarray(done, done + size);
			done += size;
			if (pages[i] === NOWHERE) continue;
			const fault: DmaFault | undefined = toHost
				? this.#memory.write(pages[i], offsets[i], piece)
				: this.#memory.read(pages[i], offsets[i], piece);
			if (fault !== undefined) return command.fail(Status.DATA_TRANSFER_ERROR, fault.message);
		}
		return Status.SUCCESS;
	}
}
