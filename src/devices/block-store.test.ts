import fc from "fast-check";
import { expect, test } from "vitest";
import { MemoryStore } from "./block-store.js";

const SIZE = 300_000;

test("a store in memory reads as an array of bytes does", () => {
	const stretch = fc
		.tuple(fc.nat(SIZE - 1), fc.nat(150_000))
		.map(([at, length]) => [at, Math.min(length, SIZE - at)] as const);
	const step = fc.oneof(
		fc.record({ kind: fc.constant("write" as const), stretch, byte: fc.integer({ min: 1, max: 255 }) }),
		fc.record({ kind: fc.constant("discard" as const), stretch, byte: fc.constant(0) }),
	);
	fc.assert(
		fc.property(fc.array(step, { maxLength: 8 }), (steps) => {
			const store = new MemoryStore(SIZE);
			const naive = new Uint8Array(SIZE);
			for (const { kind, stretch, byte } of steps) {
				const [at, length] = stretch;
				if (kind === "write") store.write(at, new Uint8Array(length).fill(byte));
				else store.discard(at, length);
				naive.fill(byte, at, at + length);
			}
			const all = new Uint8Array(SIZE).fill(0xee);
			store.read(0, all);
			expect(Buffer.compare(all, naive)).toBe(0);
		}),
		{ numRuns: 50 },
	);
});
