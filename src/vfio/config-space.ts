// A function's configuration space as VFIO shows it: which bits are the function's own, which only seem to be, and which of
// them a program may write. drivers/vfio/pci/vfio_pci_config.c.

import { type AddressSpace, copyIn, copyOut } from "../memory/address-space.js";
import { Errno, hex } from "../uapi/errno.js";
import {
	type Bar,
	DEVICE_CAPABILITIES,
	DEVICE_CONTROL,
	FUNCTION_LEVEL_RESET,
	PciCapability,
	PciCommand,
	type PciConfig,
	PciExtendedCapability,
	type PciHardware,
	SRIOV_SIZE,
} from "./pci-config.js";

/** What happens beyond the space when some bits are written. */
export interface ConfigEffects {
	/** The interrupt disable bit of the command register has changed. */
	setIntxDisabled(isDisabled: boolean): void;
	/** The function is told to reset itself. */
	reset(): void;
	/** The command register was written. */
	commandChanged(): void;
	/** How many MSI vectors are in use; 0 while MSI isn't. */
	readonly msiVectors: number;
}

const HEADER_SIZE = 0x40;
const COMMAND = 0x04;
const STATUS = 0x06;
const CACHE_LINE_SIZE = 0x0c;
const LATENCY_TIMER = 0x0d;
const BIST = 0x0f;
const BARS = 0x10;
const BARS_END = 0x28;
const ROM_ADDRESS = 0x30;
const CAPABILITY_LIST = 0x34;
const INTERRUPT_LINE = 0x3c;
const INTERRUPT_PIN = 0x3d;
const EXTENDED = 0x100;

const STATUS_CAPABILITIES_LIST = 1 << 4;
/** What a base address has besides an address. */
const BAR_IO = 1;
const BAR_64BIT = 4;
const BAR_PREFETCHABLE = 8;

/** How long capabilities are, as VFIO counts. */
const EXPRESS_SIZE = 0x34;
const MSIX_SIZE = 12;
const MSI_FLAGS = 2;
const MSI_ENABLE = 1;
const MSI_QUEUE_SIZE = 7 << 4;
const EXPRESS_DEVICE_CONTROL_2 = 0x28;
const CONTROL_RESET = 1 << 15;
const CONTROL_PAYLOAD = 7 << 5;
const CONTROL_READ_REQUEST = 7 << 12;
const CONTROL_PHANTOM = 1 << 9;
const CONTROL_2_ARI = 1 << 5;

/** Extended capabilities that VFIO shows, with their sizes. PASID isn't one of them. */
const extendedSizes: ReadonlyMap<number, number> = new Map([
	[PciExtendedCapability.ATS, 8],
	[PciExtendedCapability.SRIOV, SRIOV_SIZE],
	[PciExtendedCapability.PRI, 16],
]);

/** The header or a capability: which of its bits are what. Outside of all of them the function itself is read and written. */
class Part {
	readonly start: number;
	readonly size: number;
	/** Bits that are read and written in VFIO's own copy. All others are the function's. */
	readonly virtual: Uint8Array;
	/** Bits that a program can write, of either. */
	readonly writable: Uint8Array;
	/** @param offset in the part, of what was written @param size of that: 1, 2 or 4 bytes */
	wrote: ((offset: number, size: number) => void) | undefined;

	constructor(start: number, size: number) {
		this.start = start;
		this.size = size;
		const rounded = (size + 3) & ~3;
		this.virtual = new Uint8Array(rounded);
		this.writable = new Uint8Array(rounded);
	}

	set(offset: number, size: 1 | 2 | 4, virtual: number, writable: number): void {
		for (let i = 0; i < size; i++) {
			this.virtual[offset + i] = virtual >>> (8 * i);
			this.writable[offset + i] = writable >>> (8 * i);
		}
	}
}

const ALL = 0xffff_ffff;
const NONE = 0;

export class ConfigSpace {
	readonly #hardware: PciHardware;
	readonly #physical: PciConfig;
	readonly #effects: ConfigEffects;
	readonly #isVirtualFunction: boolean;
	/** VFIO's own copy. */
	readonly #copy: Uint8Array;
	readonly #copyView: DataView;
	/** By byte. */
	readonly #parts: (Part | undefined)[];
	#isIntxDisabled = false;
	/** A base address was written and hasn't been read since: its size isn't in it yet. */
	#isBarDirty = true;

	constructor(hardware: PciHardware, physical: PciConfig, isVirtualFunction: boolean, effects: ConfigEffects) {
		this.#hardware = hardware;
		this.#physical = physical;
		this.#effects = effects;
		this.#isVirtualFunction = isVirtualFunction;
		this.#copy = physical.bytes.slice();
		this.#copyView = new DataView(this.#copy.buffer);
		this.#parts = new Array<Part | undefined>(this.#copy.length).fill(undefined);
		this.#addHeader();
		this.#addCapabilities();
		if (hardware.isExpress) this.#addExtendedCapabilities();
	}

	get size(): number {
		return this.#copy.length;
	}

	/** Whether the function's memory can be accessed. A virtual function has no bit for that. */
	get isMemoryEnabled(): boolean {
		return this.#isVirtualFunction || (this.#copy[COMMAND] & PciCommand.MEMORY) !== 0;
	}

