import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PINNABLE_END } from "../../memory/address-space.js";
import { ArraySpace } from "../../memory/array-space.js";
import { codeOf } from "../../uapi/errno.js";
import { onePiece, piecesOfVector } from "./iovec.js";

const VECTOR = 0x10000;
const MOST = 0x7ffff000;
const IOV_MAX = 1024;

/** Memory with an array of struct iovec at VECTOR, at its end. */
function vector(...structs: (readonly [address: bigint, length: bigint])[]): { space: ArraySpace; at: number } {
	const space = new ArraySpace();
	space.map(VECTOR, 0x8000);
	const words = new BigUint64Array(structs.flat());
	const at = VECTOR + 0x8000 - words.byteLength;
	space.write(at, new Uint8Array(words.buffer));
	return { space, at };
}

function read(count: number, ...structs: (readonly [bigint, bigint])[]): [number, number][] {
	const { space, at } = vector(...structs);
	return piecesOfVector(space, at, count).map(({ address, length }) => [address, length]);
}

describe("a vector", () => {
	test("has as many buffers as IOV_MAX at most, and 32 bits of the count are looked at", () => {
		const all = Array.from({ length: IOV_MAX }, (_, i) => [BigInt(i), 1n] as const);
		expect(read(IOV_MAX, ...all)).toHaveLength(IOV_MAX);
		expect(codeOf(() => read(IOV_MAX + 1, ...all))).toBe("EINVAL");
		expect(read(0)).toEqual([]);
		expect(read(2 ** 32 + 1, [1n, 2n])).toEqual([[1, 2]]);
	});

	test("has no negative length, which is noticed before what comes after it is read", () => {
		expect(codeOf(() => read(2, [0n, 1n << 63n]))).toBe("EINVAL");
		expect(codeOf(() => read(2, [0n, (1n << 64n) - 1n]))).toBe("EINVAL");
		expect(codeOf(() => read(2, [0n, 1n]))).toBe("EFAULT");
	});

	test("leaves out empty buffers, but the first, which a file gets to see", () => {
		expect(read(4, [1n, 0n], [2n, 0n], [3n, 4n], [5n, 0n])).toEqual([
			[1, 0],
			[3, 4],
		]);
		expect(read(2, [1n, 0n], [2n, 0n])).toEqual([]);
		expect(read(1, [1n, 0n])).toEqual([]);
	});

	test("names buffers in user space, of which a single one is looked at only as far as it is used", () => {
		const end = BigInt(PINNABLE_END);
		const tooLong = [end - BigInt(MOST), BigInt(MOST) + 1n] as const;
		expect(read(1, tooLong)).toEqual([[Number(end) - MOST, MOST]]);
		expect(codeOf(() => read(2, tooLong, [0n, 1n]))).toBe("EFAULT");
		expect(codeOf(() => read(1, [end, 1n]))).toBe("EFAULT");
	});

	test("is not read or written beyond MAX_RW_COUNT in all, whatever its buffers are", () => {
		const half = BigInt(MOST / 2);
		expect(read(4, [0n, half], [1n, half - 1n], [2n, 5n], [3n, 5n])).toEqual([
			[0, MOST / 2],
			[1, MOST / 2 - 1],
			[2, 1],
		]);
		const lengths = fc.array(fc.integer({ min: 0, max: 2 ** 32 }), { minLength: 2, maxLength: 8 });
		fc.assert(
			fc.property(lengths, (lengths) => {
				const pieces = read(lengths.length, ...lengths.map((length) => [0n, BigInt(length)] as const));
				const sum = (numbers: readonly number[]) => numbers.reduce((sum, number) => sum + number, 0);
				expect(sum(pieces.map(([, length]) => length))).toBe(Math.min(MOST, sum(lengths)));
			}),
		);
	});
});

test("a single buffer has to be in user space as a whole, and is used as far as MAX_RW_COUNT", () => {
	expect(onePiece(8, 2 ** 40)).toEqual({ address: 8, length: MOST });
	expect(onePiece(PINNABLE_END - 4, 4).length).toBe(4);
	expect(codeOf(() => onePiece(PINNABLE_END - 4, 5))).toBe("EFAULT");
	expect(codeOf(() => onePiece(0, 2 ** 63))).toBe("EFAULT");
});
