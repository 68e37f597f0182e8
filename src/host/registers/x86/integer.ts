// Instructions on general registers that load from memory or store to it. Intel SDM volume 2
//
// A load comes before a store, and registers change only when both were made, so that one that faults has done nothing.

import type { Memory } from "../instruction.js";
import type { MemoryOperand, Operand, X86Operation } from "./decode.js";
import { ARITHMETIC, additionFlags, holds, resultFlags, subtractionFlags, truncated } from "./flags.js";
import { addressOf, type IntegerOperand, isInteger, read, setGeneral, write } from "./operands.js";
import { AF, CF, OF, PF, RAX, RBX, RCX, RDX, RSP, SF, type X86Registers, ZF } from "./registers.js";

export type Action = (registers: X86Registers, memory: Memory) => void;

const LOGIC = ARITHMETIC;
const ALL_BUT_CARRY = ARITHMETIC & ~CF;

/** @returns undefined where this isn't an instruction of these */
export function integerAction(operation: X86Operation): Action | undefined {
	const { mnemonic, operands } = operation;
	if (operation.encoding !== "legacy" || !operands.every(isInteger)) return undefined;
	const size = sizeOf(operands);
	const [first, second, third] = operands;
	if (second === undefined) return first && unary(operation, first, size);
	if (third !== undefined) return mnemonic === "Imul" ? multiply(first, second, third, size) : undefined;
	if (mnemonic.startsWith("Cmov")) return moveIf(operation.condition, first, second, size);
	return (moves[mnemonic] ?? arithmetic[mnemonic] ?? bits[mnemonic] ?? shifts[mnemonic])?.(first, second, size);
}

/** What the operands have in common, in bytes: a register's size, or the memory's. */
function sizeOf(operands: readonly IntegerOperand[]): number {
	for (const operand of operands) if (operand.kind !== "immediate") return operand.size;
	return 0;
}

function own(operand: Operand, size: number): number {
	return operand.kind === "memory" || operand.kind === "general" ? operand.size : size;
}

type Binary = (first: IntegerOperand, second: IntegerOperand, size: number) => Action;

function setFlags(registers: X86Registers, flags: bigint, which: bigint): void {
	registers.flags = (registers.flags & ~which) | (flags & which);
}

// --- Moves ---

const move: Binary = (to, from, size) => (registers, memory) =>
	write(to, size, read(from, size, registers, memory), registers, memory);

const moveSigned: Binary = (to, from, size) => (registers, memory) => {
	const value = BigInt.asIntN(8 * own(from, size), read(from, own(from, size), registers, memory));
	write(to, size, truncated(value, size), registers, memory);
};

const moves: { readonly [mnemonic: string]: Binary | undefined } = {
	Mov: move,
	Movnti: move,
	Movdiri: move,
	Movzx: (to, from, size) => (registers, memory) =>
		write(to, size, read(from, own(from, size), registers, memory), registers, memory),
	Movsx: moveSigned,
	Movsxd: moveSigned,
	Movbe: (to, from, size) => (registers, memory) =>
		write(to, size, swapped(read(from, size, registers, memory), size), registers, memory),
	// The memory is stored to first, so that a fault leaves the register.
	Xchg: (one, other, size) => (registers, memory) => {
		const [place, register] = one.kind === "memory" ? [one, other] : [other, one];
		const value = read(place, size, registers, memory);
		write(place, size, read(register, size, registers, memory), registers, memory);
		write(register, size, value, registers, memory);
	},
	Xadd: (to, from, size) => (registers, memory) => {
		const a = read(to, size, registers, memory);
		const b = read(from, size, registers, memory);
		const sum = truncated(a + b, size);
		write(to, size, sum, registers, memory);
		write(from, size, a, registers, memory);
		setFlags(registers, additionFlags(a, b, sum, size), ARITHMETIC);
	},
	Cmpxchg: (to, from, size) => (registers, memory) => {
		const found = read(to, size, registers, memory);
		const wanted = truncated(registers.get(RAX), size);
		const isEqual = found === wanted;
		// The bus sees a write cycle in any case.
		write(to, size, isEqual ? read(from, size, registers, memory) : found, registers, memory);
		if (!isEqual) setGeneral({ kind: "general", number: RAX, size, isHighByte: false }, size, found, registers);
		setFlags(registers, subtractionFlags(wanted, found, truncated(wanted - found, size), size), ARITHMETIC);
	},
};

function swapped(value: bigint, size: number): bigint {
	let result = 0n;
	for (let at = 0; at < size; at++) result = (result << 8n) | ((value >> BigInt(8 * at)) & 0xffn);
	return result;
}

/** The load is made whatever the condition; so are the upper 32 bits cleared. */
function moveIf(condition: string, to: IntegerOperand, from: IntegerOperand, size: number): Action {
	return (registers, memory) => {
		const value = read(from, size, registers, memory);
		const isMoved = holds(condition, registers.flags);
		write(to, size, isMoved ? value : read(to, size, registers, memory), registers, memory);
	};
}

// --- Arithmetic ---

