// The messages of vfio-user, as bytes. docs/interop/vfio-user.rst of QEMU; libvfio-user's docs/vfio-user.rst.
// What comes from the other side is anybody's: whatever doesn't fit the specification is a ProtocolError.

import * as v from "valibot";

export const Command = {
	VERSION: 1,
	DMA_MAP: 2,
	DMA_UNMAP: 3,
	DEVICE_GET_INFO: 4,
	DEVICE_GET_REGION_INFO: 5,
	DEVICE_GET_IRQ_INFO: 7,
	DEVICE_SET_IRQS: 8,
	REGION_READ: 9,
	REGION_WRITE: 10,
	DMA_READ: 11,
	DMA_WRITE: 12,
	DEVICE_RESET: 13,
	REGION_WRITE_MULTI: 15,
} as const;

const names = new Map(Object.entries(Command).map(([name, code]): [number, string] => [code, name]));

/** "REGION_READ" */
export function commandName(code: number): string {
	return names.get(code) ?? `command ${code}`;
}

/** The other side doesn't keep to the protocol. */
export class ProtocolError extends Error {
	override readonly name = "ProtocolError";
}

export const HEADER_SIZE = 16;
const REPLY = 1;
const TYPE = 0xf;
const NO_REPLY = 1 << 4;
const ERROR = 1 << 5;

export interface Header {
	readonly id: number;
	readonly command: number;
	/** Of the whole message. */
	readonly size: number;
	readonly isReply: boolean;
	/** Of a command: none is wanted. */
	readonly noReply: boolean;
	/** Of a reply: an errno, which may be 0 though it failed; undefined where it didn't fail. */
	readonly error: number | undefined;
}

/** @throws ProtocolError */
export function decodeHeader(bytes: Uint8Array): Header {
	const view = viewOf(bytes);
	const flags = view.getUint32(8, true);
	const size = view.getUint32(4, true);
	const type = flags & TYPE;
	if (type > REPLY) throw new ProtocolError(`a message of type ${type}, which is neither a command nor a reply`);
	if (size < HEADER_SIZE) throw new ProtocolError(`a message of ${size} bytes, and its header has ${HEADER_SIZE}`);
	return {
		id: view.getUint16(0, true),
		command: view.getUint16(2, true),
		size,
		isReply: type === REPLY,
		noReply: (flags & NO_REPLY) !== 0,
		error: flags & ERROR ? view.getUint32(12, true) : undefined,
	};
}

/** A whole message. */
export function encodeMessage(header: Omit<Header, "size">, payload: Uint8Array): Uint8Array {
	const bytes = new Uint8Array(HEADER_SIZE + payload.length);
	const view = viewOf(bytes);
	view.setUint16(0, header.id, true);
	view.setUint16(2, header.command, true);
	view.setUint32(4, bytes.length, true);
	const failed = header.error === undefined ? 0 : ERROR;
	view.setUint32(8, (header.isReply ? REPLY : 0) | (header.noReply ? NO_REPLY : 0) | failed, true);
	view.setUint32(12, header.error ?? 0, true);
	bytes.set(payload, HEADER_SIZE);
	return bytes;
}

// --- VERSION ---

const MAJOR = 0;
const MINOR = 1;
/** What counts where a side says nothing. */
const DEFAULTS = { maxMessageFds: 1, maxTransfer: 1024 * 1024, maxMaps: 65535 } as const;
/** Fds that this side takes in one message. */
export const MAX_MESSAGE_FDS = 16;
export const MAX_TRANSFER = 1024 * 1024;

