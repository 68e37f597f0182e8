import fc from "fast-check";
import { expect, test } from "vitest";
import { capabilitiesIn } from "./pci-capabilities.js";

function space(size: number, ...words: [at: number, value: number][]): Uint8Array {
	const bytes = new Uint8Array(size);
	const view = new DataView(bytes.buffer);
	for (const [at, value] of words) view.setUint32(at, value, true);
	return bytes;
}

test("capabilities are found in both lists, with what they say", () => {
	const config = space(
		4096,
		[0x04, 0x0010_0000], // Status: there is a list
		[0x34, 0x40],
		[0x3c, 0x0100], // INTA
		[0x40, 0x000a_5005], // MSI: 32 vectors, next at 0x50
		[0x50, 0x0040_6011], // MSI-X: 65 vectors, next at 0x60
		[0x54, 0x2004],
		[0x58, 0x3004],
		[0x60, 0x0002_0010], // Express
		[0x64, 1 << 28], // with FLR
		[0x100, 0x1401_000f], // ATS
		[0x140, 0x1801_001b], // PASID
		[0x144, 0x1400_0000 >>> 16], // 20 bits
		[0x180, 0x1c01_0013], // PRI
		[0x1c0, 0x0001_0010], // SR-IOV
	);
	expect(capabilitiesIn(config)).toEqual({
		interruptPin: 1,
		msiVectors: 32,
		msix: { vectors: 65, bar: 4, tableOffset: 0x2000, pendingOffset: 0x3000 },
		express: true,
		ats: true,
		pri: true,
		pasidBits: 20,
		sriov: true,
		flr: true,
	});
});

test("a function that shows 64 bytes only has none, and so has one without a list", () => {
	const none = {
		interruptPin: 0,
		msiVectors: 0,
		msix: undefined,
		express: false,
		ats: false,
		pri: false,
		pasidBits: 0,
	};
	expect(capabilitiesIn(space(64, [0x04, 0x0010_0000], [0x34, 0x40]))).toMatchObject(none);
	expect(capabilitiesIn(space(256, [0x34, 0x40], [0x40, 0x10]))).toMatchObject(none);
	expect(capabilitiesIn(new Uint8Array())).toMatchObject(none);
});

test("whatever the bytes are, it ends, and every value is one that a machine file takes", () => {
	fc.assert(
		fc.property(fc.uint8Array({ minLength: 0, maxLength: 600 }), (bytes) => {
			const { msiVectors, pasidBits } = capabilitiesIn(bytes);
			expect([0, 1, 2, 4, 8, 16, 32]).toContain(msiVectors);
			expect(pasidBits).toBeLessThanOrEqual(20);
		}),
	);
});
