// The registers of an x86-64 thread, as ptrace(2) gives them: struct user_regs_struct in <sys/user.h>, and the XSAVE area.

import { RegisterSet, type Registers } from "../instruction.js";
import { VectorRegisters } from "./vector-registers.js";

/** Where struct user_regs_struct has a general register, by the number that instructions give it: rax, rcx, rdx, rbx and so on. */
const PLACES = [10, 11, 12, 5, 19, 4, 13, 14, 9, 8, 7, 6, 3, 2, 1, 0];
const ORIG_RAX = 15;
const RIP = 16;
const EFLAGS = 18;
const FS_BASE = 21;
const GS_BASE = 22;
export const GENERAL_BYTES = 27 * 8;

const NT_X86_XSTATE = 0x202;
/** More than any processor has, AMX included. */
const XSTATE_BYTES = 16 * 1024;
const xstate = new Uint8Array(XSTATE_BYTES);

/** Numbers of registers that instructions use without naming them. */
export const [RAX, RCX, RDX, RBX, RSP, RSI, RDI] = [0, 1, 2, 3, 4, 6, 7];

// Bits of EFLAGS.
export const CF = 1n << 0n;
export const PF = 1n << 2n;
export const AF = 1n << 4n;
export const ZF = 1n << 6n;
export const SF = 1n << 7n;
export const DF = 1n << 10n;
export const OF = 1n << 11n;

export class X86Registers implements Registers {
	readonly general: Uint8Array;
	readonly extended: RegisterSet;
	readonly vectors: VectorRegisters;
	readonly #words: BigUint64Array;

	constructor(general: Uint8Array, fetch: (note: number, into: Uint8Array) => number) {
		this.general = general;
		this.#words = new BigUint64Array(general.buffer, general.byteOffset, GENERAL_BYTES / 8);
		this.extended = new RegisterSet(NT_X86_XSTATE, xstate, fetch);
		this.vectors = new VectorRegisters(this.extended);
	}

	get programCounter(): bigint {
		return this.#words[RIP];
	}

	set programCounter(address: bigint) {
		this.#words[RIP] = address;
	}

	get flags(): bigint {
		return this.#words[EFLAGS];
	}

	set flags(flags: bigint) {
		this.#words[EFLAGS] = flags;
	}

	get fsBase(): bigint {
		return this.#words[FS_BASE];
	}

	get gsBase(): bigint {
		return this.#words[GS_BASE];
	}

	/** The number of the call that it came from; what is no call's won't be begun again. */
	set call(number: bigint) {
		this.#words[ORIG_RAX] = number;
	}

	/** All 64 bits of a general register. */
	get(number: number): bigint {
		return this.#words[PLACES[number]];
	}

	set(number: number, value: bigint): void {
		this.#words[PLACES[number]] = value;
	}
}