type Compute = (a: bigint, b: bigint, size: number, carry: bigint) => { result: bigint; flags: bigint };

const add: Compute = (a, b, size, carry) => {
	const result = truncated(a + b + carry, size);
	return { result, flags: additionFlags(a, b, result, size, carry) };
};
const subtract: Compute = (a, b, size, borrow) => {
	const result = truncated(a - b - borrow, size);
	return { result, flags: subtractionFlags(a, b, result, size, borrow) };
};
const logic =
	(compute: (a: bigint, b: bigint) => bigint): Compute =>
	(a, b, size) => {
		const result = compute(a, b);
		return { result, flags: resultFlags(result, size) };
	};
const and = logic((a, b) => a & b);

function binary(compute: Compute, { withCarry = false, isStored = true } = {}): Binary {
	return (to, from, size) => (registers, memory) => {
		const a = read(to, size, registers, memory);
		const b = read(from, size, registers, memory);
		const { result, flags } = compute(a, b, size, withCarry && registers.flags & CF ? 1n : 0n);
		if (isStored) write(to, size, result, registers, memory);
		setFlags(registers, flags, LOGIC);
	};
}

const arithmetic: { readonly [mnemonic: string]: Binary | undefined } = {
	Add: binary(add),
	Adc: binary(add, { withCarry: true }),
	Sub: binary(subtract),
	Sbb: binary(subtract, { withCarry: true }),
	Cmp: binary(subtract, { isStored: false }),
	And: binary(and),
	Or: binary(logic((a, b) => a | b)),
	Xor: binary(logic((a, b) => a ^ b)),
	Test: binary(and, { isStored: false }),
	Imul: (to, from, size) => multiply(to, to, from, size),
};

/** Of two or three operands; the flags besides CF and OF are undefined. */
function multiply(to: IntegerOperand, one: IntegerOperand, other: IntegerOperand, size: number): Action {
	return (registers, memory) => {
		const a = BigInt.asIntN(8 * size, read(one, size, registers, memory));
		const b = BigInt.asIntN(8 * size, read(other, size, registers, memory));
		const isWhole = BigInt.asIntN(8 * size, a * b) === a * b;
		write(to, size, truncated(a * b, size), registers, memory);
		setFlags(registers, isWhole ? 0n : CF | OF, CF | OF);
	};
}

// --- One operand ---

function unary(operation: X86Operation, operand: IntegerOperand, size: number): Action | undefined {
	const { mnemonic, condition } = operation;
	if (mnemonic.startsWith("Set"))
		return (registers, memory) => write(operand, 1, holds(condition, registers.flags) ? 1n : 0n, registers, memory);
	return operand.kind === "memory" ? unaries[mnemonic]?.(operand, size) : undefined;
}

function changing(
	compute: (value: bigint, size: number) => { result: bigint; flags: bigint },
	which: bigint,
): (operand: MemoryOperand, size: number) => Action {
	return (operand, size) => (registers, memory) => {
		const address = addressOf(operand, registers);
		const { result, flags } = compute(memory.load(address, size), size);
		memory.store(address, size, result);
		setFlags(registers, flags, which);
	};
}

const unaries: { readonly [mnemonic: string]: ((operand: MemoryOperand, size: number) => Action) | undefined } = {
	Inc: changing((value, size) => add(value, 1n, size, 0n), ALL_BUT_CARRY),
	Dec: changing((value, size) => subtract(value, 1n, size, 0n), ALL_BUT_CARRY),
	Neg: changing((value, size) => subtract(0n, value, size, 0n), ARITHMETIC),
	Not: changing((value, size) => ({ result: truncated(~value, size), flags: 0n }), 0n),
	Push: (operand, size) => (registers, memory) => {
		const value = read(operand, size, registers, memory);
		const top = truncated(registers.get(RSP) - BigInt(size), 8);
		memory.store(top, size, value);
		registers.set(RSP, top);
	},
	// The address is computed after rsp has moved.
	Pop: (operand, size) => (registers, memory) => {
		const top = registers.get(RSP);
		const value = memory.load(top, size);
		registers.set(RSP, truncated(top + BigInt(size), 8));
		try {
			memory.store(addressOf(operand, registers), size, value);
		} catch (fault) {
			registers.set(RSP, top);
			throw fault;
		}
	},
	Mul: wide((value) => value, false),
	Imul: wide((value, size) => BigInt.asIntN(8 * size, value), true),
	Cmpxchg8b: (operand) => compareExchangeTwo(operand, 4),
	Cmpxchg16b: (operand) => compareExchangeTwo(operand, 8),
};

/** The accumulator times the operand, to twice the size. */
function wide(extend: (value: bigint, size: number) => bigint, isSigned: boolean) {
	return (operand: MemoryOperand, size: number): Action =>
		(registers, memory) => {
			const product =
				extend(read(operand, size, registers, memory), size) * extend(truncated(registers.get(RAX), size), size);
			const bits = BigInt(8 * size);
			if (size === 1) setGeneral(general(RAX, 2), 2, truncated(product, 2), registers);
			else {
				setGeneral(general(RAX, size), size, truncated(product, size), registers);
				setGeneral(general(RDX, size), size, truncated(product >> bits, size), registers);
			}
			const fits = isSigned ? BigInt.asIntN(8 * size, product) === product : product >> bits === 0n;
			setFlags(registers, fits ? 0n : CF | OF, CF | OF);
		};
}

