// What descriptors ask for: one format and one function for each operation. DSA specification 8.3 "Operations".
// A function yields after each piece of memory that it has moved, so that others get their turn.

import { crc32c } from "../checksum.js";
import type { EndpointPort } from "../endpoint.js";
import { type Descriptor, Flag } from "./descriptor.js";
import { type Outcome, type Problem, Status } from "./status.js";

export const Operation = {
	NOOP: 0x00,
	BATCH: 0x01,
	DRAIN: 0x02,
	MEMORY_MOVE: 0x03,
	FILL: 0x04,
	COMPARE: 0x05,
	COMPARE_PATTERN: 0x06,
	DUALCAST: 0x09,
	CRC_GENERATION: 0x10,
} as const;

/** Yields how many bytes were moved. */
export type Run = Generator<number, Outcome>;

export interface OperationFormat {
	/** Those that it takes beside the common ones. */
	readonly flags: number;
	/** What of the descriptor from byte 16 on it uses: offsets and sizes. */
	readonly fields: readonly (readonly [offset: number, size: number])[];
	readonly hasTransfer: boolean;
	readonly isBatch?: true;
	/** What else can be wrong with it. */
	readonly check?: (descriptor: Descriptor) => Problem | undefined;
	/** Absent where whoever has the queue does it. */
	readonly run?: (port: EndpointPort, descriptor: Descriptor) => Run;
}

const SOURCE = [16, 8] as const;
const DESTINATION = [24, 8] as const;
const SIZE = [32, 4] as const;
const EXPECTED_RESULT = [40, 1] as const;
const SECOND_DESTINATION = [40, 8] as const;
const CRC_SEED = [40, 4] as const;
const CACHE = Flag.CACHE_CONTROL | Flag.STRICT_ORDERING;

const PIECE = 64 * 1024;

export const OPERATIONS: ReadonlyMap<number, OperationFormat> = new Map<number, OperationFormat>([
	[Operation.NOOP, { flags: 0, fields: [], hasTransfer: false, run: nothing }],
	[Operation.BATCH, { flags: 0, fields: [SOURCE, SIZE], hasTransfer: false, isBatch: true }],
	// A queue's descriptors are done one after the other: what came before is over.
	[Operation.DRAIN, { flags: 0, fields: [], hasTransfer: false, run: nothing }],
	[Operation.MEMORY_MOVE, { flags: CACHE, fields: [SOURCE, DESTINATION, SIZE], hasTransfer: true, run: move }],
	[Operation.FILL, { flags: CACHE, fields: [SOURCE, DESTINATION, SIZE], hasTransfer: true, run: fill }],
	[
		Operation.COMPARE,
		{
			flags: Flag.CHECK_RESULT,
			fields: [SOURCE, DESTINATION, SIZE, EXPECTED_RESULT],
			hasTransfer: true,
			run: (port, descriptor) => compare(port, descriptor, readsAt(port, descriptor.destination)),
		},
	],
	[
		Operation.COMPARE_PATTERN,
		{
			flags: Flag.CHECK_RESULT,
			fields: [SOURCE, DESTINATION, SIZE, EXPECTED_RESULT],
			hasTransfer: true,
			run: (port, descriptor) => compare(port, descriptor, repeats(descriptor.destination)),
		},
	],
	[
		Operation.DUALCAST,
		{
			flags: CACHE,
			fields: [SOURCE, DESTINATION, SIZE, SECOND_DESTINATION],
			hasTransfer: true,
			check: checkDualcast,
			run: dualcast,
		},
	],
	[Operation.CRC_GENERATION, { flags: 0, fields: [SOURCE, SIZE, CRC_SEED], hasTransfer: true, run: crc }],
]);

/** OPCAP. */
export const OPCAP = [...OPERATIONS.keys()].reduce((bits, operation) => bits | (1 << operation), 0);

// biome-ignore lint/correctness/useYield: it has nothing to move
function* nothing(): Run {
	return { status: Status.SUCCESS };
}

/** Where the destination lies behind the source in the same memory it is done from the end: then the result is 1. */
function* move(port: EndpointPort, { source, destination, size }: Descriptor): Run {
	const isBackward = destination > source && destination < source + BigInt(size);
	const buffer = new Uint8Array(Math.min(PIECE, size));
	for (let done = 0; done < size; ) {
		const length = Math.min(PIECE, size - done);
		const at = isBackward ? size - done - length : done;
		const piece = buffer.subarray(0, length);
		const fault = faultOf(port, at, source, destination, piece);
		if (fault) return { ...fault, completed: done, result: isBackward ? 1 : 0 };
		done += length;
		yield length;
	}
	return { status: Status.SUCCESS, completed: size, result: isBackward ? 1 : 0 };
}

function faultOf(
	port: EndpointPort,
	at: number,
	source: bigint,
	destination: bigint,
	piece: Uint8Array,
): Outcome | undefined {
	return read(port, source, at, piece) ?? write(port, destination, at, piece);
}

