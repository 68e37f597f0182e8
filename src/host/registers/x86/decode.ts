// Decodes an x86-64 instruction with iced-x86, and says of it what the executors ask for.

import { createRequire } from "node:module";
import type { Instruction as Decoded, OpKind, Register } from "iced-x86";

type Iced = typeof import("iced-x86");

export interface MemoryOperand {
	readonly kind: "memory";
	/** In bytes. */
	readonly size: number;
	/** Numbers of 64-bit registers. */
	readonly base: number | undefined;
	readonly index: number | undefined;
	readonly scale: bigint;
	/** What is added; the whole address where the operand is relative to the program counter. */
	readonly displacement: bigint;
	readonly segment: "fs" | "gs" | undefined;
	readonly addressBits: 32 | 64;
}

export interface GeneralOperand {
	readonly kind: "general";
	readonly number: number;
	readonly size: number;
	/** AH, CH, DH or BH. */
	readonly isHighByte: boolean;
}

export interface VectorOperand {
	readonly kind: "vector";
	readonly number: number;
	/** 16, 32 or 64 bytes. */
	readonly size: number;
}

export interface MaskOperand {
	readonly kind: "mask";
	readonly number: number;
}

export interface ImmediateOperand {
	readonly kind: "immediate";
	/** Sign-extended to 64 bits. */
	readonly value: bigint;
}

export type Operand = MemoryOperand | GeneralOperand | VectorOperand | MaskOperand | ImmediateOperand;

export interface X86Operation {
	/** As iced spells it: "Movzx", "Vmovdqu32". */
	readonly mnemonic: string;
	readonly operands: readonly Operand[];
	/** In bytes. */
	readonly length: number;
	readonly encoding: "legacy" | "VEX" | "EVEX";
	/** "Jb" or "Cmovb" are "b". */
	readonly condition: string;
	/** Of a string instruction, what it moves at once, and how it finds that. */
	readonly string:
		| { readonly size: number; readonly addressBits: 32 | 64; readonly segment: "fs" | "gs" | undefined }
		| undefined;
	readonly isRepeated: boolean;
	/** Of an EVEX instruction with a mask register. */
	readonly mask: { readonly number: number; readonly zeroes: boolean } | undefined;
}

let loaded: Iced | undefined;

/** Loading it takes a tenth of a second, so only who needs it does. */
export function iced(): Iced {
	loaded ??= createRequire(import.meta.url)("iced-x86") as Iced;
	return loaded;
}

/**
 * @param bytes from the instruction on
 * @param address where it stands
 * @returns undefined for what is no instruction, or has operands that no executor here knows
 */
export function decode(bytes: Uint8Array, address: bigint): X86Operation | undefined {
	const { Decoder, DecoderOptions } = iced();
	const decoder = new Decoder(64, bytes, DecoderOptions.None);
	decoder.ip = address;
	const decoded = decoder.decode();
	try {
		return decoded.isInvalid || decoded.isVsib ? undefined : operationOf(decoded);
	} finally {
		decoded.free();
		decoder.free();
	}
}

function operationOf(decoded: Decoded): X86Operation | undefined {
	const { Mnemonic, EncodingKind, ConditionCode, Register } = iced();
	const encodings: { readonly [kind: number]: X86Operation["encoding"] | undefined } = {
		[EncodingKind.Legacy]: "legacy",
		[EncodingKind.VEX]: "VEX",
		[EncodingKind.EVEX]: "EVEX",
	};
	const encoding = encodings[decoded.encoding];
	if (encoding === undefined || decoded.isBroadcast) return undefined;
	const string = stringOf(decoded);
	const operands = string === undefined ? operandsOf(decoded) : [];
	if (operands === undefined) return undefined;
	return {
		mnemonic: Mnemonic[decoded.mnemonic],
		operands,
		length: decoded.length,
		encoding,
		condition: ConditionCode[decoded.conditionCode],
		string,
		isRepeated: decoded.hasRepPrefix || decoded.hasRepnePrefix,
		mask: decoded.hasOpMask ? { number: decoded.opMask - Register.K0, zeroes: decoded.zeroingMasking } : undefined,
	};
}