export interface Capabilities {
	readonly maxMessageFds: number;
	/** Bytes in one REGION_READ, DMA_WRITE and so on. */
	readonly maxTransfer: number;
	/** Of DMA_MAP, at the same time. */
	readonly maxMaps: number;
	readonly writeMulti: boolean;
	/** Which fd of the message is a socket of its own for the server's commands. */
	readonly twinSocket: number | undefined;
}

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const versionData = v.object({
	capabilities: v.optional(
		v.object({
			max_msg_fds: v.optional(count, DEFAULTS.maxMessageFds),
			max_data_xfer_size: v.optional(v.pipe(count, v.minValue(8)), DEFAULTS.maxTransfer),
			max_dma_maps: v.optional(count, DEFAULTS.maxMaps),
			write_multiple: v.optional(v.boolean(), false),
			twin_socket: v.optional(v.object({ supported: v.optional(v.boolean(), false), fd_index: v.optional(count) })),
		}),
		{},
	),
});

/** What this side proposes. */
export function encodeVersion(): Uint8Array {
	const data = {
		capabilities: {
			max_msg_fds: MAX_MESSAGE_FDS,
			max_data_xfer_size: MAX_TRANSFER,
			write_multiple: true,
			twin_socket: { supported: true },
		},
	};
	const json = new TextEncoder().encode(`${JSON.stringify(data)}\0`);
	const bytes = new Uint8Array(4 + json.length);
	const view = viewOf(bytes);
	view.setUint16(0, MAJOR, true);
	view.setUint16(2, MINOR, true);
	bytes.set(json, 4);
	return bytes;
}

/** What the server makes of that. @throws ProtocolError */
export function decodeVersion(payload: Uint8Array): Capabilities {
	const view = need(payload, 4, "VERSION");
	const [major, minor] = [view.getUint16(0, true), view.getUint16(2, true)];
	if (major !== MAJOR || minor > MINOR)
		throw new ProtocolError(`the server speaks version ${major}.${minor}, and ${MAJOR}.${MINOR} was proposed`);
	const parsed = v.safeParse(versionData, parseJson(payload.subarray(4)));
	if (!parsed.success) throw new ProtocolError(`the server's version data: ${parsed.issues[0].message}`);
	const { capabilities } = parsed.output;
	const twin = capabilities.twin_socket;
	if (twin?.supported && twin.fd_index === undefined)
		throw new ProtocolError("the server wants two sockets, and says nothing of the second one");
	return {
		maxMessageFds: Math.max(1, capabilities.max_msg_fds ?? DEFAULTS.maxMessageFds),
		maxTransfer: Math.min(MAX_TRANSFER, capabilities.max_data_xfer_size ?? DEFAULTS.maxTransfer),
		maxMaps: capabilities.max_dma_maps ?? DEFAULTS.maxMaps,
		writeMulti: capabilities.write_multiple ?? false,
		twinSocket: twin?.supported ? twin.fd_index : undefined,
	};
}

function parseJson(bytes: Uint8Array): unknown {
	if (bytes.length === 0) return {};
	const end = bytes.indexOf(0);
	if (end < 0) throw new ProtocolError("the server's version data doesn't end with NUL");
	try {
		return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, end)));
	} catch {
		throw new ProtocolError("the server's version data is no JSON");
	}
}

// --- What the device is ---

/** Those of the VFIO_DEVICE_FLAGS that there can be. */
const DEVICE_RESET = 1;
const DEVICE_PCI = 2;
/** VFIO PCI has nine regions and five kinds of interrupts; more are of no meaning here. */
export const REGIONS = 9;
export const INTERRUPTS = 5;

export interface DeviceInfo {
	readonly canReset: boolean;
	readonly regions: number;
	readonly interrupts: number;
}

export function encodeGetInfo(): Uint8Array {
	return words(16, 0, 0, 0);
}

/** @throws ProtocolError */
export function decodeInfo(payload: Uint8Array): DeviceInfo {
	const view = need(payload, 16, "DEVICE_GET_INFO");
	const flags = view.getUint32(4, true);
	if ((flags & DEVICE_PCI) === 0) throw new ProtocolError("the server's device is no PCI device");
	return {
		canReset: (flags & DEVICE_RESET) !== 0,
		regions: Math.min(REGIONS, view.getUint32(8, true)),
		interrupts: Math.min(INTERRUPTS, view.getUint32(12, true)),
	};
}

