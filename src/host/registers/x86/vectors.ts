// Moves between memory and XMM, YMM, ZMM or mask registers, and stores of 64 bytes. Intel SDM volume 2

import type { Memory } from "../instruction.js";
import type { MemoryOperand, Operand, VectorOperand, X86Operation } from "./decode.js";
import { ARITHMETIC } from "./flags.js";
import type { Action } from "./integer.js";
import { addressOf, read } from "./operands.js";
import { ZF } from "./registers.js";
import { VECTOR_BYTES } from "./vector-registers.js";

const scratch = new Uint8Array(VECTOR_BYTES);
const other = new Uint8Array(VECTOR_BYTES);

/** Moves of a whole register, or of what an instruction says in its memory's size. Their names with V before them are the same. */
const WHOLE = [
	"Movaps",
	"Movups",
	"Movapd",
	"Movupd",
	"Movdqa",
	"Movdqu",
	"Lddqu",
	"Movntdqa",
	"Movntps",
	"Movntpd",
	"Movntdq",
];
/** Of one element, which clear what is above it in the lower 16 bytes. */
const SCALAR = ["Movss", "Movsd", "Movd", "Movq"];
/** With masks: the size of an element. */
const MASKED: { readonly [mnemonic: string]: number | undefined } = {
	Vmovdqu8: 1,
	Vmovdqu16: 2,
	Vmovdqu32: 4,
	Vmovdqu64: 8,
	Vmovdqa32: 4,
	Vmovdqa64: 8,
	Vmovups: 4,
	Vmovaps: 4,
	Vmovupd: 8,
	Vmovapd: 8,
	Vmovss: 4,
	Vmovsd: 8,
};
/** Of one half of the lower 16 bytes: where it starts. */
const HALVES: { readonly [mnemonic: string]: number | undefined } = { Movlps: 0, Movlpd: 0, Movhps: 8, Movhpd: 8 };
/** To and from one element, chosen by an immediate. */
const ELEMENTS: { readonly [mnemonic: string]: number | undefined } = {
	Pextrb: 1,
	Pextrw: 2,
	Pextrd: 4,
	Pextrq: 8,
	Extractps: 4,
	Pinsrb: 1,
	Pinsrw: 2,
	Pinsrd: 4,
	Pinsrq: 8,
};
/** Parts of a wide register, chosen by an immediate. */
const PARTS = /^V(extract|insert)[fi](?:128|32x4|64x2|32x8|64x4)$/;

/** @returns undefined where this isn't an instruction of these */
export function vectorAction(operation: X86Operation): Action | undefined {
	return maskRegister(operation) ?? wideStore(operation) ?? vectorMove(operation);
}

function vectorMove(operation: X86Operation): Action | undefined {
	const { mnemonic, operands, encoding, mask } = operation;
	const isExtended = encoding !== "legacy";
	const name = legacyName(operation);
	const [first, second, third] = operands;
	if (mask !== undefined) {
		const element = MASKED[mnemonic];
		if (element === undefined || second === undefined || third !== undefined) return undefined;
		return withMask(first, second, element, mask);
	}
	const isWhole = WHOLE.includes(name) || (isExtended && MASKED[mnemonic] !== undefined && !SCALAR.includes(name));
	if ((isWhole || SCALAR.includes(name)) && third === undefined) {
		if (isVector(first) && isMemory(second)) return load(first, second, isExtended, SCALAR.includes(name));
		if (isMemory(first) && isVector(second)) return storePart(first, second, 0, first.size);
	}
	const half = HALVES[name];
	if (half !== undefined) {
		if (isMemory(first) && isVector(second)) return storePart(first, second, half, 8);
		const from = third ?? second;
		const base = third === undefined ? first : second;
		if (isVector(first) && isVector(base) && isMemory(from)) return insert(first, base, from, half, 8, isExtended);
	}
	return elementMove(operation, isExtended);
}

/** Without the V in front that all have with VEX and EVEX. */
function legacyName({ mnemonic, encoding }: X86Operation): string {
	return encoding === "legacy" ? mnemonic : mnemonic[1].toUpperCase() + mnemonic.slice(2);
}

function elementMove(operation: X86Operation, isExtended: boolean): Action | undefined {
	const { mnemonic, operands } = operation;
	const chosen = operands.at(-1);
	if (chosen?.kind !== "immediate") return undefined;
	const part = mnemonic.match(PARTS);
	const size = ELEMENTS[legacyName(operation)] ?? (part ? memoryIn(operands)?.size : undefined);
	if (size === undefined) return undefined;
	const [first, second, third] = operands;
	const at = (whole: number) => (Number(chosen.value & 0xffn) % (whole / size)) * size;
	if (isMemory(first) && isVector(second)) return storePart(first, second, at(second.size), size);
	const base = isExtended ? second : first;
	const from = isExtended ? third : second;
	if (!isVector(first) || !isVector(base) || !isMemory(from)) return undefined;
	return insert(first, base, from, at(first.size), size, isExtended);
}

function load(to: VectorOperand, from: MemoryOperand, clearsAbove: boolean, isScalar: boolean): Action {
	return (registers, memory) => {
		loadBytes(memory, addressOf(from, registers), other, from.size);
		registers.vectors.get(to.number, scratch);
		if (clearsAbove) scratch.fill(0);
		else if (isScalar) scratch.fill(0, 0, 16);
		scratch.set(other.subarray(0, from.size));
		registers.vectors.set(to.number, scratch);
	};
}

