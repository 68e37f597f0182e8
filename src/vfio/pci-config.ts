// A PCI function's hardware as a machine describes it, and its own configuration space. What VFIO shows
// of that is in config-space.ts.
// PCI Local Bus Specification 3.0: 6.1 "Configuration Space Organization", 6.2.5 "Base Addresses", 6.8 "MSI";
// PCI Express Base Specification 6.0: 7.5.3 (PCI Express), 7.7.2 (MSI-X), 7.8.9 (PASID), 9.3.3 (SR-IOV), 10.5.1 (ATS), 10.5.2 (PRI).

/** A base address register: a window of the function's registers or memory. */
export interface Bar {
	/** 0 to 5; a 64-bit one takes the next number too. */
	readonly index: number;
	/** In bytes, a power of two. */
	readonly size: number;
	readonly space: "memory32" | "memory64" | "io";
	readonly prefetchable: boolean;
	/** Where the firmware has put it. */
	readonly address: bigint;
}

export interface MsixCapability {
	readonly vectors: number;
	/** Where the table is, in bytes within a BAR. */
	readonly bar: number;
	readonly tableOffset: number;
	readonly pendingOffset: number;
}

/** What a physical function says of its virtual functions. */
export interface SriovCapability {
	/** How many there can be. */
	readonly count: number;
	/** From its own requester ID to that of the first, and from each to the next, modulo 2^16. */
	readonly offset: number;
	readonly stride: number;
	/** All have the same. */
	readonly deviceId: number;
	/** Of the first; those of the others follow. */
	readonly bars: readonly Bar[];
}

export interface PciHardware {
	readonly vendorId: number;
	readonly deviceId: number;
	readonly subsystemVendorId: number;
	readonly subsystemId: number;
	readonly revision: number;
	/** Base class, subclass, programming interface: 24 bits. */
	readonly classCode: number;
	readonly bars: readonly Bar[];
	/** 1 to 4 for INTA to INTD, 0 for none. */
	readonly interruptPin: number;
	/** How many vectors MSI can ask for, a power of two up to 32; 0 without MSI. */
	readonly msiVectors: number;
	readonly msix: MsixCapability | undefined;
	/** Whether it is a PCI Express function, with 4096 bytes of configuration space instead of 256. */
	readonly isExpress: boolean;
	readonly ats: boolean;
	readonly pri: boolean;
	/** Max PASID Width; 0 where it has no PASIDs. */
	readonly pasidBits: number;
	/** Whether Linux finds a way to reset it alone. */
	readonly canReset: boolean;
	/** Of one that has virtual functions. */
	readonly sriov?: SriovCapability | undefined;
}

/** Bits of the command register. */
export const PciCommand = {
	IO: 1 << 0,
	MEMORY: 1 << 1,
	MASTER: 1 << 2,
	PARITY: 1 << 6,
	SERR: 1 << 8,
	INTX_DISABLE: 1 << 10,
} as const;
const STATUS = 0x06;
const STATUS_INTERRUPT = 1 << 3;
const STATUS_CAPABILITIES_LIST = 1 << 4;
const BAR_IO = 1;
const BAR_64BIT = 4;
const BAR_PREFETCHABLE = 8;
const COMMAND = 0x04;
const CACHE_LINE_SIZE = 0x0c;
const FIRST_BAR = 0x10;

export const PciCapability = { MSI: 0x05, EXPRESS: 0x10, MSIX: 0x11 } as const;
export const PciExtendedCapability = { ATS: 0x0f, SRIOV: 0x10, PRI: 0x13, PASID: 0x1b } as const;

/** Of the PCI Express capability. */
export const DEVICE_CAPABILITIES = 4;
export const FUNCTION_LEVEL_RESET = 1 << 28;
export const DEVICE_CONTROL = 8;
/** Of the SR-IOV capability. */
export const SRIOV_SIZE = 0x40;
const SRIOV_CONTROL = 0x08;
const SRIOV_ENABLE = 1 << 0;
const SRIOV_MEMORY = 1 << 3;
const INITIAL_VFS = 0x0c;
const TOTAL_VFS = 0x0e;
const NUM_VFS = 0x10;
const FIRST_VF_OFFSET = 0x14;
const VF_STRIDE = 0x16;
const VF_DEVICE_ID = 0x1a;
const SUPPORTED_PAGE_SIZES = 0x1c;
const SYSTEM_PAGE_SIZE = 0x20;
const FIRST_VF_BAR = 0x24;
/** 4 KiB, 8 KiB, 64 KiB, 256 KiB, 1 MiB and 4 MiB: what every function must have. Bit n is for 2^(n + 12). */
const REQUIRED_PAGE_SIZES = 0x553;
const PAGES_OF_4K = 1;
/** Reporting of four kinds of errors, relaxed ordering, no snoop: what a simple function lets software choose. */
const DEVICE_CONTROL_WRITABLE = 0x081f;

