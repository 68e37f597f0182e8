// What a vfio-user server's function is, by its configuration space and its regions: PCI Local Bus 3.0, chapter 6; PCI Express 7.7.

import type { FunctionIdentity } from "../../devices/model.js";
import type { VfioUserClient } from "./client.js";

/** VFIO_PCI_*_REGION_INDEX and VFIO_PCI_*_IRQ_INDEX. */
export const CONFIG_REGION = 7;
export const Interrupt = { INTX: 0, MSI: 1, MSIX: 2 } as const;
const BARS = 6;

const CONFIG_SIZE = 256;
/** A server may take nothing longer at once. */
const WORD = 4;

const Header = {
	VENDOR: 0x00,
	DEVICE: 0x02,
	STATUS: 0x06,
	REVISION: 0x08,
	BAR0: 0x10,
	SUBSYSTEM_VENDOR: 0x2c,
	SUBSYSTEM: 0x2e,
	CAPABILITIES: 0x34,
	INTERRUPT_PIN: 0x3d,
} as const;
const HAS_CAPABILITIES = 1 << 4;
const NO_DEVICE = 0xffff;

const Capability = { MSI: 0x05, EXPRESS: 0x10, MSIX: 0x11 } as const;
/** No list has more: each entry takes 4 bytes of what is behind the header. */
const MOST_CAPABILITIES = 48;

const IO = 1;
const MEMORY_64 = 2 << 1;
const PREFETCHABLE = 1 << 3;
/** A BAR has a power of two of bytes, of at least 16 or, of I/O, 4. A server's region may be smaller than the BAR that it is in. */
const LEAST_BAR = { io: 4, memory32: 16, memory64: 16 } as const;
const LARGEST_BAR = 2 ** 40;

type Bar = FunctionIdentity["bars"][number];

/** @throws Error for one that can't be a function of a machine; ServerLost, ServerRefused */
export function identityOf(client: VfioUserClient): FunctionIdentity {
	const config = readConfig(client);
	const vendor = config.getUint16(Header.VENDOR, true);
	if (vendor === NO_DEVICE) throw new Error("the server's configuration space has no vendor ID");
	const capabilities = capabilitiesOf(config);
	const bars = barsOf(client, config);
	const pin = config.getUint8(Header.INTERRUPT_PIN);
	const msi = capabilities.get(Capability.MSI);
	const msix = msixOf(client, config, capabilities.get(Capability.MSIX), bars);
	return {
		vendor,
		device: config.getUint16(Header.DEVICE, true),
		subsystemVendor: config.getUint16(Header.SUBSYSTEM_VENDOR, true),
		subsystem: config.getUint16(Header.SUBSYSTEM, true),
		revision: config.getUint8(Header.REVISION),
		class: config.getUint32(Header.REVISION, true) >>> 8,
		bars,
		interruptPin: pin <= 4 && countOf(client, Interrupt.INTX) > 0 ? pin : 0,
		msiVectors: msi === undefined ? 0 : msiVectors(config.getUint16(msi + 2, true), countOf(client, Interrupt.MSI)),
		...(msix && { msix }),
		express: capabilities.has(Capability.EXPRESS),
	};
}

function readConfig(client: VfioUserClient): DataView {
	const size = client.regions[CONFIG_REGION]?.size ?? 0;
	if (size < CONFIG_SIZE) throw new Error(`the server's configuration space has ${size} bytes`);
	const bytes = new Uint8Array(CONFIG_SIZE);
	for (let at = 0; at < CONFIG_SIZE; at += WORD) client.read(CONFIG_REGION, at, bytes.subarray(at, at + WORD));
	return new DataView(bytes.buffer);
}

/** Where each is: the first of its kind. */
function capabilitiesOf(config: DataView): Map<number, number> {
	const found = new Map<number, number>();
	if ((config.getUint16(Header.STATUS, true) & HAS_CAPABILITIES) === 0) return found;
	let at = config.getUint8(Header.CAPABILITIES) & ~3;
	for (let i = 0; at !== 0 && i < MOST_CAPABILITIES; i++) {
		const id = config.getUint8(at);
		if (!found.has(id)) found.set(id, at);
		at = config.getUint8(at + 1) & ~3;
	}
	return found;
}

/** Their kind is in the registers, their size in the regions. */
function barsOf(client: VfioUserClient, config: DataView): Bar[] {
	const bars: Bar[] = [];
	for (let index = 0; index < BARS; index++) {
		const size = client.regions[index]?.size ?? 0;
		if (size === 0) continue;
		if (size > LARGEST_BAR) throw new Error(`the server's BAR ${index} has ${size} bytes, which no BAR can have`);
		const register = config.getUint32(Header.BAR0 + 4 * index, true);
		const isWide = (register & 7) === MEMORY_64;
		const space = register & IO ? "io" : isWide ? "memory64" : "memory32";
		const whole = Math.max(LEAST_BAR[space], 2 ** Math.ceil(Math.log2(size)));
		bars.push({ index, size: whole, space, prefetchable: space !== "io" && (register & PREFETCHABLE) !== 0 });
		// The next register is the upper half of this one.
		if (isWide) index++;
	}
	return bars;
}

function countOf(client: VfioUserClient, index: number): number {
	const info = client.interrupts[index];
	return info?.hasEventFds ? info.count : 0;
}

function msiVectors(control: number, count: number): NonNullable<FunctionIdentity["msiVectors"]> {
	const capable = 1 << Math.min(5, (control >> 1) & 7);
	const vectors = ([32, 16, 8, 4, 2, 1] as const).find((number) => number <= Math.min(capable, count));
	return vectors ?? 0;
}

/** @throws Error where its table isn't in a BAR */
function msixOf(
	client: VfioUserClient,
	config: DataView,
	at: number | undefined,
	bars: readonly Bar[],
): FunctionIdentity["msix"] {
	if (at === undefined || at + 12 > CONFIG_SIZE) return undefined;
	const vectors = Math.min((config.getUint16(at + 2, true) & 0x7ff) + 1, countOf(client, Interrupt.MSIX));
	if (vectors === 0) return undefined;
	const [table, pending] = [config.getUint32(at + 4, true), config.getUint32(at + 8, true)];
	const bar = table & 7;
	if (!bars.some(({ index }) => index === bar))
		throw new Error(`the server's MSI-X table is in BAR ${bar}, which it hasn't`);
	return { vectors, bar, tableOffset: (table & ~7) >>> 0, pendingOffset: (pending & ~7) >>> 0 };
}
