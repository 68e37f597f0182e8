// The registers of an arm64 thread, as ptrace(2) gives them: struct user_pt_regs and struct user_fpsimd_state in <asm/ptrace.h>.

import { RegisterSet, type Registers } from "../instruction.js";

const SP = 31;
const PC = 32;
/** x0 to x30, sp, pc, pstate. */
export const GENERAL_BYTES = 34 * 8;

const NT_PRFPREG = 2;
/** v0 to v31, fpsr, fpcr, and what is reserved. */
const FPSIMD_BYTES = 528;
const fpsimd = new Uint8Array(FPSIMD_BYTES);

/** As the number of a register: sp where there is an address, zero where there is a value. */
export const SP_OR_ZERO = 31;

export class Arm64Registers implements Registers {
	readonly general: Uint8Array;
	readonly extended: RegisterSet;
	readonly #words: BigUint64Array;

	constructor(general: Uint8Array, fetch: (note: number, into: Uint8Array) => number) {
		this.general = general;
		this.#words = new BigUint64Array(general.buffer, general.byteOffset, GENERAL_BYTES / 8);
		this.extended = new RegisterSet(NT_PRFPREG, fpsimd, fetch);
	}

	get programCounter(): bigint {
		return this.#words[PC];
	}

	set programCounter(address: bigint) {
		this.#words[PC] = address;
	}

	/** A register as a value. */
	get(number: number): bigint {
		return number === SP_OR_ZERO ? 0n : this.#words[number];
	}

	/** All 64 bits. */
	set(number: number, value: bigint): void {
		if (number !== SP_OR_ZERO) this.#words[number] = value;
	}

	/** A register as an address, or what it is computed from. */
	getBase(number: number): bigint {
		return this.#words[number === SP_OR_ZERO ? SP : number];
	}

	setBase(number: number, address: bigint): void {
		this.#words[number === SP_OR_ZERO ? SP : number] = BigInt.asUintN(64, address);
	}

	/** Half of a SIMD register: 0 or 1. */
	getVector(number: number, half: number): bigint {
		return this.#vectors.getBigUint64(16 * number + 8 * half, true);
	}

	/** All 128 bits. */
	setVector(number: number, low: bigint, high: bigint): void {
		this.#vectors.setBigUint64(16 * number, low, true);
		this.#vectors.setBigUint64(16 * number + 8, high, true);
		this.extended.hasChanged = true;
	}

	get #vectors(): DataView {
		const { buffer, byteOffset, byteLength } = this.extended.bytes;
		return new DataView(buffer, byteOffset, byteLength);
	}
}