/** Moves between rsi, rdi and the accumulator. */
function stringOf(decoded: Decoded): X86Operation["string"] {
	if (!decoded.isStringInstruction) return undefined;
	const { OpKind, MemorySizeExt } = iced();
	const narrow: readonly OpKind[] = [OpKind.MemoryESEDI, OpKind.MemorySegESI];
	const isNarrow = [decoded.op0Kind, decoded.op1Kind].some((kind) => narrow.includes(kind));
	return {
		size: MemorySizeExt.size(decoded.memorySize),
		addressBits: isNarrow ? 32 : 64,
		segment: segmentOf(decoded),
	};
}

function operandsOf(decoded: Decoded): Operand[] | undefined {
	const operands: Operand[] = [];
	for (let at = 0; at < decoded.opCount; at++) {
		const operand = operandOf(decoded, at);
		if (operand === undefined) return undefined;
		operands.push(operand);
	}
	return operands;
}

function operandOf(decoded: Decoded, at: number): Operand | undefined {
	const { OpKind } = iced();
	const kind = decoded.opKind(at);
	if (kind === OpKind.Register) return registerOf(decoded.opRegister(at));
	if (kind === OpKind.Memory) return memoryOf(decoded);
	if (kind >= OpKind.Immediate8 && kind <= OpKind.Immediate32to64)
		return { kind: "immediate", value: BigInt.asUintN(64, decoded.immediate(at)) };
	return undefined;
}

function registerOf(register: Register): Operand | undefined {
	const { Register } = iced();
	const within = (first: Register, count: number) => register >= first && register < first + count;
	const general = (first: Register, size: number, isHighByte = false, offset = 0): GeneralOperand => ({
		kind: "general",
		number: register - first + offset,
		size,
		isHighByte,
	});
	if (within(Register.AL, 4)) return general(Register.AL, 1);
	if (within(Register.AH, 4)) return general(Register.AH, 1, true);
	if (within(Register.SPL, 12)) return general(Register.SPL, 1, false, 4);
	if (within(Register.AX, 16)) return general(Register.AX, 2);
	if (within(Register.EAX, 16)) return general(Register.EAX, 4);
	if (within(Register.RAX, 16)) return general(Register.RAX, 8);
	if (within(Register.XMM0, 32)) return { kind: "vector", number: register - Register.XMM0, size: 16 };
	if (within(Register.YMM0, 32)) return { kind: "vector", number: register - Register.YMM0, size: 32 };
	if (within(Register.ZMM0, 32)) return { kind: "vector", number: register - Register.ZMM0, size: 64 };
	if (within(Register.K0, 8)) return { kind: "mask", number: register - Register.K0 };
	return undefined;
}

function memoryOf(decoded: Decoded): MemoryOperand | undefined {
	const { MemorySizeExt, Register } = iced();
	const base = addressRegister(decoded.memoryBase);
	const index = addressRegister(decoded.memoryIndex);
	if (base === undefined || index === undefined) return undefined;
	const isNarrow = [decoded.memoryBase, decoded.memoryIndex].some(
		(register) => (register >= Register.EAX && register <= Register.R15D) || register === Register.EIP,
	);
	return {
		kind: "memory",
		size: MemorySizeExt.size(decoded.memorySize),
		base: base === "none" ? undefined : base,
		index: index === "none" ? undefined : index,
		scale: BigInt(decoded.memoryIndexScale),
		displacement: BigInt.asUintN(64, decoded.memoryDisplacement),
		segment: segmentOf(decoded),
		// Without a register it is the displacement alone, in 4 bytes sign-extended, or zero-extended where addresses have 32 bits.
		addressBits: isNarrow || (decoded.memoryDisplSize === 4 && base === "none" && index === "none") ? 32 : 64,
	};
}

/** "none" for none, or for the program counter, which iced has added already; undefined for one that isn't known. */
function addressRegister(register: Register): number | "none" | undefined {
	const { Register } = iced();
	if (register === Register.None || register === Register.RIP || register === Register.EIP) return "none";
	if (register >= Register.RAX && register <= Register.R15) return register - Register.RAX;
	if (register >= Register.EAX && register <= Register.R15D) return register - Register.EAX;
	return undefined;
}

/** The others are at 0 in 64-bit mode. */
function segmentOf(decoded: Decoded): "fs" | "gs" | undefined {
	const { Register } = iced();
	if (decoded.memorySegment === Register.FS) return "fs";
	return decoded.memorySegment === Register.GS ? "gs" : undefined;
}
