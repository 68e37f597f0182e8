import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BadBytes, ByteReader, ByteWriter, TextsReceived, TextsSent } from "./bytes.js";

function readerOf(write: (writer: ByteWriter) => void): ByteReader {
	const writer = new ByteWriter();
	write(writer);
	return new ByteReader(writer.bytes, 0, writer.length);
}

/** Also addresses near the end of 64 bits, as doubles have them. */
const address = fc.oneof(
	fc.maxSafeNat(),
	fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map(Number),
	fc.constantFrom(0, 0x7f, 0x80, 0x7fff_ffff, 0x8000_0000, 2 ** 53, 2 ** 64),
);

describe("what is written is read", () => {
	test("numbers", () => {
		const property = fc.property(address, (value) => {
			const reader = readerOf((writer) => writer.number(value));
			expect(reader.number()).toBe(value);
			expect(reader.left).toBe(0);
		});
		fc.assert(property, { numRuns: 1000 });
	});

	test("numbers with a sign", () => {
		const property = fc.property(fc.maxSafeInteger(), (value) => {
			const reader = readerOf((writer) => writer.signed(value));
			expect(reader.signed()).toBe(value === 0 ? 0 : value);
			expect(reader.left).toBe(0);
		});
		fc.assert(property, { numRuns: 1000 });
	});

	test("numbers of 64 bits", () => {
		const property = fc.property(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), (value) => {
			expect(readerOf((writer) => writer.u64(value)).u64()).toBe(value);
		});
		fc.assert(property);
	});

	test("texts, of any length and in any script", () => {
		const text = fc.oneof(fc.string({ unit: "binary", maxLength: 300 }), fc.string({ maxLength: 200 }));
		const property = fc.property(text, (value) => {
			const reader = readerOf((writer) => writer.text(value));
			expect(reader.text()).toBe(value);
			expect(reader.left).toBe(0);
		});
		fc.assert(property, { numRuns: 500 });
	});

	test("a struct by what differs from another", () => {
		const pair = fc.integer({ min: 0, max: 80 }).chain((length) => {
			const bytes = fc.uint8Array({ minLength: length, maxLength: length, max: 2 });
			return fc.tuple(bytes, bytes);
		});
		const property = fc.property(pair, ([now, before]) => {
			const reader = readerOf((writer) => writer.difference(now, before));
			expect(reader.difference(before)).toEqual(now);
			expect(reader.left).toBe(0);
		});
		fc.assert(property, { numRuns: 1000 });
	});

	test("texts that are sent again, by number", () => {
		const property = fc.property(fc.array(fc.constantFrom("", "a", "bb", "/dev/iommu")), (texts) => {
			const sent = new TextsSent();
			const reader = readerOf((writer) => {
				for (const text of texts) sent.write(writer, text);
			});
			const received = new TextsReceived();
			expect(texts.map(() => received.read(reader))).toEqual(texts);
		});
		fc.assert(property);
	});
});

test("a struct that hasn't changed takes a byte, one with another address a few", () => {
	const before = new Uint8Array(40);
	const now = before.slice();
	const lengthOf = () => {
		const writer = new ByteWriter();
		writer.difference(now, before);
		return writer.length;
	};
	expect(lengthOf()).toBe(1);
	now.set([0x10, 0x20], 17);
	expect(lengthOf()).toBe(5);
});

test("whatever bytes there are, they are read or refused", () => {
	const reads: ((reader: ByteReader) => unknown)[] = [
		(reader) => reader.number(),
		(reader) => reader.count(7),
		(reader) => reader.signed(),
		(reader) => reader.u64(),
		(reader) => reader.block(),
		(reader) => reader.text(),
		(reader) => reader.difference(new Uint8Array(4)),
		(reader) => new TextsReceived().read(reader),
	];
	const property = fc.property(fc.uint8Array({ maxLength: 14 }), fc.constantFrom(...reads), (bytes, read) => {
		const reader = new ByteReader(bytes);
		try {
			read(reader);
			expect(reader.left).toBeGreaterThanOrEqual(0);
		} catch (error) {
			expect(error).toBeInstanceOf(BadBytes);
		}
	});
	fc.assert(property, { numRuns: 2000 });
});
