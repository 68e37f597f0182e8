import { expect, test } from "vitest";
import type { VfioUserClient } from "./client.js";
import { CONFIG_REGION, identityOf } from "./identity.js";

interface Server {
	/** Bytes of its regions. */
	readonly sizes?: Readonly<Record<number, number>>;
	/** Vectors of INTx, MSI and MSI-X. */
	readonly vectors?: readonly number[];
	/** Words of its configuration space, by their places. */
	readonly words?: Readonly<Record<number, number>>;
}

/** What a server says of itself, made into a function. */
function ask({ sizes = {}, vectors = [0, 0, 0], words = {} }: Server) {
	const config = new DataView(new ArrayBuffer(256));
	for (const [at, word] of Object.entries({ 0: 0x5678_1234, ...words })) config.setUint32(Number(at), word, true);
	const size: Record<number, number> = { [CONFIG_REGION]: 256, ...sizes };
	return identityOf({
		regions: Array.from({ length: 9 }, (_, index) => ({ size: size[index] ?? 0 })),
		interrupts: vectors.map((count, index) => ({ index, count, hasEventFds: true })),
		read: (_region: number, offset: number, into: Uint8Array) =>
			into.set(new Uint8Array(config.buffer, offset, into.length)),
	} as unknown as VfioUserClient);
}

const HAS_CAPABILITIES = 0x0010_0000;

test("a BAR is the power of two that its region fits into, of the kind that its register says", () => {
	const { bars } = ask({
		sizes: { 0: 8, 1: 0x3000, 2: 24, 4: 2 ** 31 },
		words: { 16: 1, 20: 0, 24: 8, 32: 0xc },
	});
	expect(bars).toEqual([
		{ index: 0, size: 8, space: "io", prefetchable: false },
		{ index: 1, size: 0x4000, space: "memory32", prefetchable: false },
		{ index: 2, size: 32, space: "memory32", prefetchable: true },
		{ index: 4, size: 2 ** 31, space: "memory64", prefetchable: true },
	]);
	expect(ask({ sizes: { 0: 1, 1: 1 }, words: { 16: 1 } }).bars.map(({ size }) => size)).toEqual([4, 16]);
	expect(() => ask({ sizes: { 0: 2 ** 41 } })).toThrow("BAR 0");
});

test("it has no more vectors than its capabilities have, and its server", () => {
	const msi = { 4: HAS_CAPABILITIES, 52: 0x50, 80: 0x0006_0005 }; // capable of 8
	expect(ask({ words: msi, vectors: [0, 32, 0] }).msiVectors).toBe(8);
	expect(ask({ words: msi, vectors: [0, 3, 0] }).msiVectors).toBe(2);
	expect(ask({ words: msi, vectors: [0, 0, 0] }).msiVectors).toBe(0);
	const msix = { 4: HAS_CAPABILITIES, 52: 0x40, 64: 0x000f_0011, 68: 0x1000, 72: 0x1800 };
	expect(ask({ words: msix, vectors: [0, 0, 5], sizes: { 0: 0x2000 } }).msix).toEqual({
		...{ vectors: 5, bar: 0, tableOffset: 0x1000, pendingOffset: 0x1800 },
	});
	expect(() => ask({ words: msix, vectors: [0, 0, 5] })).toThrow("MSI-X table is in BAR 0");
});

test("a list of capabilities that leads to itself comes to an end", () => {
	expect(ask({ words: { 4: HAS_CAPABILITIES, 52: 0x40, 64: 0x0000_4010 } }).express).toBe(true);
});

test("what has no vendor, or too small a configuration space, is no function", () => {
	expect(() => ask({ words: { 0: 0xffff_ffff } })).toThrow("no vendor ID");
	expect(() => ask({ sizes: { [CONFIG_REGION]: 64 } })).toThrow("has 64 bytes");
});
