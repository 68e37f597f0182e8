// The instructions of arm64: which of them are known, and what each does.

import type { InstructionSet } from "../instruction.js";
import { accessOf } from "./loads-and-stores.js";
import { Arm64Registers, GENERAL_BYTES } from "./registers.js";

const INSTRUCTION_BYTES = 4;
/** Where a system call finds its number. */
const NUMBER = 8;

export const arm64: InstructionSet = {
	longest: INSTRUCTION_BYTES,
	generalBytes: GENERAL_BYTES,
	registersIn: (general, extended) => new Arm64Registers(general, extended),

	prepareCall(registers, number, parameters) {
		const arm = registers as Arm64Registers;
		arm.programCounter -= BigInt(INSTRUCTION_BYTES);
		arm.set(NUMBER, BigInt(number));
		for (let at = 0; at < 6; at++) arm.set(at, BigInt.asUintN(64, BigInt(parameters[at] ?? 0)));
	},

	callResult: (registers) => (registers as Arm64Registers).get(0),

	decode(bytes, address) {
		if (bytes.length < INSTRUCTION_BYTES) return undefined;
		const word = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
		const access = accessOf(word, address);
		if (access === undefined) return undefined;
		return {
			length: INSTRUCTION_BYTES,
			touches: (registers, place) =>
				BigInt.asUintN(64, place - access.address(registers as Arm64Registers)) < BigInt(access.size),
			execute: (registers, memory) => {
				const arm = registers as Arm64Registers;
				access.make(arm, memory, access.address(arm));
				arm.programCounter = BigInt.asUintN(64, address + BigInt(INSTRUCTION_BYTES));
			},
		};
	},
};
