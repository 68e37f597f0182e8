// What arithmetic leaves in EFLAGS. Intel SDM volume 1, 3.4.3.1 "Status Flags"
// Flags that the manual calls undefined get what today's processors give them, where all agree.

import { AF, CF, OF, PF, SF, ZF } from "./registers.js";

export const ARITHMETIC = CF | PF | AF | ZF | SF | OF;

/** Bits without those above an operand of so many bytes. */
export const truncated = (value: bigint, size: number): bigint => BigInt.asUintN(8 * size, value);

function isNegative(value: bigint, size: number): boolean {
	return ((value >> BigInt(8 * size - 1)) & 1n) !== 0n;
}

/** SF, ZF and PF, which tell of the result alone. */
export function resultFlags(result: bigint, size: number): bigint {
	let ones = Number(result & 0xffn);
	ones ^= ones >> 4;
	ones ^= ones >> 2;
	ones ^= ones >> 1;
	return (result === 0n ? ZF : 0n) | (isNegative(result, size) ? SF : 0n) | (ones & 1 ? 0n : PF);
}

/** Of a + b + carry = result. */
export function additionFlags(a: bigint, b: bigint, result: bigint, size: number, carry = 0n): bigint {
	return (
		resultFlags(result, size) |
		(a + b + carry !== result ? CF : 0n) |
		((a ^ b ^ result) & 0x10n ? AF : 0n) |
		(isNegative((a ^ result) & (b ^ result), size) ? OF : 0n)
	);
}

/** Of a - b - borrow = result. */
export function subtractionFlags(a: bigint, b: bigint, result: bigint, size: number, borrow = 0n): bigint {
	return (
		resultFlags(result, size) |
		(a < b + borrow ? CF : 0n) |
		((a ^ b ^ result) & 0x10n ? AF : 0n) |
		(isNegative((a ^ b) & (a ^ result), size) ? OF : 0n)
	);
}

/** Whether a condition holds, as iced names it. */
export function holds(condition: string, flags: bigint): boolean {
	const is = (flag: bigint) => (flags & flag) !== 0n;
	const isLess = is(SF) !== is(OF);
	switch (condition) {
		case "o":
			return is(OF);
		case "no":
			return !is(OF);
		case "b":
			return is(CF);
		case "ae":
			return !is(CF);
		case "e":
			return is(ZF);
		case "ne":
			return !is(ZF);
		case "be":
			return is(CF) || is(ZF);
		case "a":
			return !is(CF) && !is(ZF);
		case "s":
			return is(SF);
		case "ns":
			return !is(SF);
		case "p":
			return is(PF);
		case "np":
			return !is(PF);
		case "l":
			return isLess;
		case "ge":
			return !isLess;
		case "le":
			return isLess || is(ZF);
		default: // "g"
			return !isLess && !is(ZF);
	}
}
