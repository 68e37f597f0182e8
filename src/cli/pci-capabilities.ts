// What a function's configuration space says of its capabilities. PCI Local Bus 3.0, 6.7; PCI Express 7.5 and on.

/** As a machine file has them. */
export interface PciCapabilities {
	readonly interruptPin: number;
	readonly msiVectors: number;
	readonly msix: MsixPlace | undefined;
	readonly express: boolean;
	readonly ats: boolean;
	readonly pri: boolean;
	readonly pasidBits: number;
	readonly sriov: boolean;
	/** Function Level Reset. */
	readonly flr: boolean;
}

export interface MsixPlace {
	readonly vectors: number;
	readonly bar: number;
	/** In bytes. */
	readonly tableOffset: number;
	readonly pendingOffset: number;
}

const STATUS = 0x06;
const HAS_CAPABILITIES = 0x10;
const FIRST_CAPABILITY = 0x34;
const INTERRUPT_PIN = 0x3d;
const [MSI, EXPRESS, MSIX] = [0x05, 0x10, 0x11];
const FIRST_EXTENDED = 0x100;
const [ATS, SRIOV, PRI, PASID] = [0x0f, 0x10, 0x13, 0x1b];
/** No list is longer: each capability takes four bytes at least. */
const MOST = 1024;

/** @param config as much of it as may be read: 64 bytes for who isn't root, which have no capabilities */
export function capabilitiesIn(config: Uint8Array): PciCapabilities {
	const view = new DataView(config.buffer, config.byteOffset, config.length);
	const found = listOf(view);
	const extended = extendedListOf(view);
	const msi = found.get(MSI);
	const msix = found.get(MSIX);
	const express = found.get(EXPRESS);
	const pasid = extended.get(PASID);
	return {
		interruptPin: config.length > INTERRUPT_PIN ? config[INTERRUPT_PIN] : 0,
		// Multiple Message Capable, bits 3:1 of Message Control
		msiVectors: msi === undefined ? 0 : 1 << Math.min(5, (u16(view, msi + 2) >> 1) & 7),
		msix: msix === undefined ? undefined : msixAt(view, msix),
		express: express !== undefined,
		ats: extended.has(ATS),
		pri: extended.has(PRI),
		// Max PASID Width, bits 12:8 of the PASID Capability Register
		pasidBits: pasid === undefined ? 0 : Math.min(20, (u16(view, pasid + 4) >> 8) & 0x1f),
		sriov: extended.has(SRIOV),
		// Bit 28 of the Device Capabilities Register
		flr: express !== undefined && (u32(view, express + 4) & (1 << 28)) !== 0,
	};
}

/** The table's size and place, and that of the pending bits: 7.7.2. */
function msixAt(view: DataView, at: number): MsixPlace {
	const [table, pending] = [u32(view, at + 4), u32(view, at + 8)];
	const place = { vectors: (u16(view, at + 2) & 0x7ff) + 1, bar: table & 7 };
	return { ...place, tableOffset: table - (table & 7), pendingOffset: pending - (pending & 7) };
}

/** By ID, where each begins. Lists may be broken, and lead back to where they were. */
function listOf(view: DataView): ReadonlyMap<number, number> {
	const found = new Map<number, number>();
	if ((u16(view, STATUS) & HAS_CAPABILITIES) === 0) return found;
	let at = u16(view, FIRST_CAPABILITY) & 0xfc;
	for (let i = 0; i < MOST && at !== 0 && at + 2 <= view.byteLength; i++) {
		const header = u16(view, at);
		if (!found.has(header & 0xff)) found.set(header & 0xff, at);
		at = (header >> 8) & 0xfc;
	}
	return found;
}

function extendedListOf(view: DataView): ReadonlyMap<number, number> {
	const found = new Map<number, number>();
	let at = FIRST_EXTENDED;
	for (let i = 0; i < MOST && at >= FIRST_EXTENDED && at + 4 <= view.byteLength; i++) {
		const header = u32(view, at);
		if (header === 0 || header === 0xffffffff) break;
		if (!found.has(header & 0xffff)) found.set(header & 0xffff, at);
		at = (header >>> 20) & 0xffc;
	}
	return found;
}

/** 0 beyond what could be read. */
function u16(view: DataView, at: number): number {
	return at + 2 <= view.byteLength ? view.getUint16(at, true) : 0;
}

function u32(view: DataView, at: number): number {
	return at + 4 <= view.byteLength ? view.getUint32(at, true) : 0;
}
