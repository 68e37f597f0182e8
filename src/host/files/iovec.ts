// The buffers that a caller names for read(2), readv(2) and their like, and what the kernel checks of them before a file gets
// to see them. import_iovec() and import_ubuf() in lib/iov_iter.c; readv(2), "INVALID VALUES" in read(2).

import { type AddressSpace, PINNABLE_END } from "../../memory/address-space.js";
import { Errno, hex } from "../../uapi/errno.js";

/** More is never read or written by one call, in bytes. */
const MAX_RW_COUNT = 0x7ffff000;
const UIO_MAXIOV = 1024;
const IOVEC_BYTES = 16;
const SSIZE_END = 2n ** 63n;

/** A piece of a caller's memory, in bytes. */
export interface Piece {
	readonly address: number;
	readonly length: number;
}

/** The one buffer of read(2) and write(2). @throws EFAULT when it isn't in user space */
export function onePiece(address: number, length: number): Piece {
	requireUserSpace(address, length);
	return { address, length: Math.min(length, MAX_RW_COUNT) };
}

/**
 * The buffers of a struct iovec array, as far as they are read or written: empty ones are left out, but the first.
 * @param count of the structs; only 32 bits of it count
 * @returns none when all of them are empty
 * @throws EINVAL for too many or a negative length, EFAULT for what isn't in user space
 */
export function piecesOfVector(memory: AddressSpace, address: number, count: number): readonly Piece[] {
	const structs = count % 2 ** 32;
	if (structs > UIO_MAXIOV) throw new Errno("EINVAL", `${structs} is more than IOV_MAX, ${UIO_MAXIOV}`);
	const all = readVector(memory, address, structs);
	if (all.length === 1) {
		// Of a single one Linux looks only at what it will use.
		const [{ address, length }] = all;
		const used = Math.min(length, MAX_RW_COUNT);
		requireUserSpace(address, used);
		return used === 0 ? [] : [{ address, length: used }];
	}
	let left = MAX_RW_COUNT;
	const pieces = all.map(({ address, length }) => {
		requireUserSpace(address, length);
		const used = Math.min(length, left);
		left -= used;
		return { address, length: used };
	});
	return left === MAX_RW_COUNT ? [] : pieces.filter(({ length }, i) => length > 0 || i === 0);
}

function readVector(memory: AddressSpace, address: number, count: number): Piece[] {
	const bytes = new Uint8Array(count * IOVEC_BYTES);
	const readable = memory.read(address, bytes);
	const words = new DataView(bytes.buffer);
	const pieces: Piece[] = [];
	for (let at = 0; at < bytes.length; at += IOVEC_BYTES) {
		if (at + IOVEC_BYTES > readable)
			throw new Errno("EFAULT", `struct iovec ${pieces.length} at ${hex(address + at)} can't be read`, "data-pointer");
		const length = words.getBigUint64(at + 8, true);
		if (length >= SSIZE_END) throw new Errno("EINVAL", `iov_len ${hex(length)} of buffer ${pieces.length} is negative`);
		pieces.push({ address: Number(words.getBigUint64(at, true)), length: Number(length) });
	}
	return pieces;
}

/** access_ok() */
function requireUserSpace(address: number, length: number): void {
	if (address + length > PINNABLE_END)
		throw new Errno("EFAULT", `${length} bytes at ${hex(address)} are not in user space`, "user-address");
}
