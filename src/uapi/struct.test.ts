import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
	array,
	calledInC,
	flags,
	inout,
	mustBeZero,
	out,
	pointer,
	s32,
	samePlaceAs,
	u8,
	u16,
	u32,
	u64,
} from "./field.js";
import { type Args, command, decode, encode, struct, variantCommand, vfioCommand } from "./struct.js";

/** "first=0 second=4": fields and offsets as people compare them with a compiler's. */
function layout(description: { fields: readonly { cName: string; offset: number }[] }): string {
	return description.fields.map((field) => `${field.cName}=${field.offset}`).join(" ");
}

const Every = struct("every", {
	byte: u8,
	half: u16,
	word: u32,
	negative: s32,
	long: u64,
	userPointer: pointer,
	letters: array(u8, 3),
	longs: array(u64, 2),
});

describe("layout", () => {
	test("a field is aligned to its size, and the struct to its largest field", () => {
		const mixed = struct("mixed", { first: u8, second: u32, third: u16, fourth: u64, fifth: u8 });
		expect(layout(mixed)).toBe("first=0 second=4 third=8 fourth=16 fifth=24");
		expect(mixed.size).toBe(32);
	});

	test("an array is aligned as one of its elements", () => {
		const arrays = struct("arrays", { first: u8, letters: array(u8, 3), longs: array(u64, 2) });
		expect(layout(arrays)).toBe("first=0 letters=1 longs=8");
		expect(arrays.size).toBe(24);
	});

	test("a struct of u32 only isn't padded to 8 bytes", () => {
		expect(struct("three", { a: u32, b: u32, c: u32 }).size).toBe(12);
	});

	test("a command begins with its size, a VFIO command with argsz", () => {
		expect(layout(command(0x80, "SOME", { id: u32 }))).toBe("size=0 id=4");
		expect(layout(vfioCommand(100, "SOME", { flags: flags({}) }))).toBe("argsz=0 flags=4");
	});

	test("names in C are the names here in snake_case, and reserved fields begin with two underscores", () => {
		const names = struct("names", { outIoasId: out(u32), reserved2: u32, val64: u32, own: calledInC("a.b", u32) });
		expect(names.fields.map((field) => field.cName)).toEqual(["out_ioas_id", "__reserved2", "val64", "a.b"]);
	});

	test("two fields of a union have one place", () => {
		const union = struct("union", { inType: u32, outType: samePlaceAs("inType", out(u32)), after: u32 });
		expect(layout(union)).toBe("in_type=0 out_type=0 after=4");
		const view = union.newView();
		view.inType = 3;
		expect(view.outType).toBe(3);
	});

	test("a command's minimum ends with the last field that is required", () => {
		const grown = command(0x80, "GROWN", { old: u32, reserved: mustBeZero(array(u8, 3)), young: u64 }, "reserved");
		expect([grown.minimumSize, grown.size]).toEqual([11, 24]);
		expect(command(0x80, "SAME", { id: u32 }).minimumSize).toBe(8);
	});
});

