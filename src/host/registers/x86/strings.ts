// MOVS, STOS and LODS, once or with REP: Intel SDM volume 2. Either end may be a register, the other then is ordinary memory.

import type { Memory } from "../instruction.js";
import type { X86Operation } from "./decode.js";
import type { Action } from "./integer.js";
import { linear, setGeneral } from "./operands.js";
import { DF, RAX, RCX, RDI, RSI, type X86Registers } from "./registers.js";

/** As many are made at a time, so that a long one can be interrupted, as on a processor. */
const MOST_AT_ONCE = 4096n;

type Step = (registers: X86Registers, memory: Memory, source: bigint, destination: bigint, size: number) => void;

interface StringKind {
	readonly step: Step;
	readonly usesSource: boolean;
	readonly usesDestination: boolean;
}

const kinds: readonly (readonly [prefix: string, kind: StringKind])[] = [
	[
		"Movs",
		{
			step: (_, memory, source, destination, size) => memory.store(destination, size, memory.load(source, size)),
			usesSource: true,
			usesDestination: true,
		},
	],
	[
		"Stos",
		{
			step: (registers, memory, _, destination, size) =>
				memory.store(destination, size, BigInt.asUintN(8 * size, registers.get(RAX))),
			usesSource: false,
			usesDestination: true,
		},
	],
	[
		"Lods",
		{
			step: (registers, memory, source, _, size) =>
				setGeneral(
					{ kind: "general", number: RAX, size, isHighByte: false },
					size,
					memory.load(source, size),
					registers,
				),
			usesSource: true,
			usesDestination: false,
		},
	],
];

/** @returns undefined where this isn't an instruction of these; else what makes it, and tells whether it is done */
export function stringAction({
	mnemonic,
	string,
	isRepeated,
}: X86Operation): ((...parameters: Parameters<Action>) => boolean) | undefined {
	const [, kind] = kinds.find(([prefix]) => mnemonic.startsWith(prefix)) ?? [];
	if (string === undefined || kind === undefined) return undefined;
	const { size, addressBits, segment } = string;
	const { step, usesSource, usesDestination } = kind;
	const advance = (number: number, by: bigint, registers: X86Registers) => {
		const value = BigInt.asUintN(addressBits, registers.get(number) + by);
		registers.set(number, value);
	};
	return (registers, memory) => {
		const stride = registers.flags & DF ? -BigInt(size) : BigInt(size);
		for (let made = 0n; ; made++) {
			if (isRepeated) {
				if (BigInt.asUintN(addressBits, registers.get(RCX)) === 0n) return true;
				if (made === MOST_AT_ONCE) return false;
			}
			const source = linear(BigInt.asUintN(addressBits, registers.get(RSI)), segment, registers);
			step(registers, memory, source, BigInt.asUintN(addressBits, registers.get(RDI)), size);
			if (usesSource) advance(RSI, stride, registers);
			if (usesDestination) advance(RDI, stride, registers);
			if (!isRepeated) return true;
			advance(RCX, -1n, registers);
		}
	};
}
