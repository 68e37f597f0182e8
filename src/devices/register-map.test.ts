import fc from "fast-check";
import { expect, test } from "vitest";
import { PlainRegister, RegisterMap, readOnly } from "./register-map.js";

test("an access of any width touches the bytes that it covers, as in plain memory", () => {
	const access = fc.record({
		isWrite: fc.boolean(),
		size: fc.constantFrom(1, 2, 4, 8),
		place: fc.nat(15),
		value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
	});
	fc.assert(
		fc.property(fc.array(access), (accesses) => {
			const map = new RegisterMap();
			// 16 bytes in registers of all sizes.
			for (const [offset, size] of [
				[0, 1],
				[1, 1],
				[2, 2],
				[4, 4],
				[8, 8],
			] as const)
				map.add(offset, new PlainRegister(size));
			const memory = new DataView(new ArrayBuffer(16));
			const get = (at: number, size: number) =>
				Array.from({ length: size }, (_, i) => BigInt(memory.getUint8(at + i)) << BigInt(8 * i)).reduce(
					(a, b) => a | b,
				);
			for (const { isWrite, size, place, value } of accesses) {
				const at = place - (place % size);
				const bits = value & ((1n << BigInt(8 * size)) - 1n);
				if (!isWrite) expect(map.read(at, size)).toBe(get(at, size));
				else {
					map.write(at, size, bits);
					for (let i = 0; i < size; i++) memory.setUint8(at + i, Number((bits >> BigInt(8 * i)) & 0xffn));
				}
			}
		}),
	);
});

test("where no register is, nothing is kept", () => {
	const map = new RegisterMap();
	map.add(
		2,
		readOnly(2, () => 0x1234n),
	);
	map.add(8, new PlainRegister(4, { initial: 0xffff_ffffn, writable: 0xff00n }));
	map.write(0, 8, 0xffff_ffff_ffff_ffffn);
	map.write(8, 4, 0n);
	expect([map.read(0, 8), map.read(3, 1), map.read(8, 8), map.read(0x100, 4)]).toEqual([
		0x1234_0000n,
		0x12n,
		0xffff_00ffn,
		0n,
	]);
});