describe("views", () => {
	test("a view reads and writes the bytes in little-endian order", () => {
		const view = Every.newView();
		view.byte = 0x11;
		view.half = 0x2233;
		view.word = 0x44556677;
		view.negative = -2;
		view.long = 0x8899aabbccddeeffn;
		const bytes = [0x11, 0, 0x33, 0x22, 0x77, 0x66, 0x55, 0x44, 0xfe, 0xff, 0xff, 0xff, 0, 0, 0, 0];
		expect([...view.bytes.subarray(0, 24)]).toEqual([...bytes, 0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99, 0x88]);
		expect([view.byte, view.half, view.word, view.negative]).toEqual([0x11, 0x2233, 0x44556677, -2]);
		expect(view.long).toBe(0x8899aabbccddeeffn);
	});

	test("writing an element of an array writes the struct", () => {
		const view = Every.newView();
		view.longs[1] = 5n;
		expect(decode(Every, view.bytes).longs).toEqual(BigUint64Array.of(0n, 5n));
	});

	test("a handler can write the outputs of a struct, and only these", () => {
		const Some = command(0x80, "SOME", { flags: flags({}), length: inout(u64), outId: out(u32) });
		function handler(some: Args<typeof Some>): void {
			some.outId = some.flags;
			some.length += 1n;
			// @ts-expect-error what the caller wrote stays as it is
			some.flags = 0;
		}
		Some.view.bytes.set(encode(Some, { flags: 7, length: 1n }));
		handler(Some.view);
		expect(decode(Some, Some.view.bytes)).toEqual({ size: 24, flags: 0, length: 2n, outId: 7 });
	});

	test("each new view has bytes of its own", () => {
		const one = Every.newView();
		const other = Every.newView();
		one.word = 1;
		expect(other.word).toBe(0);
	});

	test("a pointer is exact below 2^53", () => {
		const view = Every.newView();
		fc.assert(
			fc.property(fc.maxSafeNat(), (address) => {
				view.userPointer = address;
				expect(view.userPointer).toBe(address);
			}),
		);
	});

	test("a pointer that no memory has is still about right", () => {
		const Long = struct("long", { value: u64, same: samePlaceAs("value", pointer) });
		const view = Long.newView();
		view.value = 2n ** 64n - 1n;
		expect(view.same).toBe(2 ** 64);
	});
});

describe("encode and decode", () => {
	test("what is encoded decodes to the same values", () => {
		const values = fc.record({
			byte: fc.integer({ min: 0, max: 0xff }),
			half: fc.integer({ min: 0, max: 0xffff }),
			word: fc.integer({ min: 0, max: 0xffffffff }),
			negative: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
			long: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
			userPointer: fc.maxSafeNat(),
			letters: fc.uint8Array({ minLength: 3, maxLength: 3 }),
			longs: fc.bigUint64Array({ minLength: 2, maxLength: 2 }),
		});
		fc.assert(
			fc.property(values, (some) => {
				expect(decode(Every, encode(Every, some))).toEqual(some);
			}),
		);
	});

	test("the size is filled in unless it is given", () => {
		const Some = command(0x80, "SOME", { id: u32, value: inout(u64) });
		expect(decode(Some, encode(Some, { id: 7 }))).toEqual({ size: 16, id: 7, value: 0n });
		expect(decode(Some, encode(Some, { size: 8 })).size).toBe(8);
	});

	test("a struct that is too short goes on with zeroes", () => {
		expect(decode(Every, Uint8Array.of(1)).word).toBe(0);
	});
});

describe("a command with variants", () => {
	const Ops = { NARROW: 1, WIDE: 2 } as const;
	const Many = variantCommand(
		0xa0,
		"MANY",
		Ops,
		{ op: u32 },
		{ NARROW: { half: u16 }, WIDE: { first: u32, second: u64 } },
		{ last: u32 },
	);

	test("the union begins at 8 bytes, and what follows it begins where its largest variant ends", () => {
		expect(layout(Many)).toBe("size=0 op=4 last=24");
		expect(layout(Many.variants.NARROW)).toBe("size=0 op=4 half=8 last=24");
		expect(layout(Many.variants.WIDE)).toBe("size=0 op=4 first=8 second=16 last=24");
		expect([Many.size, Many.minimumSize, Many.variants.NARROW.size]).toEqual([32, 28, 32]);
	});

	test("all variants look at the same bytes", () => {
		Many.view.bytes.set([0xcd, 0xab], 8);
		expect(Many.variants.NARROW.view.half).toBe(0xabcd);
		expect(Many.variants.WIDE.view.first).toBe(0xabcd);
	});

	test("a variant is found by its number", () => {
		expect(Many.variantOf(Ops.WIDE)).toBe(Many.variants.WIDE);
		expect(Many.variantOf(3)).toBeUndefined();
	});
});

test("only a size at the very beginning is filled in", () => {
	expect([...encode(struct("other", { first: u32, size: u32 }), { first: 1 })]).toEqual([1, 0, 0, 0, 0, 0, 0, 0]);
	expect([...encode(struct("plain", { id: u32 }), {})]).toEqual([0, 0, 0, 0]);
	expect([...encode(command(0x80, "SOME", { id: u32 }), {})]).toEqual([8, 0, 0, 0, 0, 0, 0, 0]);
});