function* fill(port: EndpointPort, { source: pattern, destination, size }: Descriptor): Run {
	const piece = patternOf(pattern, Math.min(PIECE, size));
	for (let done = 0; done < size; ) {
		const part = piece.subarray(0, Math.min(PIECE, size - done));
		const fault = write(port, destination, done, part);
		if (fault) return { ...fault, completed: done };
		done += part.length;
		yield part.length;
	}
	return { status: Status.SUCCESS, completed: size };
}

/** The other side of a comparison: how a piece of it is had. */
type Reader = (offset: number, into: Uint8Array) => Outcome | undefined;

function readsAt(port: EndpointPort, address: bigint): Reader {
	return (offset, into) => read(port, address, offset, into);
}

function repeats(pattern: bigint): Reader {
	// Pieces begin at multiples of 8.
	return (_, into) => {
		into.set(patternOf(pattern, into.length));
		return undefined;
	};
}

/** The result is 0 for equal and 1 for not, up to the first byte that differs. */
function* compare(port: EndpointPort, descriptor: Descriptor, other: Reader): Run {
	const { source, size } = descriptor;
	const [one, two] = [new Uint8Array(Math.min(PIECE, size)), new Uint8Array(Math.min(PIECE, size))];
	for (let done = 0; done < size; ) {
		const length = Math.min(PIECE, size - done);
		const pair = [one.subarray(0, length), two.subarray(0, length)] as const;
		const fault = read(port, source, done, pair[0]) ?? other(done, pair[1]);
		if (fault) return { ...fault, completed: done };
		const place = pair[0].findIndex((byte, i) => byte !== pair[1][i]);
		if (place >= 0) return compared(descriptor, 1, done + place);
		done += length;
		yield length;
	}
	return compared(descriptor, 0, size);
}

function compared(descriptor: Descriptor, result: number, completed: number): Outcome {
	const isFalse = descriptor.has(Flag.CHECK_RESULT) && (descriptor.u8(EXPECTED_RESULT[0]) & 3) !== result;
	return { status: isFalse ? Status.SUCCESS_WITH_FALSE_PREDICATE : Status.SUCCESS, result, completed };
}

/** Both destinations have the same place in a page, and neither overlaps anything. */
function checkDualcast(descriptor: Descriptor): Problem | undefined {
	const { source, destination, size } = descriptor;
	const second = descriptor.u64(SECOND_DESTINATION[0]);
	if ((destination & 0xfffn) !== (second & 0xfffn)) return { status: Status.DUALCAST_ALIGNMENT };
	const overlap = (a: bigint, b: bigint) => a < b + BigInt(size) && b < a + BigInt(size);
	if (overlap(source, destination) || overlap(source, second) || overlap(destination, second))
		return { status: Status.OVERLAPPING_BUFFERS };
	return undefined;
}

function* dualcast(port: EndpointPort, descriptor: Descriptor): Run {
	const { source, destination, size } = descriptor;
	const second = descriptor.u64(SECOND_DESTINATION[0]);
	const buffer = new Uint8Array(Math.min(PIECE, size));
	for (let done = 0; done < size; ) {
		const piece = buffer.subarray(0, Math.min(PIECE, size - done));
		const fault = faultOf(port, done, source, destination, piece) ?? write(port, second, done, piece);
		if (fault) return { ...fault, completed: done };
		done += piece.length;
		yield piece.length;
	}
	return { status: Status.SUCCESS, completed: size };
}

/** CRC-32C, as iSCSI has it: the seed is not inverted, the result is. */
function* crc(port: EndpointPort, descriptor: Descriptor): Run {
	const { source, size } = descriptor;
	let value = descriptor.u32(CRC_SEED[0]);
	const buffer = new Uint8Array(Math.min(PIECE, size));
	for (let done = 0; done < size; ) {
		const piece = buffer.subarray(0, Math.min(PIECE, size - done));
		const fault = read(port, source, done, piece);
		if (fault) return { ...fault, completed: done, crc: value };
		value = crc32c(piece, 0, piece.length, value);
		done += piece.length;
		yield piece.length;
	}
	return { status: Status.SUCCESS, completed: size, crc: value };
}

function read(port: EndpointPort, address: bigint, offset: number, into: Uint8Array): Outcome | undefined {
	const at = BigInt.asUintN(64, address + BigInt(offset));
	if (port.readMemory(at, into) === undefined) return undefined;
	return { status: Status.PAGE_FAULT, faultAddress: at };
}

function write(port: EndpointPort, address: bigint, offset: number, from: Uint8Array): Outcome | undefined {
	const at = BigInt.asUintN(64, address + BigInt(offset));
	if (port.writeMemory(at, from) === undefined) return undefined;
	return { status: Status.PAGE_FAULT, faultAddress: at, isFaultWrite: true };
}

/** Eight bytes, again and again. */
export function patternOf(pattern: bigint, length: number): Uint8Array {
	const bytes = new Uint8Array(Math.max(8, length));
	new DataView(bytes.buffer).setBigUint64(0, pattern, true);
	for (let filled = 8; filled < length; filled *= 2) bytes.copyWithin(filled, 0, filled);
	return bytes.subarray(0, length);
}
