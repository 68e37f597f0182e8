// The instructions of x86-64: which of them are known, and what each does.

import type { Instruction, InstructionSet, Memory } from "../instruction.js";
import { decode, type X86Operation } from "./decode.js";
import { integerAction } from "./integer.js";
import { addressOf, linear } from "./operands.js";
import { GENERAL_BYTES, RAX, RDI, RDX, RSI, RSP, X86Registers } from "./registers.js";
import { stringAction } from "./strings.js";
import { vectorAction } from "./vectors.js";

/** Of `syscall`. */
const SYSCALL_BYTES = 2n;
const NO_CALL = 0xffff_ffff_ffff_ffffn;
/** Where a system call finds its parameters: rdi, rsi, rdx, r10, r8, r9. */
const PARAMETERS = [RDI, RSI, RDX, 10, 8, 9];
/** What MOVDIR64B and ENQCMD store, and no other instruction with a general register loads. */
const WIDEST = 64;

export const x86: InstructionSet = {
	longest: 15,
	generalBytes: GENERAL_BYTES,
	registersIn: (general, extended) => new X86Registers(general, extended),

	prepareCall(registers, number, parameters) {
		const x86 = registers as X86Registers;
		x86.programCounter -= SYSCALL_BYTES;
		x86.call = NO_CALL;
		x86.set(RAX, BigInt(number));
		PARAMETERS.forEach((register, at) => {
			x86.set(register, BigInt.asUintN(64, BigInt(parameters[at] ?? 0)));
		});
	},

	callResult: (registers) => (registers as X86Registers).get(RAX),

	decode(bytes, address): Instruction | undefined {
		const operation = decode(bytes, address);
		if (operation === undefined) return undefined;
		const { length } = operation;
		const next = BigInt.asUintN(64, address + BigInt(length));
		const touches = touchesOf(operation);
		const repeated = stringAction(operation);
		if (repeated !== undefined)
			return made(length, touches, (registers, memory) => {
				if (repeated(registers, memory)) registers.programCounter = next;
			});
		const action = operation.string === undefined ? (integerAction(operation) ?? vectorAction(operation)) : undefined;
		if (action === undefined) return undefined;
		return made(length, touches, (registers, memory) => {
			action(registers, memory);
			registers.programCounter = next;
		});
	},
};

type Touches = (registers: X86Registers, address: bigint) => boolean;

function made(
	length: number,
	touches: Touches,
	execute: (registers: X86Registers, memory: Memory) => void,
): Instruction {
	return {
		length,
		touches: (registers, address) => touches(registers as X86Registers, address),
		execute: (registers, memory) => execute(registers as X86Registers, memory),
	};
}

function touchesOf({ mnemonic, operands, string }: X86Operation): Touches {
	const within = (address: bigint, start: bigint, size: number) => BigInt.asUintN(64, address - start) < BigInt(size);
	if (string !== undefined) {
		const { size, addressBits, segment } = string;
		const at = (number: number, registers: X86Registers) => BigInt.asUintN(addressBits, registers.get(number));
		return (registers, address) =>
			within(address, linear(at(RSI, registers), segment, registers), size) ||
			within(address, at(RDI, registers), size);
	}
	const place = operands.find((operand) => operand.kind === "memory");
	if (place === undefined) return () => false;
	const [first, second] = operands;
	// A bit's number may lead far away from the operand.
	if (mnemonic.startsWith("Bt") && second?.kind === "general") return () => true;
	const isStack = mnemonic === "Push" || mnemonic === "Pop";
	return (registers, address) =>
		within(address, addressOf(place, registers), place.size) ||
		(isStack && within(address, registers.get(RSP) - 8n, 16)) ||
		(place.size === WIDEST && first.kind === "general" && within(address, registers.get(first.number), WIDEST));
}
