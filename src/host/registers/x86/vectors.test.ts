import { expect, test } from "vitest";
import type { Memory } from "../instruction.js";
import { GENERAL_BYTES, RAX, RDX, type X86Registers, ZF } from "./registers.js";
import { x86 } from "./x86.js";

/** `movdir64b rax, [rdx]` and `enqcmd rax, [rdx]`: few processors have them to be compared with. */
const MOVDIR64B = Uint8Array.of(0x66, 0x0f, 0x38, 0xf8, 0x02);
const ENQCMD = Uint8Array.of(0xf2, 0x0f, 0x38, 0xf8, 0x02);

function execute(bytes: Uint8Array) {
	const stored: [bigint, number[]][] = [];
	const memory: Memory = {
		load: (address, size) => BigInt.asUintN(8 * size, address & 0xffn),
		store: () => expect.unreachable(),
		storeBlock: (address, from) => stored.push([address, [...from]]),
	};
	const registers = x86.registersIn(new Uint8Array(GENERAL_BYTES), () => 0) as X86Registers;
	registers.set(RAX, 0x10000n);
	registers.set(RDX, 0x2000n);
	const instruction = x86.decode(bytes, 0x400000n)!;
	expect(instruction.touches(registers, 0x10000n)).toBe(true);
	instruction.execute(registers, memory);
	expect(registers.programCounter).toBe(0x400005n);
	return { stored, registers };
}

test("MOVDIR64B stores 64 bytes in one piece", () => {
	const { stored } = execute(MOVDIR64B);
	const expected = Array.from({ length: 64 }, (_, i) => (i % 8 === 0 ? i : 0));
	expect(stored).toEqual([[0x10000n, expected]]);
});

test("ENQCMD finds nobody who takes it", () => {
	const { stored, registers } = execute(ENQCMD);
	expect([stored, registers.flags & ZF]).toEqual([[], ZF]);
});
