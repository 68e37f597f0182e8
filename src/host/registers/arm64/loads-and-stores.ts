// Loads and stores of AArch64. Arm ARM (DDI 0487) C4.1.94 "Loads and Stores"; each function is one of its tables.
//
// Left out, and so never guessed: exclusive accesses (a fault ends what they rely on), SVE, MTE, structures of single elements.

import type { Memory } from "../instruction.js";
import type { Arm64Registers } from "./registers.js";

/** What an instruction does. */
export interface Access {
	/** Where it begins, before it is made. */
	address(registers: Arm64Registers): bigint;
	/** In bytes. */
	readonly size: number;
	make(registers: Arm64Registers, memory: Memory, address: bigint): void;
}

/** What is made at an address that is computed elsewhere. */
type Made = Pick<Access, "size" | "make">;

const bits = (word: number, high: number, low: number): number => (word >>> low) & (2 ** (high - low + 1) - 1);
const isSet = (word: number, bit: number): boolean => bits(word, bit, bit) === 1;
const signed = (value: number, width: number): bigint => BigInt.asIntN(width, BigInt(value));

/** @returns undefined for what isn't known here */
export function accessOf(word: number, programCounter: bigint): Access | undefined {
	if (bits(word, 29, 27) === 0b111) return registerAccess(word);
	if (bits(word, 29, 27) === 0b101 && !isSet(word, 25)) return pair(word);
	if (bits(word, 29, 27) === 0b011 && bits(word, 25, 24) === 0) return literal(word, programCounter);
	if (bits(word, 29, 24) === 0b001000) return ordered(word);
	if (bits(word, 29, 24) === 0b011001 && !isSet(word, 21) && bits(word, 11, 10) === 0)
		return at(unscaled(word), oneGeneral(word));
	if (!isSet(word, 31) && bits(word, 29, 24) === 0b001100) return structures(word);
	return undefined;
}

// --- Addresses ---

type Address = (registers: Arm64Registers) => bigint;

interface Place {
	readonly address: Address;
	/** What the base register is afterwards, where that changes. */
	readonly writeBack?: (registers: Arm64Registers) => bigint;
}

const baseOf = (word: number) => bits(word, 9, 5);

/** The top byte may be anything: it isn't part of the address. */
function untagged(address: bigint): bigint {
	return BigInt.asUintN(56, address);
}

function at({ address, writeBack }: Place, made: Made | undefined, base = -1): Access | undefined {
	if (made === undefined) return undefined;
	return {
		size: made.size,
		address: (registers) => untagged(address(registers)),
		make: (registers, memory, start) => {
			const after = writeBack?.(registers);
			made.make(registers, memory, start);
			if (after !== undefined) registers.setBase(base, after);
		},
	};
}

function offsetBy(word: number, offset: bigint): Place {
	return { address: (registers) => registers.getBase(baseOf(word)) + offset };
}

function unscaled(word: number): Place {
	return offsetBy(word, signed(bits(word, 20, 12), 9));
}

function preIndexed(word: number, offset: bigint): Place {
	const { address } = offsetBy(word, offset);
	return { address, writeBack: address };
}

function postIndexed(word: number, offset: bigint): Place {
	return { address: offsetBy(word, 0n).address, writeBack: offsetBy(word, offset).address };
}

// --- One register ---

function registerAccess(word: number): Access | undefined {
	const isVector = isSet(word, 26);
	const made = isVector ? oneVector(word) : oneGeneral(word);
	if (bits(word, 25, 24) === 1) return made && at(offsetBy(word, BigInt(bits(word, 21, 10) * made.size)), made);
	if (bits(word, 25, 24) !== 0) return undefined;
	const kind = bits(word, 11, 10);
	if (isSet(word, 21)) {
		if (kind === 0b10) return made && at(registerOffset(word, made.size), made);
		return kind === 0 && !isVector ? at(offsetBy(word, 0n), atomic(word)) : undefined;
	}
	const offset = signed(bits(word, 20, 12), 9);
	if (kind === 0b00) return at(unscaled(word), made);
	if (kind === 0b01) return at(postIndexed(word, offset), made, baseOf(word));
	if (kind === 0b11) return at(preIndexed(word, offset), made, baseOf(word));
	return isVector ? undefined : at(unscaled(word), made); // LDTR, which is LDUR to a program
}

function registerOffset(word: number, size: number): Place {
	const index = bits(word, 20, 16);
	const option = bits(word, 15, 13);
	const scale = isSet(word, 12) ? BigInt(size) : 1n;
	const extend = (value: bigint): bigint => {
		if (option === 0b010) return BigInt.asUintN(32, value); // UXTW
		return option === 0b110 ? BigInt.asIntN(32, value) : value; // SXTW; LSL, SXTX
	};
	return {
		address: (registers) => BigInt.asUintN(64, registers.getBase(baseOf(word)) + extend(registers.get(index)) * scale),
	};
}