function storePart(to: MemoryOperand, from: VectorOperand, at: number, size: number): Action {
	return (registers, memory) => {
		registers.vectors.get(from.number, scratch);
		storeBytes(memory, addressOf(to, registers), scratch.subarray(at, at + size));
	};
}

/** What comes from memory goes into another register's value. */
function insert(
	to: VectorOperand,
	base: VectorOperand,
	from: MemoryOperand,
	at: number,
	size: number,
	clearsAbove: boolean,
): Action {
	return (registers, memory) => {
		loadBytes(memory, addressOf(from, registers), other, size);
		registers.vectors.get(base.number, scratch);
		if (clearsAbove) scratch.fill(0, to.size);
		scratch.set(other.subarray(0, size), at);
		registers.vectors.set(to.number, scratch);
	};
}

/** Elements whose bit isn't set are neither loaded nor stored. */
function withMask(
	to: Operand,
	from: Operand,
	element: number,
	{ number, zeroes }: { readonly number: number; readonly zeroes: boolean },
): Action | undefined {
	const vector = isVector(to) ? to : isVector(from) ? from : undefined;
	const place = isMemory(to) ? to : isMemory(from) ? from : undefined;
	if (vector === undefined || place === undefined) return undefined;
	return (registers, memory) => {
		const mask = registers.vectors.getMask(number);
		const address = addressOf(place, registers);
		registers.vectors.get(vector.number, scratch);
		scratch.fill(0, isMemory(from) ? Math.max(16, vector.size) : VECTOR_BYTES);
		for (let at = 0; at < place.size; at += element) {
			const isChosen = (mask >> BigInt(at / element)) & 1n;
			const there = BigInt.asUintN(64, address + BigInt(at));
			if (isMemory(to)) {
				if (isChosen) storeBytes(memory, there, scratch.subarray(at, at + element));
			} else if (isChosen) {
				loadBytes(memory, there, other, element);
				scratch.set(other.subarray(0, element), at);
			} else if (zeroes) scratch.fill(0, at, at + element);
		}
		if (isMemory(to)) return;
		scratch.fill(0, place.size); // what is above a single element, too
		registers.vectors.set(vector.number, scratch);
	};
}

// --- Mask registers ---

const MASK_BYTES: { readonly [mnemonic: string]: number | undefined } = { Kmovb: 1, Kmovw: 2, Kmovd: 4, Kmovq: 8 };

function maskRegister({ mnemonic, operands: [to, from] }: X86Operation): Action | undefined {
	const size = MASK_BYTES[mnemonic];
	if (size === undefined) return undefined;
	if (to.kind === "mask" && isMemory(from))
		return (registers, memory) => registers.vectors.setMask(to.number, memory.load(addressOf(from, registers), size));
	if (isMemory(to) && from.kind === "mask")
		return (registers, memory) =>
			memory.store(addressOf(to, registers), size, BigInt.asUintN(8 * size, registers.vectors.getMask(from.number)));
	return undefined;
}

// --- 64 bytes at once ---

/**
 * MOVDIR64B and ENQCMD: to where a register says, from memory. ENQCMD says in ZF that the device hasn't taken it: no device here has a
 * register that takes it, so nothing is stored.
 */
function wideStore({ mnemonic, operands: [to, from] }: X86Operation): Action | undefined {
	const isEnqueue = mnemonic === "Enqcmd";
	if (!isEnqueue && mnemonic !== "Movdir64b") return undefined;
	if (to.kind !== "general" || !isMemory(from)) return undefined;
	return (registers, memory) => {
		loadBytes(memory, addressOf(from, registers), scratch, 64);
		if (isEnqueue) registers.flags = (registers.flags & ~ARITHMETIC) | ZF;
		else memory.storeBlock(read(to, to.size, registers, memory), scratch.subarray(0, 64));
	};
}

// --- Bytes ---

function isVector(operand: Operand | undefined): operand is VectorOperand {
	return operand?.kind === "vector";
}

function isMemory(operand: Operand | undefined): operand is MemoryOperand {
	return operand?.kind === "memory";
}

function memoryIn(operands: readonly Operand[]): MemoryOperand | undefined {
	return operands.find(isMemory);
}

/** In pieces of 8 bytes, as wide as a device's registers are. */
function loadBytes(memory: Memory, address: bigint, into: Uint8Array, size: number): void {
	for (let at = 0; at < size; at += 8) {
		const length = Math.min(8, size - at);
		let value = memory.load(BigInt.asUintN(64, address + BigInt(at)), length);
		for (let byte = 0; byte < length; byte++, value >>= 8n) into[at + byte] = Number(value & 0xffn);
	}
}

function storeBytes(memory: Memory, address: bigint, from: Uint8Array): void {
	for (let at = 0; at < from.length; at += 8) {
		const length = Math.min(8, from.length - at);
		let value = 0n;
		for (let byte = length - 1; byte >= 0; byte--) value = (value << 8n) | BigInt(from[at + byte]);
		memory.store(BigInt.asUintN(64, address + BigInt(at)), length, value);
	}
}