const REGION_INFO_SIZE = 32;
/** Room for a region's capabilities in the reply. */
export const REGION_REPLY_SIZE = 4096;
const RegionFlag = { READ: 1, WRITE: 2, MMAP: 4, CAPS: 8 } as const;
/** VFIO_REGION_INFO_CAP_SPARSE_MMAP */
const SPARSE_MMAP = 1;
const CAPABILITY_HEADER = 8;
const SPARSE_HEADER = 16;
const AREA = 16;
const MOST_CAPABILITIES = 64;

export interface Area {
	readonly offset: number;
	readonly size: number;
}

export interface RegionInfo {
	readonly index: number;
	/** In bytes; 0 where there is none. */
	readonly size: number;
	readonly canRead: boolean;
	readonly canWrite: boolean;
	/** What of it can be mapped, from the fd in the reply; none where it can't. */
	readonly areas: readonly Area[];
	/** Where the region begins in that file. */
	readonly fileOffset: number;
}

export function encodeGetRegionInfo(index: number): Uint8Array {
	return words(REGION_REPLY_SIZE, 0, index, 0, 0, 0, 0, 0);
}

/** @param index the one that was asked for @throws ProtocolError */
export function decodeRegionInfo(payload: Uint8Array, index: number): RegionInfo {
	const view = need(payload, REGION_INFO_SIZE, "DEVICE_GET_REGION_INFO");
	const flags = view.getUint32(4, true);
	if (view.getUint32(8, true) !== index)
		throw new ProtocolError(`region ${index} was asked for, and ${view.getUint32(8, true)} is told`);
	const size = exact(view, 16, `the size of region ${index}`);
	const fileOffset = exact(view, 24, `the place of region ${index} in its file`);
	const isMapped = (flags & RegionFlag.MMAP) !== 0 && size > 0;
	const sparse = flags & RegionFlag.CAPS ? sparseAreas(payload, view.getUint32(12, true), size) : undefined;
	return {
		index,
		size,
		canRead: (flags & RegionFlag.READ) !== 0,
		canWrite: (flags & RegionFlag.WRITE) !== 0,
		areas: isMapped ? (sparse ?? [{ offset: 0, size }]) : [],
		fileOffset,
	};
}

/** @returns undefined where there is no list of them: then all of the region can be mapped */
function sparseAreas(payload: Uint8Array, first: number, regionSize: number): Area[] | undefined {
	const view = viewOf(payload);
	let at = first;
	for (let i = 0; at !== 0; i++) {
		if (i === MOST_CAPABILITIES) throw new ProtocolError("a region's capabilities have no end");
		// Where there was no room for all of them they end where the reply does.
		if (at + CAPABILITY_HEADER > payload.length) return undefined;
		if (view.getUint16(at, true) === SPARSE_MMAP) return areasAt(view, at, regionSize);
		at = view.getUint32(at + 4, true);
	}
	return undefined;
}

function areasAt(view: DataView, at: number, regionSize: number): Area[] {
	if (at + SPARSE_HEADER > view.byteLength) throw new ProtocolError("a list of areas that ends before it begins");
	const count = view.getUint32(at + CAPABILITY_HEADER, true);
	if (at + SPARSE_HEADER + count * AREA > view.byteLength)
		throw new ProtocolError(`a list of ${count} areas that is longer than its message`);
	return Array.from({ length: count }, (_, i) => {
		const place = at + SPARSE_HEADER + i * AREA;
		const offset = exact(view, place, "an area");
		const size = exact(view, place + 8, "an area");
		if (offset + size > regionSize)
			throw new ProtocolError(`an area of ${size} bytes at ${offset}, and its region has ${regionSize}`);
		return { offset, size };
	});
}