const FIRST_CAPABILITY = 0x40;
const FIRST_EXTENDED_CAPABILITY = 0x100;
const PCIE_CAPABILITY_SIZE = 0x3c;
const PCIE_VERSION = 2;

export class PciConfig {
	/** The whole configuration space, as the function itself has it. */
	readonly bytes: Uint8Array;
	readonly #view: DataView;
	/** The bits that a write changes. */
	readonly #writable: Uint8Array;
	readonly #initial: Uint8Array;
	/** Where the pointer to the next capability goes. */
	#link = 0x34;
	#free = FIRST_CAPABILITY;
	#freeExtended = FIRST_EXTENDED_CAPABILITY;
	/** Where the SR-IOV capability is, if there is one. */
	#sriov: number | undefined;

	constructor(hardware: PciHardware) {
		this.bytes = new Uint8Array(hardware.isExpress ? 4096 : 256);
		this.#view = new DataView(this.bytes.buffer);
		this.#writable = new Uint8Array(this.bytes.length);
		this.#header(hardware);
		if (hardware.isExpress) this.#expressCapability(hardware.canReset);
		if (hardware.msiVectors > 0) this.#msi(hardware.msiVectors);
		if (hardware.msix) this.#msix(hardware.msix);
		if (hardware.isExpress) this.#extendedCapabilities(hardware);
		this.#initial = this.bytes.slice();
	}

	/** Writes a byte, as far as the function lets itself be written. */
	write(at: number, value: number): void {
		const mask = this.#writable[at];
		this.bytes[at] = (this.bytes[at] & ~mask) | (value & mask);
	}

	/** As it was when the machine was switched on, and with the virtual functions that there are: those stay, Linux sees to it. */
	restore(): void {
		const virtualFunctions = this.#sriov === undefined ? 0 : this.u16(this.#sriov + NUM_VFS);
		this.bytes.set(this.#initial);
		this.setVirtualFunctions(virtualFunctions);
	}

	/** The kernel has made so many, or has taken them away: NumVFs, VF Enable and VF MSE. */
	setVirtualFunctions(count: number): void {
		if (this.#sriov === undefined) return;
		this.#set16(this.#sriov + NUM_VFS, count);
		this.#set16(this.#sriov + SRIOV_CONTROL, count === 0 ? 0 : SRIOV_ENABLE | SRIOV_MEMORY);
	}

	/** Whether it may do DMA, and send messages, which are DMA too. */
	get isBusMaster(): boolean {
		return (this.bytes[COMMAND] & PciCommand.MASTER) !== 0;
	}

	/** The interrupt status bit: whether the function asserts its pin. */
	set interruptStatus(asserted: boolean) {
		this.bytes[STATUS] = (this.bytes[STATUS] & ~STATUS_INTERRUPT) | (asserted ? STATUS_INTERRUPT : 0);
	}

	u8(at: number): number {
		return this.#view.getUint8(at);
	}

	u16(at: number): number {
		return this.#view.getUint16(at, true);
	}

	u32(at: number): number {
		return this.#view.getUint32(at, true);
	}

	/** Where a capability is, 0 if there is none of that id. */
	capability(id: number): number {
		let at = this.u8(0x34);
		while (at !== 0 && this.u8(at) !== id) at = this.u8(at + 1);
		return at;
	}

	#header(hardware: PciHardware): void {
		const hasCapabilities = hardware.isExpress || hardware.msiVectors > 0 || hardware.msix !== undefined;
		const hasIo = hardware.bars.some(({ space }) => space === "io");
		const hasMemory = hardware.bars.some(({ space }) => space !== "io");
		this.#set16(0x00, hardware.vendorId);
		this.#set16(0x02, hardware.deviceId);
		const decodes = (hasIo ? PciCommand.IO : 0) | (hasMemory ? PciCommand.MEMORY : 0);
		this.#set16(COMMAND, decodes);
		const hasPin = hardware.interruptPin === 0 ? 0 : PciCommand.INTX_DISABLE;
		this.#letWrite16(COMMAND, decodes | PciCommand.MASTER | PciCommand.PARITY | PciCommand.SERR | hasPin);
		this.#writable[CACHE_LINE_SIZE] = 0xff;
		this.#set16(STATUS, hasCapabilities ? STATUS_CAPABILITIES_LIST : 0);
		this.#set32(0x08, hardware.classCode * 256 + hardware.revision);
		for (const bar of hardware.bars) this.#bar(FIRST_BAR, bar);
		this.#set16(0x2c, hardware.subsystemVendorId);
		this.#set16(0x2e, hardware.subsystemId);
		this.bytes[0x3d] = hardware.interruptPin;
	}

	#bar(first: number, { index, space, prefetchable, address }: Bar): void {
		const at = first + 4 * index;
		const kind = space === "io" ? BAR_IO : space === "memory64" ? BAR_64BIT : 0;
		this.#set32(at, Number(address & 0xffff_ffffn) + kind + (prefetchable ? BAR_PREFETCHABLE : 0));
		if (space === "memory64") this.#set32(at + 4, Number(address >> 32n));
	}

