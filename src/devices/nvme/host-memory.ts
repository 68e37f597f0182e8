// What the controller reads and writes by address: the host's memory, and its own Controller Memory Buffer where that has been given
// a range of these addresses.
// NVM Express Base Specification 1.4, 4.7 "Controller Memory Buffer".

import type { DmaFault } from "../../iommu/translation/dma-fault.js";
import { addressOf } from "../../memory/page-number.js";
import type { EndpointPort } from "../endpoint.js";

const PAGE = 4096;

/** An address is given as the number of its page of 4096 bytes and an offset in it, which together hold all 64 bits exactly. */
export class HostMemory {
	readonly #port: EndpointPort;
	/** The controller's own memory; without a CMB it has no bytes. */
	readonly buffer: Uint8Array;
	/** The first page of addresses that mean the buffer; undefined when none do. */
	#firstPage: number | undefined;
	#endPage = 0;

	constructor(port: EndpointPort, buffer: Uint8Array) {
		this.#port = port;
		this.buffer = buffer;
	}

	/** Has addresses from a page on mean the buffer, or none. */
	placeBuffer(page: number | undefined): void {
		this.#firstPage = page;
		this.#endPage = page === undefined ? 0 : page + this.buffer.length / PAGE;
	}

	/** How much of a range is in the buffer. */
	placeOf(page: number, offset: number, length: number): "outside" | "inside" | "across" {
		if (this.#firstPage === undefined) return "outside";
		const last = lastPage(page, offset, length);
		if (last < this.#firstPage || page >= this.#endPage) return "outside";
		return page >= this.#firstPage && last < this.#endPage ? "inside" : "across";
	}

	/** @returns undefined when all of it was read, else why not */
	read(page: number, offset: number, into: Uint8Array): DmaFault | undefined {
		if (this.#firstPage !== undefined) return this.#inPieces(page, offset, into, false);
		return this.#port.readMemory(addressOf(page, offset), into);
	}

	write(page: number, offset: number, from: Uint8Array): DmaFault | undefined {
		if (this.#firstPage !== undefined) return this.#inPieces(page, offset, from, true);
		return this.#port.writeMemory(addressOf(page, offset), from);
	}

	/** A range may begin outside of the buffer and end in it, or the other way round. */
	#inPieces(page: number, offset: number, data: Uint8Array, isWrite: boolean): DmaFault | undefined {
		for (let done = 0; done < data.length; ) {
			const at = page + Math.floor((offset + done) / PAGE);
			const within = (offset + done) % PAGE;
			const isInside = at >= this.#firstPage! && at < this.#endPage;
			const end = isInside ? this.#endPage : at < this.#firstPage! ? this.#firstPage! : Number.POSITIVE_INFINITY;
			const length = Math.min(data.length - done, (end - at) * PAGE - within);
			const piece = data.subarray(done, done + length);
			if (isInside) {
				const from = (at - this.#firstPage!) * PAGE + within;
				if (isWrite) this.buffer.set(piece, from);
				else piece.set(this.buffer.subarray(from, from + length));
			} else {
				const address = addressOf(at, within);
				const fault = isWrite ? this.#port.writeMemory(address, piece) : this.#port.readMemory(address, piece);
				if (fault !== undefined) return fault;
			}
			done += length;
		}
		return undefined;
	}
}

function lastPage(page: number, offset: number, length: number): number {
	return page + Math.floor((offset + Math.max(length, 1) - 1) / PAGE);
}
