// How a command's struct comes from the caller and goes back: the rules of extensible structs, once for all commands.
// They are those of iommufd_fops_ioctl (drivers/iommu/iommufd/main.c) and copy_struct_from_user (linux/uaccess.h); the
// order of the checks decides which errno wins.

import { Errno, hex } from "./errno.js";
import { worked } from "./slices.js";
import { type AnyCommand, forbiddenBitsOf } from "./struct.js";
import { type FieldValue, type PlacedField, readField } from "./view.js";

/** The caller's memory, as far as copying goes. An AddressSpace is one. */
export interface UserMemory {
	/** Copies from `address` (bytes) on; returns how many bytes could be read before the first that can't. */
	read(address: number, into: Uint8Array): number;
	/** The same, writing. */
	write(address: number, from: Uint8Array): number;
}

const firstWord = new Uint8Array(4);
/** What a struct from the future is looked through with. */
const tail = new Uint8Array(1024 * 1024);
const tailWords = new Uint32Array(tail.buffer);

/**
 * Reads the caller's struct into `command.view`, where it stays until the next call.
 * @param address where the caller says that its struct is, in bytes
 * @returns the size that the caller gave, in bytes: what `respond` needs to know
 * @throws EFAULT when the struct, as long as it says it is, can't be read
 * @throws EINVAL when it is too short for the fields that every caller must have
 * @throws E2BIG when it is longer than ours and has something in the part that we don't know
 */
export function readCommand(memory: UserMemory, address: number, command: AnyCommand): number {
	const { bytes } = command.view;
	const { size } = command;
	// Usually this is the whole call. A caller with a shorter struct gives bytes that aren't meant, or fewer than asked for.
	const got = memory.read(address, bytes);
	if (got < 4) throw new Errno("EFAULT", `${command.name}: no struct can be read at ${hex(address)}`, "struct-pointer");
	const callerSize = command.words[0];
	if (callerSize === size && got === size) return size;

	if (callerSize < command.minimumSize) throw tooShort(command, callerSize);
	if (callerSize > size) requireZeroes(memory, address, size, callerSize, command);
	if (got < Math.min(callerSize, size))
		throw new Errno(
			"EFAULT",
			`${command.name}: of the ${callerSize} bytes at ${hex(address)} only ${got} can be read`,
			"struct-pointer",
		);
	bytes.fill(0, callerSize);
	return callerSize;
}

/**
 * Reads no more than the size at the start of a struct, because Linux does that before it looks whether it knows the
 * command: an unknown command with a bad pointer is EFAULT, not ENOTTY.
 * @throws EFAULT
 */
export function readSize(memory: UserMemory, address: number): number {
	if (memory.read(address, firstWord) !== 4)
		throw new Errno("EFAULT", `no struct can be read at ${hex(address)}`, "struct-pointer");
	return new Uint32Array(firstWord.buffer)[0];
}

/**
 * Reads a VFIO struct into `command.view`. VFIO copies as much as every caller must have and doesn't look at the rest;
 * what came later is read with readThrough when a flag says that it is there. (BIND_IOMMUFD goes by the rules of
 * readCommand.)
 * @returns argsz, in bytes
 * @throws EFAULT when the minimum can't be read, EINVAL when argsz is below it
 */
export function readVfioCommand(memory: UserMemory, address: number, command: AnyCommand): number {
	const { bytes } = command.view;
	bytes.fill(0);
	const got = memory.read(address, bytes.subarray(0, command.minimumSize));
	if (got < command.minimumSize)
		throw new Errno(
			"EFAULT",
			`${command.name}: the ${command.minimumSize} bytes at ${hex(address)} can't be read`,
			"struct-pointer",
		);
	const argsz = command.words[0];
	if (argsz < command.minimumSize) throw tooShort(command, argsz);
	return argsz;
}

/**
 * Reads on, through the end of the field `name`, which not every caller has.
 * @param argsz what readVfioCommand returned
 * @throws EINVAL when argsz ends before it, EFAULT when it can't be read
 */
export function readThrough(
	memory: UserMemory,
	address: number,
	command: AnyCommand,
	name: string,
	argsz: number,
): void {
	const { cName, offset, size } = fieldOf(command, name);
	const end = offset + size;
	if (argsz < end)
		throw new Errno(
			"EINVAL",
			`${command.name}: flags ask for ${cName}, but argsz ${argsz} ends before byte ${end}`,
			"argsz",
		);
	const more = command.view.bytes.subarray(command.minimumSize, end);
	if (memory.read(address + command.minimumSize, more) !== more.length)
		throw new Errno(
			"EFAULT",
			`${command.name}: ${cName} can't be read from the struct at ${hex(address)}`,
			"struct-pointer",
		);
}

