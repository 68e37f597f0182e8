// The instructions that threads stop at, decoded once each.

import { NativeMemory } from "../linux/libc.js";
import { readRemote } from "../memory/remote.js";
import type { Instruction, InstructionSet } from "./instruction.js";

/** So many are remembered; then all are forgotten. */
const MOST_REMEMBERED = 4096;

interface Remembered {
	readonly bytes: Uint8Array;
	readonly instruction: Instruction | undefined;
}

export class Code {
	readonly #set: InstructionSet;
	readonly #memory: NativeMemory;
	/** By address. Processes may have different ones at the same address, so the bytes are compared. */
	readonly #remembered = new Map<bigint, Remembered>();

	constructor(set: InstructionSet) {
		this.#set = set;
		this.#memory = new NativeMemory((set.longest + 3) & ~3);
	}

	/** The instruction that a thread stands at; undefined when it isn't known, or its bytes can't be read. */
	at(thread: number, address: bigint): Instruction | undefined {
		const length = this.#read(thread, address);
		if (length <= 0) return undefined;
		const known = this.#remembered.get(address);
		if (known !== undefined && this.#startsWith(known.bytes, length)) return known.instruction;
		const bytes = this.#memory.bytes.slice(0, length);
		const instruction = this.#set.decode(bytes, address);
		if (this.#remembered.size >= MOST_REMEMBERED) this.#remembered.clear();
		this.#remembered.set(address, { bytes: bytes.subarray(0, instruction?.length), instruction });
		return instruction;
	}

	/** The bytes there, for people: "0f 0b". */
	textAt(thread: number, address: bigint): string {
		const length = Math.max(0, this.#read(thread, address));
		return Array.from(this.#memory.bytes.subarray(0, length), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
	}

	/** The page after the instruction's may not be there. */
	#read(thread: number, address: bigint): number {
		return readRemote(thread, Number(address), this.#memory.address, this.#set.longest);
	}

	/** Whether what was just read begins with an instruction that is remembered. */
	#startsWith(instruction: Uint8Array, length: number): boolean {
		if (length < instruction.length) return false;
		for (let at = 0; at < instruction.length; at++) if (this.#memory.bytes[at] !== instruction[at]) return false;
		return true;
	}
}