const general = (number: number, size: number) => ({ kind: "general", number, size, isHighByte: false }) as const;

/** rdx:rax with memory of twice the size; in two accesses, as no register is that wide. */
function compareExchangeTwo(operand: MemoryOperand, half: number): Action {
	return (registers, memory) => {
		const low = addressOf(operand, registers);
		const high = truncated(low + BigInt(half), 8);
		const found = [memory.load(low, half), memory.load(high, half)];
		const isEqual = [RAX, RDX].every((number, at) => truncated(registers.get(number), half) === found[at]);
		const replacing = isEqual ? [RBX, RCX].map((number) => truncated(registers.get(number), half)) : found;
		memory.store(low, half, replacing[0]);
		memory.store(high, half, replacing[1]);
		if (!isEqual) {
			registers.set(RAX, found[0]);
			registers.set(RDX, found[1]);
		}
		setFlags(registers, isEqual ? ZF : 0n, ZF);
	};
}

// --- Bits ---

/** A bit's number may lie outside of a memory operand, if it comes from a register: it is signed then, and counts from there. */
function onBit(change: ((word: bigint, bit: bigint) => bigint) | undefined): Binary {
	return (to, from, size) => (registers, memory) => {
		if (to.kind !== "memory") return;
		const bits = BigInt(8 * size);
		const number = read(from, size, registers, memory);
		const signed = from.kind === "general" ? BigInt.asIntN(8 * size, number) : number % bits;
		const bit = BigInt.asUintN(64, signed) % bits;
		const address = truncated(addressOf(to, registers) + ((signed - bit) / bits) * BigInt(size), 8);
		const word = memory.load(address, size);
		if (change !== undefined) memory.store(address, size, truncated(change(word, 1n << bit), size));
		setFlags(registers, (word >> bit) & 1n ? CF : 0n, CF);
	};
}

const bits: { readonly [mnemonic: string]: Binary | undefined } = {
	Bt: onBit(undefined),
	Bts: onBit((word, bit) => word | bit),
	Btr: onBit((word, bit) => word & ~bit),
	Btc: onBit((word, bit) => word ^ bit),
};

// --- Shifts ---

/** The flags that a shift by more than one leaves in OF, and any in AF, are undefined. */
function shift(
	compute: (value: bigint, count: bigint, size: number) => { result: bigint; carry: bigint; overflow: bigint },
	flagsOfResult: boolean,
): Binary {
	return (to, from, size) => (registers, memory) => {
		if (to.kind !== "memory") return;
		const address = addressOf(to, registers);
		const count = read(from, 1, registers, memory) & (size === 8 ? 63n : 31n);
		const value = memory.load(address, size);
		if (count === 0n) {
			memory.store(address, size, value);
			return;
		}
		const { result, carry, overflow } = compute(value, count, size);
		memory.store(address, size, result);
		const flags = (carry ? CF : 0n) | (overflow ? OF : 0n);
		if (flagsOfResult) setFlags(registers, flags | resultFlags(result, size), CF | OF | SF | ZF | PF | AF);
		else setFlags(registers, flags, CF | OF);
	};
}

const topBit = (value: bigint, size: number): bigint => (value >> BigInt(8 * size - 1)) & 1n;

const shiftLeft = shift((value, count, size) => {
	const all = value << count;
	const result = truncated(all, size);
	const carry = (all >> BigInt(8 * size)) & 1n;
	return { result, carry, overflow: topBit(result, size) ^ carry };
}, true);

const shifts: { readonly [mnemonic: string]: Binary | undefined } = {
	Shl: shiftLeft,
	Sal: shiftLeft,
	Shr: shift(
		(value, count, size) => ({
			result: value >> count,
			carry: (value >> (count - 1n)) & 1n,
			overflow: topBit(value, size),
		}),
		true,
	),
	Sar: shift((value, count, size) => {
		const signed = BigInt.asIntN(8 * size, value);
		return { result: truncated(signed >> count, size), carry: (signed >> (count - 1n)) & 1n, overflow: 0n };
	}, true),
	Rol: shift((value, count, size) => {
		const result = rotated(value, count, size);
		const carry = result & 1n;
		return { result, carry, overflow: topBit(result, size) ^ carry };
	}, false),
	Ror: shift((value, count, size) => {
		const result = rotated(value, BigInt(8 * size) - (count % BigInt(8 * size)), size);
		const carry = topBit(result, size);
		return { result, carry, overflow: carry ^ ((result >> BigInt(8 * size - 2)) & 1n) };
	}, false),
};

function rotated(value: bigint, count: bigint, size: number): bigint {
	const by = count % BigInt(8 * size);
	return truncated((value << by) | (value >> (BigInt(8 * size) - by)), size);
}
