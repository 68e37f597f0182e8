// read(2), write(2) and their like on our files, as fs/read_write.c makes them of a file's own read and write: those of event
// queues, which have no positions, and those of devices, which have nothing else.

import type { OpenFile, PositionedFile, ReadableFile } from "../../files/open-file.js";
import { type AddressSpace, copyIn, USER_ADDRESSES_END } from "../../memory/address-space.js";
import type { RegisterAccess } from "../../trace/event.js";
import { Errno, hex } from "../../uapi/errno.js";
import { O_ACCMODE, O_RDONLY, O_WRONLY } from "../linux/flags.js";
import { syscalls } from "../linux/syscalls.js";
import type { Notification } from "../trap/seccomp.js";
import { isPositioned, isQueue } from "./queues.js";

/** More is never read or written at once. */
const MAX_RW_COUNT = 0x7ffff000;
const UIO_MAXIOV = 1024;
const IOVEC_BYTES = 16;
/** A position is signed. */
const POSITIONS_END = 2 ** 63;
/** What the trace shows of an access: no register has more bytes. */
const LARGEST_REGISTER = 8;

interface CallKind {
	readonly name: string;
	readonly isWrite: boolean;
	/** Whether it takes an array of buffers. */
	readonly isVector: boolean;
	readonly hasPosition: boolean;
}

const kinds: ReadonlyMap<number, CallKind> = new Map(
	(["read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev"] as const).map((name) => [
		syscalls[name],
		{ name, isWrite: name.includes("write"), isVector: name.endsWith("v"), hasPosition: name.startsWith("p") },
	]),
);

/** A piece of a caller's memory: an address, and a number of bytes. */
interface Piece {
	readonly address: number;
	readonly length: number;
}

/** A call that we make in the kernel's place. */
export interface Transfer {
	readonly name: string;
	/** What it was given besides the fd, for the trace. */
	readonly arguments: readonly number[];
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
	if (!kind.hasPosition) return isQueue(file) ? onQueue(file, kind, call) : undefined;
	const position = call.u64(3);
	const isRefused = (flags & O_ACCMODE) === (kind.isWrite ? O_RDONLY : O_WRONLY) || position >= POSITIONS_END;
	return isPositioned(file) && !isRefused ? atPosition(file, position, kind, call) : undefined;
}

function onQueue(queue: ReadableFile, kind: CallKind, call: Notification): Transfer {
	return {
		name: kind.name,
		arguments: [call.u64(1), call.u64(2)],
		make: (memory) =>
			transferEach(piecesOf(kind, call, memory), ({ address, length }) =>
				kind.isWrite ? queue.write(memory, address, length) : queue.read(memory, address, length),
			),
		access: () => undefined,
	};
}

function atPosition(file: PositionedFile, start: number, kind: CallKind, call: Notification): Transfer {
	let pieces: readonly Piece[] = [];
	return {
		name: kind.name,
		arguments: [call.u64(1), call.u64(2), start],
		make: (memory) => {
			let position = start;
			pieces = piecesOf(kind, call, memory);
			return transferEach(pieces, ({ address, length }) => {
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
			const isKnown = bytes.length > 0 && memory.read(pieces[0].address, bytes) === length;
			return { place: file.placeAt(start), length, isWrite: kind.isWrite, bytes: isKnown ? bytes : undefined };
		},
	};
}

/** The caller's buffers. A call with one buffer has just that, also when it is empty. */
function piecesOf(kind: CallKind, call: Notification, memory: AddressSpace): readonly Piece[] {
	if (kind.isVector) return readVector(memory, call.u64(1), call.u64(2));
	return [checked({ address: call.u64(1), length: call.u64(2) })];
}

/** do_loop_readv_writev(): piece by piece, until one isn't used up. An error counts if it is the first piece's. */
function transferEach(pieces: readonly Piece[], transfer: (piece: Piece) => number): number {
	let done = 0;
	for (const piece of pieces) {
		let length: number;
		try {
			length = transfer(piece);
		} catch (error) {
			if (done === 0 || !(error instanceof Errno)) throw error;
			break;
		}
		done += length;
		if (length !== piece.length) break;
	}
	return done;
}

function readVector(memory: AddressSpace, address: number, count: number): Piece[] {
	if (count > UIO_MAXIOV) throw new Errno("EINVAL", `${count} is more than IOV_MAX, ${UIO_MAXIOV}`);
	const bytes = new Uint8Array(count * IOVEC_BYTES);
	copyIn(memory, address, bytes, "an array of struct iovec");
	const words = new DataView(bytes.buffer);
	const pieces = Array.from({ length: count }, (_, i) =>
		checked({
			address: Number(words.getBigUint64(i * IOVEC_BYTES, true)),
			length: Number(words.getBigUint64(i * IOVEC_BYTES + 8, true)),
		}),
	);
	return pieces.every(({ length }) => length === 0) ? [] : pieces;
}

/** access_ok(), and no more than can be had at once. */
function checked({ address, length }: Piece): Piece {
	if (address + length > USER_ADDRESSES_END)
		throw new Errno("EFAULT", `${length} bytes at ${hex(address)} are not in user space`);
	return { address, length: Math.min(length, MAX_RW_COUNT) };
}