/** Size in bits 31 and 30, and in 23 and 22 whether it loads, and extends the sign. */
function oneGeneral(word: number): Made | undefined {
	const size = 1 << bits(word, 31, 30);
	const operation = bits(word, 23, 22);
	const register = bits(word, 4, 0);
	if (operation === 0b00)
		return {
			size,
			make: (registers, memory, address) =>
				memory.store(address, size, BigInt.asUintN(8 * size, registers.get(register))),
		};
	if (operation === 0b01) return load(size, register, (value) => value);
	if (size === 8) return undefined; // PRFM
	if (operation === 0b11 && size === 4) return undefined;
	const width = operation === 0b10 ? 64 : 32;
	return load(size, register, (value) => BigInt.asUintN(width, BigInt.asIntN(8 * size, value)));
}

function load(size: number, register: number, extend: (value: bigint) => bigint): Made {
	return {
		size,
		make: (registers, memory, address) => registers.set(register, extend(memory.load(address, size))),
	};
}

function oneVector(word: number): Made | undefined {
	const isWide = isSet(word, 23);
	if (isWide && bits(word, 31, 30) !== 0) return undefined;
	const size = isWide ? 16 : 1 << bits(word, 31, 30);
	const register = bits(word, 4, 0);
	return isSet(word, 22) ? loadVectors([register], size) : storeVectors([register], size);
}

// --- SIMD registers ---

function loadVectors(numbers: readonly number[], size: number): Made {
	return {
		size: size * numbers.length,
		make: (registers, memory, address) => {
			// Registers change when all is loaded.
			const values = numbers.map((_, i) => loadVector(memory, address + BigInt(i * size), size));
			numbers.forEach((number, i) => {
				registers.setVector(number, ...values[i]);
			});
		},
	};
}

function storeVectors(numbers: readonly number[], size: number): Made {
	return {
		size: size * numbers.length,
		make: (registers, memory, address) =>
			numbers.forEach((number, i) => {
				const start = address + BigInt(i * size);
				const low = registers.getVector(number, 0);
				memory.store(start, Math.min(8, size), BigInt.asUintN(8 * size, low) & 0xffff_ffff_ffff_ffffn);
				if (size === 16) memory.store(start + 8n, 8, registers.getVector(number, 1));
			}),
	};
}

function loadVector(memory: Memory, address: bigint, size: number): [low: bigint, high: bigint] {
	const low = memory.load(address, Math.min(8, size));
	return [low, size === 16 ? memory.load(address + 8n, 8) : 0n];
}

// --- Pairs ---

function pair(word: number): Access | undefined {
	const isVector = isSet(word, 26);
	const kind = bits(word, 31, 30);
	const isLoad = isSet(word, 22);
	const numbers = [bits(word, 4, 0), bits(word, 14, 10)];
	if (kind === 0b11) return undefined;
	const size = isVector ? 4 << kind : kind === 0b10 ? 8 : 4;
	let made: Made;
	if (isVector) made = isLoad ? loadVectors(numbers, size) : storeVectors(numbers, size);
	else if (kind === 0b01 && !isLoad)
		return undefined; // STGP
	else made = generalPair(numbers, size, isLoad, kind === 0b01);
	const offset = signed(bits(word, 21, 15), 7) * BigInt(size);
	switch (bits(word, 24, 23)) {
		case 0b01:
			return at(postIndexed(word, offset), made, baseOf(word));
		case 0b11:
			return at(preIndexed(word, offset), made, baseOf(word));
		default: // with an offset; LDNP and STNP, too
			return at(offsetBy(word, offset), made);
	}
}

function generalPair([first, second]: readonly number[], size: number, isLoad: boolean, isSigned: boolean): Made {
	const width = BigInt(size);
	const extend = (value: bigint) => (isSigned ? BigInt.asUintN(64, BigInt.asIntN(8 * size, value)) : value);
	return {
		size: 2 * size,
		make: (registers, memory, address) => {
			if (isLoad) {
				const values = [memory.load(address, size), memory.load(address + width, size)];
				registers.set(first, extend(values[0]));
				registers.set(second, extend(values[1]));
			} else {
				memory.store(address, size, BigInt.asUintN(8 * size, registers.get(first)));
				memory.store(address + width, size, BigInt.asUintN(8 * size, registers.get(second)));
			}
		},
	};
}

// --- From near the program counter ---