	/** 1 to 4 for INTA to INTD, 0 for none. */
	get interruptPin(): number {
		return this.#copy[INTERRUPT_PIN];
	}

	/** Copies from it to a program's memory. @throws EFAULT beyond its end, or when the memory can't be written */
	read(memory: AddressSpace, address: number, length: number, position: number): void {
		this.#check(length, position);
		const bytes = new Uint8Array(length);
		this.#eachChunk(length, position, (at, size, done) => this.#readChunk(at, size, bytes.subarray(done, done + size)));
		copyOut(memory, address, bytes, "what is read of the configuration space");
	}

	/** The other way round. */
	write(memory: AddressSpace, address: number, length: number, position: number): void {
		this.#check(length, position);
		const bytes = new Uint8Array(length);
		copyIn(memory, address, bytes, "what is written to the configuration space");
		this.#eachChunk(length, position, (at, size, done) => this.#writeChunk(at, bytes.subarray(done, done + size)));
	}

	#check(length: number, position: number): void {
		if (position + length > this.size)
			throw new Errno(
				"EFAULT",
				`${length} bytes at ${hex(position)} are beyond the configuration space, which has ${this.size} bytes`,
				"no-such-region",
			);
	}

	/** An access is made in aligned pieces of 4, 2 and 1 bytes, none of which leaves its part. */
	#eachChunk(length: number, position: number, access: (at: number, size: number, done: number) => void): void {
		for (let done = 0; done < length; ) {
			const at = position + done;
			let room = 1;
			while ((at + room) % 4 !== 0 && this.#parts[at + room] === this.#parts[at]) room++;
			const left = Math.min(length - done, room);
			const size = left >= 4 ? 4 : left >= 2 && at % 2 === 0 ? 2 : 1;
			access(at, size, done);
			done += size;
		}
	}

	#readChunk(at: number, size: number, into: Uint8Array): void {
		const part = this.#parts[at];
		if (part?.start === 0 && isBar(at)) this.#sizeBars();
		for (let i = 0; i < size; i++) {
			const virtual = part === undefined ? 0 : part.virtual[at + i - part.start];
			into[i] = (this.#physical.bytes[at + i] & ~virtual) | (this.#copy[at + i] & virtual);
		}
		// A virtual function doesn't have the bit itself.
		if (this.#isVirtualFunction && at === COMMAND) into[0] |= this.#copy[COMMAND] & PciCommand.MEMORY;
	}

	#writeChunk(at: number, from: Uint8Array): void {
		const part = this.#parts[at];
		for (const [i, value] of from.entries()) {
			if (part === undefined) this.#physical.write(at + i, value);
			else this.#writeByte(part, at + i, value);
		}
		if (part?.start === 0) this.#wroteHeader(at, from);
		else part?.wrote?.(at - part.start, from.length);
	}

	#writeByte(part: Part, at: number, value: number): void {
		const virtual = part.virtual[at - part.start];
		const writable = part.writable[at - part.start];
		const own = virtual & writable;
		this.#copy[at] = (this.#copy[at] & ~own) | (value & own);
		const through = ~virtual & writable;
		this.#physical.write(at, (this.#physical.bytes[at] & ~through) | (value & through));
	}

	// --- The header ---

	#addHeader(): void {
		const part = this.#add(0, HEADER_SIZE);
		part.set(0, 4, ALL, NONE); // vendor and device
		part.set(COMMAND, 2, PciCommand.INTX_DISABLE, ALL);
		part.set(STATUS, 2, STATUS_CAPABILITIES_LIST, NONE);
		part.set(CACHE_LINE_SIZE, 1, NONE, ALL);
		part.set(LATENCY_TIMER, 1, NONE, ALL);
		part.set(BIST, 1, NONE, ALL);
		for (let at = BARS; at < BARS_END; at += 4) part.set(at, 4, ALL, ALL);
		part.set(ROM_ADDRESS, 4, ALL, ALL);
		part.set(CAPABILITY_LIST, 1, ALL, NONE);
		part.set(INTERRUPT_LINE, 1, ALL, ALL);
		part.set(INTERRUPT_PIN, 1, ALL, NONE);
		if (!this.#isVirtualFunction) return;
		this.#copy[INTERRUPT_PIN] = 0;
		this.#copy[COMMAND] |= PciCommand.MEMORY;
	}

	#wroteHeader(at: number, from: Uint8Array): void {
		if (at === COMMAND) {
			const decoding = PciCommand.MEMORY | PciCommand.IO;
			this.#copy[COMMAND] = (this.#copy[COMMAND] & ~decoding) | (from[0] & decoding);
			this.#effects.commandChanged();
		}
		if (at === COMMAND || at === COMMAND + 1) {
			const isDisabled = (this.#copyView.getUint16(COMMAND, true) & PciCommand.INTX_DISABLE) !== 0;
			if (isDisabled !== this.#isIntxDisabled) this.#effects.setIntxDisabled(isDisabled);
			this.#isIntxDisabled = isDisabled;
		}
		if (isBar(at)) this.#isBarDirty = true;
	}

	/** What a function makes of an address that is written to its base address registers: so programs learn their sizes. */
	#sizeBars(): void {
		if (!this.#isBarDirty) return;
		this.#isBarDirty = false;
		for (let index = 0; index < 6; index++) {
			const bar = this.#hardware.bars.find((bar) => bar.index === index);
			const at = BARS + 4 * index;
			if (bar === undefined) {
				this.#copyView.setUint32(at, 0, true);
				continue;
			}
			const mask = ~(BigInt(bar.size) - 1n);
			this.#maskAddress(at, mask, flagsOf(bar));
			if (bar.space !== "memory64") continue;
			this.#maskAddress(at + 4, mask >> 32n, 0);
			index++;
		}
		this.#copyView.setUint32(ROM_ADDRESS, 0, true);
	}

	#maskAddress(at: number, mask: bigint, flags: number): void {
		const address = this.#copyView.getUint32(at, true) & Number(mask & 0xffff_ffffn);
		this.#copyView.setUint32(at, (address | flags) >>> 0, true);
	}

	// --- Capabilities ---

	#addCapabilities(): void {
		let at = this.#copy[CAPABILITY_LIST];
		while (at !== 0) {
			this.#addCapability(this.#copy[at], at);
			at = this.#copy[at + 1];
		}
	}

	#addCapability(id: number, at: number): void {
		if (id === PciCapability.MSI) this.#addMsi(at);
		else if (id === PciCapability.EXPRESS) this.#addExpress(at);
		else if (id === PciCapability.MSIX) this.#add(at, MSIX_SIZE).set(1, 1, ALL, NONE); // all is for SET_IRQS to change
	}

	/** With a 64-bit address, and not masked per vector. Where messages really go is for SET_IRQS to say. */
	#addMsi(at: number): void {
		const part = this.#add(at, 14);
		part.set(1, 1, ALL, NONE);
		part.set(MSI_FLAGS, 1, ALL, ALL);
		part.set(4, 4, ALL, ALL); // the address
		part.set(8, 4, ALL, ALL);
		part.set(12, 2, ALL, ALL); // the data
		part.wrote = (offset, size) => {
			if (offset > MSI_FLAGS || offset + size < MSI_FLAGS) return;
			const { msiVectors } = this.#effects;
			let flags = this.#copy[at + MSI_FLAGS];
			if (msiVectors === 0) flags &= ~MSI_ENABLE;
			const most = msiVectors === 0 ? 0 : Math.ceil(Math.log2(msiVectors));
			if ((flags & MSI_QUEUE_SIZE) >> 4 > most) flags = (flags & ~MSI_QUEUE_SIZE) | (most << 4);
			this.#copy[at + MSI_FLAGS] = flags;
		};
	}

	#addExpress(at: number): void {
		const part = this.#add(at, EXPRESS_SIZE);
		part.set(1, 1, ALL, NONE);
		part.set(DEVICE_CONTROL, 2, CONTROL_RESET | CONTROL_PAYLOAD | CONTROL_READ_REQUEST, ~CONTROL_PHANTOM);
		part.set(EXPRESS_DEVICE_CONTROL_2, 2, NONE, ~CONTROL_2_ARI);
		const upper = at + DEVICE_CONTROL + 1;
		part.wrote = () => {
			if (!(this.#copy[upper] & (CONTROL_RESET >> 8))) return;
			this.#copy[upper] &= ~(CONTROL_RESET >> 8); // It always reads as 0.
			if (this.#physical.u32(at + DEVICE_CAPABILITIES) & FUNCTION_LEVEL_RESET) this.#effects.reset();
		};
	}

	/** What VFIO doesn't show is left out of the list; the first one only loses its name, because the list begins there. */
	#addExtendedCapabilities(): void {
		let previous: number | undefined;
		let shown = 0;
		for (let at = EXTENDED; at >= EXTENDED && this.#physical.u32(at) !== 0; ) {
			const header = this.#physical.u32(at);
			const next = header >>> 20;
			const size = extendedSizes.get(header & 0xffff);
			if (size === undefined && previous !== undefined)
				this.#copyView.setUint32(previous, (this.#copyView.getUint32(previous, true) % 2 ** 20) + next * 2 ** 20, true);
			else {
				this.#add(at, size ?? 4).set(0, 4, ALL, NONE);
				if (size === undefined) this.#copyView.setUint32(at, next * 2 ** 20, true);
				else shown++;
				previous = at;
			}
			at = next;
		}
		if (shown === 0) this.#copyView.setUint32(EXTENDED, 0, true);
	}

	#add(start: number, size: number): Part {
		const part = new Part(start, size);
		this.#parts.fill(part, start, start + size);
		return part;
	}
}

function isBar(at: number): boolean {
	return (at >= BARS && at < BARS_END) || (at >= ROM_ADDRESS && at < ROM_ADDRESS + 4);
}

function flagsOf({ space, prefetchable }: Bar): number {
	if (space === "io") return BAR_IO;
	return (prefetchable ? BAR_PREFETCHABLE : 0) | (space === "memory64" ? BAR_64BIT : 0);
}