/**
 * The checks that Linux's handlers do first: no unknown flag, nothing in what is reserved. Call it before the handler;
 * fields that are marked checkedByHandler are left to it.
 * @throws EOPNOTSUPP, or EINVAL for VFIO
 */
export function checkFields(command: AnyCommand): void {
	const { words, forbidden } = command;
	for (let i = 0; i < forbidden.length; i++) {
		if ((words[forbidden[i].word] & forbidden[i].mask) !== 0) throw refusal(command);
	}
}

/**
 * Copies `command.view` back to the caller, as much of it as the caller has room for.
 * @param callerSize what readCommand returned
 * @throws EFAULT
 */
export function respond(memory: UserMemory, address: number, command: AnyCommand, callerSize: number): void {
	const { bytes } = command.view;
	const answer = callerSize < bytes.length ? bytes.subarray(0, callerSize) : bytes;
	if (memory.write(address, answer) !== answer.length)
		throw new Errno(
			"EFAULT",
			`${command.name}: the answer can't be written to the struct at ${hex(address)}`,
			"answer-pointer",
		);
}

/**
 * Copies one field back and nothing else, which is how IOMMU_OPTION and VFIO's bind and attach answer.
 * @throws EFAULT
 */
export function respondField(memory: UserMemory, address: number, command: AnyCommand, name: string): void {
	const { cName, offset, size } = fieldOf(command, name);
	const answer = command.view.bytes.subarray(offset, offset + size);
	if (memory.write(address + offset, answer) !== answer.length)
		throw new Errno(
			"EFAULT",
			`${command.name}: ${cName} can't be written to the struct at ${hex(address)}`,
			"answer-pointer",
		);
}

function fieldOf(command: AnyCommand, name: string): PlacedField {
	return command.fields.find((field) => field.name === name)!;
}

/** Looks through the bytes from `from` to `to` of a struct, in order, because what comes first decides the errno. */
function requireZeroes(memory: UserMemory, address: number, from: number, to: number, command: AnyCommand): void {
	for (let at = from; at < to; at += tail.length) {
		const chunk = to - at < tail.length ? tail.subarray(0, to - at) : tail;
		const got = memory.read(address + at, chunk);
		const unknown = firstNonZero(got);
		if (unknown >= 0)
			throw new Errno(
				"E2BIG",
				`byte ${at + unknown} of the struct is ${hex(chunk[unknown])}, but ${command.name} is known up to byte ${from} only: what follows must be 0`,
				"newer-struct",
			);
		worked(chunk.length >> 4);
		if (got < chunk.length)
			throw new Errno(
				"EFAULT",
				`${command.name}: size says ${to} bytes, but byte ${at + got} can't be read`,
				"struct-pointer",
			);
	}
}

/** The first byte of `tail` that isn't 0, -1 if the first `length` are. A caller may ask for 4 GiB, so it goes by words. */
function firstNonZero(length: number): number {
	let word = 0;
	while (word < length >>> 2 && tailWords[word] === 0) word++;
	for (let at = word * 4; at < length; at++) if (tail[at] !== 0) return at;
	return -1;
}

function tooShort(command: AnyCommand, callerSize: number): Errno {
	const [sizeField] = command.fields;
	const required = command.fields.findLast((field) => field.offset + field.size === command.minimumSize);
	return new Errno(
		"EINVAL",
		`${command.name}: ${sizeField.cName} says ${callerSize} bytes, but up to ${required?.cName} it takes ${command.minimumSize}`,
		"struct-size",
	);
}

/** Which field had what it may not have, and what it may. */
function refusal(command: AnyCommand): Errno {
	for (const field of command.fields) {
		if (field.forbids === "nothing" || field.checkedByHandler) continue;
		const refused = refusedBits(field, readField(command.view, field));
		if (refused !== 0n) return refusalOf(command, field, hex(refused));
	}
	throw new Error(`${command.name} has forbidden bits in no field`);
}

/** What a field has that it may not have. */
function refusedBits(field: PlacedField, value: FieldValue): bigint {
	if (typeof value === "object") return BigInt(Array.from<number | bigint>(value).find((element) => element) ?? 0);
	return BigInt(value) & BigInt.asUintN(field.size * 8, BigInt(forbiddenBitsOf(field)));
}

/** @param refused the bits, or the element of an array, that can't be there */
function refusalOf({ name, refusal }: AnyCommand, field: PlacedField, refused: string): Errno {
	const { cName } = field;
	if (field.forbids === "any bit")
		return new Errno(refusal, `${name}: ${cName} is ${refused}: it is reserved and must be 0`, "not-cleared");
	const known = Object.keys(field.names).join(", ");
	if (known === "")
		return new Errno(refusal, `${name}: ${cName} is ${refused}, and this call has no flags`, "unknown-flag");
	return new Errno(refusal, `${name}: ${cName} has ${refused}, which is none of ${known}`, "unknown-flag");
}
