// read(2), write(2) and their like on our files, as fs/read_write.c makes them of a file's own read and write: those of event
// queues, which have no positions, and those of devices, which have nothing else.

import { isPositioned, isQueue, type OpenFile, type PositionedFile, type ReadableFile } from "../../files/open-file.js";
import type { AddressSpace } from "../../memory/address-space.js";
import type { RegisterAccess } from "../../trace/event.js";
import { Errno, hex } from "../../uapi/errno.js";
import { Later } from "../../uapi/later.js";
import { O_ACCMODE, O_RDONLY, O_WRONLY } from "../linux/flags.js";
import { syscalls } from "../linux/syscalls.js";
import type { Notification } from "../trap/seccomp.js";
import { onePiece, type Piece, piecesOfVector } from "./iovec.js";

/** A position is signed. */
const POSITIONS_END = 2 ** 63;
/** <linux/fs.h> */
const RWF_HIPRI = 1;
/** What the trace shows of an access: no register has more bytes. */
const LARGEST_REGISTER = 8;

interface CallKind {
	readonly name: string;
	readonly isWrite: boolean;
	/** Whether it takes an array of buffers. */
	readonly isVector: boolean;
	readonly hasPosition: boolean;
	/** preadv2(2): the position -1 means none, and there are flags. */
	readonly hasFlags: boolean;
}

const kinds: ReadonlyMap<number, CallKind> = new Map(
	(
		["read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2"] as const
	).map((name) => [
		syscalls[name],
		{
			name,
			isWrite: name.includes("write"),
			isVector: name.includes("v"),
			hasPosition: name.startsWith("p"),
			hasFlags: name.endsWith("v2"),
		},
	]),
);

/** A call that we make in the kernel's place. */
export interface Transfer {
	readonly name: string;
	/** What it was given besides the fd, for the trace. */
	readonly arguments: readonly number[];
	/** Whether it is over when the first of its buffers is. */
	readonly isOneStep: boolean;
	/** @returns what the call returns @throws Errno */
	make(memory: AddressSpace): number;
	/** What it was about, for the trace, once it has been made; undefined for a queue. */
	access(memory: AddressSpace): RegisterAccess | undefined;
}

/**
 * The transfer that a thread is stopped at.
 * @param flags of the file's open(2)
 * @returns undefined when that is for the kernel to make, or to refuse
 */
export function transferOn(file: OpenFile, flags: number, call: Notification): Transfer | undefined {
	const kind = kinds.get(call.syscall);
	if (kind === undefined) return undefined;
	const hasPosition = kind.hasPosition && !(kind.hasFlags && call.isMinusOne(3));
	if (!hasPosition) return isQueue(file) ? onQueue(file, kind, call) : undefined;
	const position = call.u64(3);
	const isRefused = (flags & O_ACCMODE) === (kind.isWrite ? O_RDONLY : O_WRONLY) || position >= POSITIONS_END;
	return isPositioned(file) && !isRefused ? atPosition(file, position, kind, call) : undefined;
}

/** The arguments besides the fd, without the half of a position that is always 0. */
function argumentsOf(kind: CallKind, call: Notification): number[] {
	const all = [call.u64(1), call.u64(2)];
	if (kind.hasPosition) all.push(kind.hasFlags && call.isMinusOne(3) ? -1 : call.u64(3));
	if (kind.hasFlags) all.push(call.u32(5));
	return all;
}

function onQueue(queue: ReadableFile, kind: CallKind, call: Notification): Transfer {
	return {
		name: kind.name,
		arguments: argumentsOf(kind, call),
		isOneStep: !kind.isVector,
		make: (memory) =>
			transferEach(piecesOf(kind, call, memory, 0), true, ({ address, length }) =>
				kind.isWrite ? queue.write(memory, address, length) : queue.read(memory, address, length),
			),
		access: () => undefined,
	};
}

function atPosition(file: PositionedFile, start: number, kind: CallKind, call: Notification): Transfer {
	let pieces: readonly Piece[] = [];
	return {
		name: kind.name,
		arguments: argumentsOf(kind, call),
		isOneStep: !kind.isVector,
		make: (memory) => {
			let position = start;
			pieces = piecesOf(kind, call, memory, start);
			return transferEach(pieces, false, ({ address, length }) => {
				const done = kind.isWrite
					? file.writeAt(memory, address, length, position)
					: file.readAt(memory, address, length, position);
				position += done;
				return done;
			});
		},
		access: (memory) => {
			const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
			const bytes = new Uint8Array(length > LARGEST_REGISTER || pieces.length !== 1 ? 0 : length);
			const isKnown = bytes.length > 0 && isRead(memory, pieces[0].address, bytes);
			return { place: file.placeAt(start), length, isWrite: kind.isWrite, bytes: isKnown ? bytes : undefined };
		},
	};
}

/** Whether all of it could be read, without waiting: the trace isn't waited for. */
function isRead(memory: AddressSpace, address: number, into: Uint8Array): boolean {
	try {
		return memory.read(address, into) === into.length;
	} catch (error) {
		if (error instanceof Later) return false;
		throw error;
	}
}

/**
 * The caller's buffers. A call with one buffer has just that, also when it is empty.
 * @throws EFAULT, EINVAL, EOPNOTSUPP
 */
function piecesOf(kind: CallKind, call: Notification, memory: AddressSpace, position: number): readonly Piece[] {
	if (!kind.isVector) {
		const length = call.u64(2);
		const piece = onePiece(call.u64(1), length);
		requirePositions(position, length);
		return [piece];
	}
	const pieces = piecesOfVector(memory, call.u64(1), call.u64(2));
	if (pieces.length === 0) return pieces;
	requirePositions(
		position,
		pieces.reduce((sum, { length }) => sum + length, 0),
	);
	const flags = kind.hasFlags ? call.u32(5) : 0;
	if (flags & ~RWF_HIPRI)
		throw new Errno("EOPNOTSUPP", `${kind.name} has the flags ${hex(flags)}, of which these files know RWF_HIPRI only`);
	return pieces;
}

/** rw_verify_area() */
function requirePositions(start: number, length: number): void {
	if (start + length >= POSITIONS_END)
		throw new Errno("EINVAL", `${length} bytes at position ${hex(start)} go beyond the last position`);
}

/**
 * do_loop_readv_writev(): piece by piece, until one isn't used up. An error counts if it is the first piece's.
 * @param isOnce whether what has been transferred can't be transferred again: then nothing is waited for after that
 */
function transferEach(pieces: readonly Piece[], isOnce: boolean, transfer: (piece: Piece) => number): number {
	let done = 0;
	for (const piece of pieces) {
		let length: number;
		try {
			length = transfer(piece);
		} catch (error) {
			const isAnEnd = error instanceof Errno || (isOnce && error instanceof Later);
			if (done === 0 || !isAnEnd) throw error;
			break;
		}
		done += length;
		if (length !== piece.length) break;
	}
	return done;
}