export interface InterruptInfo {
	readonly index: number;
	readonly count: number;
	/** VFIO_IRQ_INFO_EVENTFD: it can be told by eventfds. */
	readonly hasEventFds: boolean;
}

export function encodeGetInterruptInfo(index: number): Uint8Array {
	return words(16, 0, index, 0);
}

/** @throws ProtocolError */
export function decodeInterruptInfo(payload: Uint8Array, index: number): InterruptInfo {
	const view = need(payload, 16, "DEVICE_GET_IRQ_INFO");
	if (view.getUint32(8, true) !== index)
		throw new ProtocolError(`interrupt ${index} was asked for, and ${view.getUint32(8, true)} is told`);
	return { index, count: view.getUint32(12, true), hasEventFds: (view.getUint32(4, true) & 1) !== 0 };
}

// --- Interrupts ---

const SetIrqs = { DATA_NONE: 1, DATA_EVENTFD: 4, ACTION_UNMASK: 16, ACTION_TRIGGER: 32 } as const;

/** The fds go with the message: so many from vector `start` on. */
export function encodeSetEventFds(index: number, start: number, count: number): Uint8Array {
	return words(20, SetIrqs.DATA_EVENTFD | SetIrqs.ACTION_TRIGGER, index, start, count);
}

export function encodeDisableInterrupts(index: number): Uint8Array {
	return words(20, SetIrqs.DATA_NONE | SetIrqs.ACTION_TRIGGER, index, 0, 0);
}

export function encodeUnmask(index: number): Uint8Array {
	return words(20, SetIrqs.DATA_NONE | SetIrqs.ACTION_UNMASK, index, 0, 1);
}

// --- Registers ---

const ACCESS_SIZE = 16;

export interface RegionAccess {
	readonly region: number;
	readonly offset: number;
	readonly count: number;
}

export function encodeRegionRead(access: RegionAccess): Uint8Array {
	return encodeAccess(access, new Uint8Array(0));
}

export function encodeRegionWrite(region: number, offset: number, data: Uint8Array): Uint8Array {
	return encodeAccess({ region, offset, count: data.length }, data);
}

function encodeAccess({ region, offset, count }: RegionAccess, data: Uint8Array): Uint8Array {
	const bytes = new Uint8Array(ACCESS_SIZE + data.length);
	const view = viewOf(bytes);
	view.setBigUint64(0, BigInt(offset), true);
	view.setUint32(8, region, true);
	view.setUint32(12, count, true);
	bytes.set(data, ACCESS_SIZE);
	return bytes;
}

/** What was read. @throws ProtocolError when it isn't what was asked for */
export function decodeRegionRead(payload: Uint8Array, access: RegionAccess): Uint8Array {
	checkAccess(payload, access, "REGION_READ");
	if (payload.length !== ACCESS_SIZE + access.count)
		throw new ProtocolError(`REGION_READ gives ${payload.length - ACCESS_SIZE} bytes instead of ${access.count}`);
	return payload.subarray(ACCESS_SIZE);
}

/** @throws ProtocolError */
export function checkRegionWrite(payload: Uint8Array, access: RegionAccess): void {
	checkAccess(payload, access, "REGION_WRITE");
}

function checkAccess(payload: Uint8Array, { region, offset, count }: RegionAccess, what: string): void {
	const view = need(payload, ACCESS_SIZE, what);
	if (
		view.getBigUint64(0, true) !== BigInt(offset) ||
		view.getUint32(8, true) !== region ||
		view.getUint32(12, true) !== count
	)
		throw new ProtocolError(`the reply to ${what} is of another access`);
}

const WRITE_SIZE = 24;

export interface ShortWrite {
	readonly region: number;
	readonly offset: number;
	/** Of up to 8 bytes. */
	readonly size: number;
	readonly value: bigint;
}

