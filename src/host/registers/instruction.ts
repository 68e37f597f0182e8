// What is asked of a processor architecture: to decode the instruction that a thread has stopped at, and to make it in the
// processor's place. x86/ and arm64/ are the two that there are.

/**
 * Memory as an instruction meets it: a device's registers where they are mapped, the thread's own memory everywhere else.
 * Nothing of a load or store has happened when it throws.
 */
export interface Memory {
	/** @param size 1, 2, 4 or 8 bytes, at any address @throws MemoryFault */
	load(address: bigint, size: number): bigint;
	/** @param value of that size, unsigned @throws MemoryFault */
	store(address: bigint, size: number, value: bigint): void;
	/** Stores 64 bytes at once, at a multiple of 64. @throws MemoryFault */
	storeBlock(address: bigint, from: Uint8Array): void;
}

/** What an instruction did can't be done there: the thread is to get a signal, as from the processor. */
export class MemoryFault {
	readonly address: bigint;

	constructor(address: bigint) {
		this.address = address;
	}
}

/** The registers of a thread that stands still, as ptrace(2) gives them. */
export interface Registers {
	/** Of the next instruction. */
	programCounter: bigint;
	/** The general registers' bytes, for PTRACE_GETREGSET with NT_PRSTATUS. */
	readonly general: Uint8Array;
	/** What else there is: fetched when an instruction needs it. */
	readonly extended: RegisterSet;
}

/** A register set that is fetched when it is used, and put back when it was changed. */
export class RegisterSet {
	/** For PTRACE_GETREGSET: NT_X86_XSTATE, NT_PRFPREG. */
	readonly note: number;
	readonly #fetch: (note: number, into: Uint8Array) => number;
	readonly #memory: Uint8Array;
	#length = 0;
	hasChanged = false;

	/** @param fetch returns how many bytes there are; 0 when it fails */
	constructor(note: number, memory: Uint8Array, fetch: (note: number, into: Uint8Array) => number) {
		this.note = note;
		this.#memory = memory;
		this.#fetch = fetch;
	}

	/** Empty where it can't be had. */
	get bytes(): Uint8Array {
		if (this.#length === 0) this.#length = this.#fetch(this.note, this.#memory);
		return this.#memory.subarray(0, this.#length);
	}

	/** Another thread, or the same later. */
	forget(): void {
		this.#length = 0;
		this.hasChanged = false;
	}
}

/** A decoded instruction. */
export interface Instruction {
	/** In bytes. */
	readonly length: number;
	/** Whether it loads from an address, or stores there: so a thread that stands at it does, or has gone elsewhere since. */
	touches(registers: Registers, address: bigint): boolean;
	/**
	 * Makes it: changes registers and memory, and goes past it. A string instruction may be made in part, and is gone past when it is done.
	 * @throws MemoryFault: registers are as the processor would leave them for the one who handles the fault
	 */
	execute(registers: Registers, memory: Memory): void;
}

export interface InstructionSet {
	/** The longest instruction, in bytes. */
	readonly longest: number;
	/** Of PTRACE_GETREGSET with NT_PRSTATUS, in bytes. */
	readonly generalBytes: number;
	registersIn(general: Uint8Array, extended: (note: number, into: Uint8Array) => number): Registers;
	/** Has a thread that stands behind a system call make another. */
	prepareCall(registers: Registers, number: number, parameters: readonly number[]): void;
	/** What the call returned. */
	callResult(registers: Registers): bigint;
	/**
	 * @param bytes from the instruction on, as many as could be read
	 * @param address where it stands
	 * @returns undefined for one that isn't known here: it is never guessed
	 */
	decode(bytes: Uint8Array, address: bigint): Instruction | undefined;
}