	/** Links a capability of `size` bytes into the list; returns where it is. */
	#addCapability(id: number, size: number): number {
		const at = this.#free;
		this.bytes[this.#link] = at;
		this.bytes[at] = id;
		this.#link = at + 1;
		this.#free = (at + size + 3) & ~3;
		return at;
	}

	#expressCapability(canReset: boolean): void {
		const at = this.#addCapability(PciCapability.EXPRESS, PCIE_CAPABILITY_SIZE);
		this.#set16(at + 2, PCIE_VERSION);
		if (canReset) this.#set32(at + DEVICE_CAPABILITIES, FUNCTION_LEVEL_RESET);
		this.#letWrite16(at + DEVICE_CONTROL, DEVICE_CONTROL_WRITABLE);
	}

	/** With a 64-bit address, and not masked per vector. */
	#msi(vectors: number): void {
		const at = this.#addCapability(PciCapability.MSI, 14);
		this.#set16(at + 2, (Math.log2(vectors) << 1) | (1 << 7));
	}

	#msix({ vectors, bar, tableOffset, pendingOffset }: MsixCapability): void {
		const at = this.#addCapability(PciCapability.MSIX, 12);
		this.#set16(at + 2, vectors - 1);
		this.#set32(at + 4, tableOffset | bar);
		this.#set32(at + 8, pendingOffset | bar);
	}

	#extendedCapabilities({ ats, pri, pasidBits, sriov }: PciHardware): void {
		if (ats) this.#addExtendedCapability(PciExtendedCapability.ATS, 8);
		if (pri) this.#addExtendedCapability(PciExtendedCapability.PRI, 16);
		if (pasidBits > 0) this.#set16(this.#addExtendedCapability(PciExtendedCapability.PASID, 8) + 4, pasidBits << 8);
		if (sriov) this.#addSriov(sriov);
	}

	#addSriov({ count, offset, stride, deviceId, bars }: SriovCapability): void {
		const at = this.#addExtendedCapability(PciExtendedCapability.SRIOV, SRIOV_SIZE);
		this.#sriov = at;
		this.#set16(at + INITIAL_VFS, count);
		this.#set16(at + TOTAL_VFS, count);
		this.#set16(at + FIRST_VF_OFFSET, offset);
		this.#set16(at + VF_STRIDE, stride);
		this.#set16(at + VF_DEVICE_ID, deviceId);
		this.#set32(at + SUPPORTED_PAGE_SIZES, REQUIRED_PAGE_SIZES);
		this.#set32(at + SYSTEM_PAGE_SIZE, PAGES_OF_4K);
		for (const bar of bars) this.#bar(at + FIRST_VF_BAR, bar);
	}

	/** The first one has a fixed place, each has the place of the next one in its own header. */
	#addExtendedCapability(id: number, size: number): number {
		const at = this.#freeExtended;
		if (at !== FIRST_EXTENDED_CAPABILITY) this.#linkExtended(at);
		this.#set32(at, id | (1 << 16));
		this.#freeExtended = at + size;
		return at;
	}

	#linkExtended(to: number): void {
		let at = FIRST_EXTENDED_CAPABILITY;
		while (this.u32(at) >>> 20 !== 0) at = this.u32(at) >>> 20;
		this.#set32(at, this.u32(at) + to * 2 ** 20);
	}

	#letWrite16(at: number, bits: number): void {
		this.#writable[at] = bits & 0xff;
		this.#writable[at + 1] = bits >> 8;
	}

	#set16(at: number, value: number): void {
		this.#view.setUint16(at, value, true);
	}

	#set32(at: number, value: number): void {
		this.#view.setUint32(at, value, true);
	}
}