export function encodeWriteMulti(writes: readonly ShortWrite[]): Uint8Array {
	const bytes = new Uint8Array(8 + writes.length * WRITE_SIZE);
	const view = viewOf(bytes);
	view.setBigUint64(0, BigInt(writes.length), true);
	writes.forEach(({ region, offset, size, value }, i) => {
		const at = 8 + i * WRITE_SIZE;
		view.setBigUint64(at, BigInt(offset), true);
		view.setUint32(at + 8, region, true);
		view.setUint32(at + 12, size, true);
		view.setBigUint64(at + 16, value, true);
	});
	return bytes;
}

// --- DMA ---

const READABLE = 1;
const WRITEABLE = 2;

export interface DmaRange {
	readonly address: bigint;
	readonly size: bigint;
}

export interface DmaMap extends DmaRange {
	readonly isReadable: boolean;
	readonly isWriteable: boolean;
	/** In the file that goes with the message, if one does. */
	readonly fileOffset: number;
}

export function encodeDmaMap({ address, size, isReadable, isWriteable, fileOffset }: DmaMap): Uint8Array {
	const bytes = new Uint8Array(32);
	const view = viewOf(bytes);
	view.setUint32(0, bytes.length, true);
	view.setUint32(4, (isReadable ? READABLE : 0) | (isWriteable ? WRITEABLE : 0), true);
	view.setBigUint64(8, BigInt(fileOffset), true);
	view.setBigUint64(16, address, true);
	view.setBigUint64(24, size, true);
	return bytes;
}

export function encodeDmaUnmap({ address, size }: DmaRange): Uint8Array {
	const bytes = new Uint8Array(24);
	const view = viewOf(bytes);
	view.setUint32(0, bytes.length, true);
	view.setBigUint64(8, address, true);
	view.setBigUint64(16, size, true);
	return bytes;
}

export interface DmaAccess {
	readonly address: bigint;
	readonly count: number;
	/** Of a DMA_WRITE. */
	readonly data: Uint8Array;
}

const DMA_ACCESS_SIZE = 16;

/** A server's DMA_READ or DMA_WRITE. @throws ProtocolError */
export function decodeDmaAccess(payload: Uint8Array, command: number): DmaAccess {
	const name = commandName(command);
	const view = need(payload, DMA_ACCESS_SIZE, name);
	const count = exact(view, 8, `the count of ${name}`);
	if (count > MAX_TRANSFER)
		throw new ProtocolError(`${name} of ${count} bytes, and at most ${MAX_TRANSFER} were agreed`);
	const data = payload.subarray(DMA_ACCESS_SIZE);
	const expected = command === Command.DMA_WRITE ? count : 0;
	if (data.length !== expected) throw new ProtocolError(`${name} of ${count} bytes comes with ${data.length}`);
	return { address: view.getBigUint64(0, true), count, data };
}

/** @param data what a DMA_READ read */
export function encodeDmaReply({ address, count }: DmaAccess, data: Uint8Array): Uint8Array {
	const bytes = new Uint8Array(DMA_ACCESS_SIZE + data.length);
	const view = viewOf(bytes);
	view.setBigUint64(0, address, true);
	view.setBigUint64(8, BigInt(count), true);
	bytes.set(data, DMA_ACCESS_SIZE);
	return bytes;
}

// --- All of them ---

function viewOf(bytes: Uint8Array): DataView {
	return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function need(payload: Uint8Array, size: number, what: string): DataView {
	if (payload.length < size) throw new ProtocolError(`${what} of ${payload.length} bytes instead of ${size}`);
	return viewOf(payload);
}

/** A u64 that a number can hold. */
function exact(view: DataView, at: number, what: string): number {
	const value = view.getBigUint64(at, true);
	if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new ProtocolError(`${what} is 0x${value.toString(16)}`);
	return Number(value);
}

function words(...values: readonly number[]): Uint8Array {
	const bytes = new Uint8Array(4 * values.length);
	const view = viewOf(bytes);
	values.forEach((value, i) => {
		view.setUint32(4 * i, value, true);
	});
	return bytes;
}
