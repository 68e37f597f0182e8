// Arithmetic with addresses. An address is a double, exact up to 2^53; an entry is two 32-bit words.

const WORD = 2 ** 32;

const powersOfTwo = Float64Array.from({ length: 65 }, (_, n) => 2 ** n);

/** 2^n for n from 0 to 64, from a table: `**` is a call into the C library. */
export function powerOfTwo(n: number): number {
	return powersOfTwo[n]!;
}

/** Bits 31:0. */
export function lowWord(value: number): number {
	return value | 0; // ToInt32 takes it modulo 2^32
}

/** Bits 63:32. */
export function highWord(value: number): number {
	return (value / WORD) | 0;
}

/** How many zero bits `value` ends with; 64 for zero. */
export function trailingZeros(value: number): number {
	const low = lowWord(value);
	if (low !== 0) return 31 - Math.clz32(low & -low);
	const high = highWord(value);
	return high === 0 ? 64 : 63 - Math.clz32(high & -high);
}

/** The lg2 of the largest power of two that is not above `value`, which is at least 1. */
export function floorLg2(value: number): number {
	const high = highWord(value);
	return high === 0 ? 31 - Math.clz32(value) : 63 - Math.clz32(high);
}

/** Is `value` a multiple of 2^lg2? */
export function isAligned(value: number, lg2: number): boolean {
	const quotient = value / powersOfTwo[lg2]!;
	return quotient === Math.floor(quotient);
}

/** `value` without its bits below 2^lg2. */
export function alignDown(value: number, lg2: number): number {
	const unit = powersOfTwo[lg2]!;
	return Math.floor(value / unit) * unit;
}
