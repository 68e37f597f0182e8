// read(2), write(2), readv(2) and writev(2) of an event queue, as fs/read_write.c makes them of the file's own read and write.

import type { PositionedFile, ReadableFile } from "../iommufd/caller.js";
import { type AddressSpace, copyIn, USER_ADDRESSES_END } from "../memory/address-space.js";
import { Errno, hex } from "../uapi/errno.js";
import type { Notification } from "./seccomp.js";
import { syscalls } from "./syscalls.js";

/** More is never read or written at once. */
const MAX_RW_COUNT = 0x7ffff000;
const UIO_MAXIOV = 1024;
const IOVEC_BYTES = 16;

/** A piece of a caller's memory: an address, and a number of bytes. */
interface Piece {
	readonly address: number;
	readonly length: number;
}

/** The same for a pread(2) or a pwrite(2). */
export function callAtPosition(call: Notification, file: PositionedFile, memory: AddressSpace): number {
	const { address, length } = checked({ address: call.u64(1), length: call.u64(2) });
	const position = call.u64(3);
	return call.syscall === syscalls.pread64
		? file.readAt(memory, address, length, position)
		: file.writeAt(memory, address, length, position);
}

/** Makes the call that is stopped. @returns what it returns @throws Errno */
export function callOnQueue(call: Notification, queue: ReadableFile, memory: AddressSpace): number {
	const transfer = ({ address, length }: Piece): number =>
		call.syscall === syscalls.read || call.syscall === syscalls.readv
			? queue.read(memory, address, length)
			: queue.write(memory, address, length);
	if (call.syscall === syscalls.read || call.syscall === syscalls.write)
		return transfer(checked({ address: call.u64(1), length: call.u64(2) }));
	return transferEach(readVector(memory, call.u64(1), call.u64(2)), transfer);
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
