// Reading and writing a function's regions by its file: which one a position is in, and which accesses of the bus an access
// of the file becomes. drivers/vfio/pci/vfio_pci_rdwr.c and vfio_pci_core.c.

import type { Endpoint } from "../devices/endpoint.js";
import { type AddressSpace, copyIn, copyOut } from "../memory/address-space.js";
import { Errno, hex } from "../uapi/errno.js";
import { VFIO_PCI_NUM_REGIONS, VfioPciRegion } from "../uapi/vfio.js";
import type { VfioDevice } from "./device.js";
import type { Bar } from "./pci-config.js";

/** What a position is made of: a region's index from this bit on, and an offset in it. VFIO_PCI_OFFSET_SHIFT */
const REGION_SIZE = 2 ** 40;
/** A program's memory is copied by so many bytes at a time. */
const PIECE = 4096;
/** A vector in an MSI-X table. */
const MSIX_ENTRY_SIZE = 16;

const names = new Map(Object.entries(VfioPciRegion).map(([name, index]): [number, string] => [index, name]));

/** What lies at a position, in words. */
export function placeAt(position: number): string {
	const index = Math.floor(position / REGION_SIZE);
	return `${nameOf(index)}+${hex(position % REGION_SIZE)}`;
}

function nameOf(index: number): string {
	return names.get(index) ?? `region ${index}`;
}

/** @returns how many bytes were read @throws EINVAL, EFAULT, EIO */
export function readRegion(
	device: VfioDevice,
	memory: AddressSpace,
	address: number,
	length: number,
	position: number,
): number {
	if (length === 0) return 0;
	const { index, offset } = find(position);
	device.lowPower.wake();
	if (index === VfioPciRegion.CONFIG) {
		device.configSpace.read(memory, address, length, offset);
		return length;
	}
	const window = new Window(device, index, offset);
	const bytes = new Uint8Array(Math.min(length, PIECE));
	return window.eachPiece(offset, length, (at, size, done) => {
		const piece = bytes.subarray(0, size);
		window.read(at, piece);
		copyOut(memory, address + done, piece, `what is read of BAR ${index}`);
	});
}

/** @returns how many bytes were written @throws EINVAL, EFAULT, EIO */
export function writeRegion(
	device: VfioDevice,
	memory: AddressSpace,
	address: number,
	length: number,
	position: number,
): number {
	if (length === 0) return 0;
	const { index, offset } = find(position);
	device.lowPower.wake();
	if (index === VfioPciRegion.CONFIG) {
		device.configSpace.write(memory, address, length, offset);
		return length;
	}
	const window = new Window(device, index, offset);
	const bytes = new Uint8Array(Math.min(length, PIECE));
	return window.eachPiece(offset, length, (at, size, done) => {
		const piece = bytes.subarray(0, size);
		copyIn(memory, address + done, piece, `what is written to BAR ${index}`);
		window.write(at, piece);
	});
}

function find(position: number): { index: number; offset: number } {
	const index = Math.floor(position / REGION_SIZE);
	if (index >= VFIO_PCI_NUM_REGIONS)
		throw new Errno(
			"EINVAL",
			`position ${hex(position)} is in region ${index}, of ${VFIO_PCI_NUM_REGIONS} that there are`,
		);
	return { index, offset: position % REGION_SIZE };
}

/** @param at an offset in the BAR @param done how many bytes of the whole are before it */
type Access = (endpoint: Endpoint, at: number, size: number, done: number) => void;

/** A BAR, as accesses by the file meet it. */
class Window {
	readonly #device: VfioDevice;
	readonly #endpoint: Endpoint | undefined;
	readonly #bar: Bar;
	/** The MSI-X table, which nobody but the kernel gets to see: it reads as all ones, and what is written is dropped. */
	readonly #hidden: { readonly start: number; readonly end: number };

	constructor(device: VfioDevice, index: number, offset: number) {
		const { bars, msix } = device.hardware;
		const bar = bars.find((bar) => bar.index === index);
		if (bar === undefined) throw new Errno("EINVAL", `${device.name} has no ${nameOf(index)}`);
		if (offset >= bar.size)
			throw new Errno(
				"EINVAL",
				`offset ${hex(offset)} is beyond BAR ${index} of ${device.name}, ${hex(bar.size)} bytes`,
			);
		this.#device = device;
		this.#endpoint = device.endpoint;
		this.#bar = bar;
		const start = msix?.bar === index ? msix.tableOffset : 0;
		this.#hidden = { start, end: msix?.bar === index ? start + msix.vectors * MSIX_ENTRY_SIZE : 0 };
	}

	/**
	 * Goes through an access, as far as the BAR reaches.
	 * @param access gets an offset, how many bytes from there on, and how many are done
	 * @returns how many bytes there are
	 */
	eachPiece(offset: number, length: number, access: (at: number, size: number, done: number) => void): number {
		const end = Math.min(offset + length, this.#bar.size);
		for (let at = offset; at < end; ) {
			const next = Math.min(end, at - (at % PIECE) + PIECE);
			access(at, next - at, at - offset);
			at = next;
		}
		return end - offset;
	}

	read(offset: number, into: Uint8Array): void {
		into.fill(0xff);
		this.#eachAccess(offset, into.length, (endpoint, at, size, done) => {
			const value = endpoint.readRegister(this.#bar.index, at, size);
			for (let i = 0; i < size; i++) into[done + i] = Number((value >> BigInt(8 * i)) & 0xffn);
		});
	}

	write(offset: number, from: Uint8Array): void {
		this.#eachAccess(offset, from.length, (endpoint, at, size, done) => {
			let value = 0n;
			for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(from[done + i]);
			endpoint.writeRegister(this.#bar.index, at, size, value);
		});
	}

	/** An access is made in aligned pieces of 8, 4, 2 and 1 bytes, and leaves out what is hidden. Nothing is asked where nothing is. */
	#eachAccess(offset: number, length: number, access: Access): void {
		for (let done = 0; done < length; ) {
			const at = offset + done;
			const { start, end } = this.#hidden;
			if (at >= start && at < end) {
				done += Math.min(length - done, end - at);
				continue;
			}
			this.#requireDecoding();
			const left = Math.min(length - done, at < start ? start - at : Number.POSITIVE_INFINITY);
			if (this.#endpoint === undefined) {
				done += left;
				continue;
			}
			const size = [8, 4, 2].find((size) => left >= size && at % size === 0) ?? 1;
			access(this.#endpoint, at, size, done);
			done += size;
		}
	}

	#requireDecoding(): void {
		if (this.#bar.space !== "io" && !this.#device.configSpace.isMemoryEnabled)
			throw new Errno(
				"EIO",
				`BAR ${this.#bar.index} of ${this.#device.name} answers nothing: Memory Space Enable is off`,
			);
	}
}
