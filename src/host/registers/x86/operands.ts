// Reading and writing the operands of an x86-64 instruction.

import type { Memory } from "../instruction.js";
import type { GeneralOperand, ImmediateOperand, MemoryOperand, Operand } from "./decode.js";
import type { X86Registers } from "./registers.js";

export type IntegerOperand = GeneralOperand | MemoryOperand | ImmediateOperand;

/** Where a memory operand is. */
export function addressOf(operand: MemoryOperand, registers: X86Registers): bigint {
	let offset = operand.displacement;
	if (operand.base !== undefined) offset += registers.get(operand.base);
	if (operand.index !== undefined) offset += registers.get(operand.index) * operand.scale;
	return linear(BigInt.asUintN(operand.addressBits, offset), operand.segment, registers);
}

export function linear(offset: bigint, segment: "fs" | "gs" | undefined, registers: X86Registers): bigint {
	if (segment === undefined) return offset;
	return BigInt.asUintN(64, offset + (segment === "fs" ? registers.fsBase : registers.gsBase));
}

export function isInteger(operand: Operand): operand is IntegerOperand {
	return operand.kind === "general" || operand.kind === "memory" || operand.kind === "immediate";
}

/** @param size in bytes @returns unsigned */
export function read(operand: IntegerOperand, size: number, registers: X86Registers, memory: Memory): bigint {
	if (operand.kind === "memory") return memory.load(addressOf(operand, registers), size);
	if (operand.kind === "immediate") return BigInt.asUintN(8 * size, operand.value);
	const value = registers.get(operand.number);
	return BigInt.asUintN(8 * size, operand.isHighByte ? value >> 8n : value);
}

export function write(
	operand: IntegerOperand,
	size: number,
	value: bigint,
	registers: X86Registers,
	memory: Memory,
): void {
	if (operand.kind === "memory") memory.store(addressOf(operand, registers), size, value);
	else if (operand.kind === "general") setGeneral(operand, size, value, registers);
}

/** 32 bits clear those above them; 8 or 16 leave them. */
export function setGeneral(
	{ number, isHighByte }: GeneralOperand,
	size: number,
	value: bigint,
	registers: X86Registers,
): void {
	if (size >= 4) {
		registers.set(number, value);
		return;
	}
	const shift = isHighByte ? 8n : 0n;
	const mask = ((1n << BigInt(8 * size)) - 1n) << shift;
	registers.set(number, (registers.get(number) & ~mask & 0xffff_ffff_ffff_ffffn) | (value << shift));
}