function literal(word: number, programCounter: bigint): Access | undefined {
	const kind = bits(word, 31, 30);
	const register = bits(word, 4, 0);
	const place = { address: () => BigInt.asUintN(64, programCounter + signed(bits(word, 23, 5), 19) * 4n) };
	if (kind === 0b11) return undefined; // PRFM
	if (isSet(word, 26)) return at(place, loadVectors([register], 4 << kind));
	if (kind === 0b10)
		return at(
			place,
			load(4, register, (value) => BigInt.asUintN(64, BigInt.asIntN(32, value))),
		);
	return at(
		place,
		load(kind === 0 ? 4 : 8, register, (value) => value),
	);
}

// --- Ordered accesses, and compare and swap ---

function ordered(word: number): Access | undefined {
	const size = 1 << bits(word, 31, 30);
	const register = bits(word, 4, 0);
	const place = offsetBy(word, 0n);
	if (!isSet(word, 23)) return undefined; // exclusive, or CASP
	if (!isSet(word, 21)) {
		// LDAR, STLR, and their like
		if (isSet(word, 22))
			return at(
				place,
				load(size, register, (value) => value),
			);
		return at(place, {
			size,
			make: (registers, memory, address) =>
				memory.store(address, size, BigInt.asUintN(8 * size, registers.get(register))),
		});
	}
	const compared = bits(word, 20, 16);
	return at(place, {
		size,
		make: (registers, memory, address) => {
			const found = memory.load(address, size);
			if (found === BigInt.asUintN(8 * size, registers.get(compared)))
				memory.store(address, size, BigInt.asUintN(8 * size, registers.get(register)));
			registers.set(compared, found);
		},
	});
}

// --- Atomic operations, and 64 bytes at once ---

type Compute = (old: bigint, value: bigint, width: number) => bigint;

const operations: readonly Compute[] = [
	(old, value) => old + value,
	(old, value) => old & ~value,
	(old, value) => old ^ value,
	(old, value) => old | value,
	(old, value, width) => (BigInt.asIntN(width, old) > BigInt.asIntN(width, value) ? old : value),
	(old, value, width) => (BigInt.asIntN(width, old) < BigInt.asIntN(width, value) ? old : value),
	(old, value) => (old > value ? old : value),
	(old, value) => (old < value ? old : value),
];

const LS64_REGISTERS = 8;

function atomic(word: number): Made | undefined {
	const size = 1 << bits(word, 31, 30);
	const operation = bits(word, 14, 12);
	const source = bits(word, 20, 16);
	const register = bits(word, 4, 0);
	if (!isSet(word, 15)) return changing(size, source, register, operations[operation]);
	if (operation === 0b000) return changing(size, source, register, (_, value) => value); // SWP
	if (operation === 0b100) return load(size, register, (value) => value); // LDAPR
	if (size !== 8 || source !== 31 || (register & 1) !== 0 || register > 22) return undefined;
	const numbers = Array.from({ length: LS64_REGISTERS }, (_, i) => register + i);
	if (operation === 0b101)
		return {
			size: 64,
			make: (registers, memory, address) => {
				const values = numbers.map((_, i) => memory.load(address + BigInt(8 * i), 8));
				numbers.forEach((number, i) => {
					registers.set(number, values[i]);
				});
			},
		};
	if (operation !== 0b001) return undefined; // ST64BV
	return {
		size: 64,
		make: (registers, memory, address) => {
			const block = BigUint64Array.from(numbers, (number) => registers.get(number));
			memory.storeBlock(address, new Uint8Array(block.buffer));
		},
	};
}

function changing(size: number, source: number, register: number, compute: Compute): Made {
	return {
		size,
		make: (registers, memory, address) => {
			const old = memory.load(address, size);
			const value = BigInt.asUintN(8 * size, registers.get(source));
			memory.store(address, size, BigInt.asUintN(8 * size, compute(old, value, 8 * size)));
			registers.set(register, old);
		},
	};
}

// --- LD1 and ST1 of several registers ---

/** How many registers, by the opcode in bits 15 to 12. */
const REGISTERS: { readonly [opcode: number]: number | undefined } = { 7: 1, 10: 2, 6: 3, 2: 4 };

function structures(word: number): Access | undefined {
	const count = REGISTERS[bits(word, 15, 12)];
	if (count === undefined || isSet(word, 21)) return undefined;
	const size = isSet(word, 30) ? 16 : 8;
	const first = bits(word, 4, 0);
	const numbers = Array.from({ length: count }, (_, i) => (first + i) % 32);
	const made = isSet(word, 22) ? loadVectors(numbers, size) : storeVectors(numbers, size);
	if (!isSet(word, 23)) return bits(word, 20, 16) === 0 ? at(offsetBy(word, 0n), made) : undefined;
	const index = bits(word, 20, 16);
	const place: Place = {
		address: offsetBy(word, 0n).address,
		// 31 means by as much as was accessed.
		writeBack: (registers) =>
			registers.getBase(baseOf(word)) + (index === 31 ? BigInt(made.size) : registers.get(index)),
	};
	return at(place, made, baseOf(word));
}
