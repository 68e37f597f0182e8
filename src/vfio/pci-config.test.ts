import { expect, test } from "vitest";
import { EDU } from "./hardware.testing.js";
import { PciConfig } from "./pci-config.js";

test("the header says what the function is: 6.1", () => {
	const config = new PciConfig(EDU);
	expect([config.u16(0), config.u16(2)]).toEqual([0x1234, 0x11e8]);
	expect(config.u32(8)).toBe(0x00ff0010); // class code, revision
	expect(config.u8(0x0e)).toBe(0); // header type
	expect([config.u16(0x2c), config.u16(0x2e)]).toEqual([0x1af4, 0x1100]);
	expect(config.u8(0x3d)).toBe(1); // INTA
	expect(config.bytes).toHaveLength(256);
});

test("a BAR says its space and its address: 6.2.5", () => {
	const config = new PciConfig({
		...EDU,
		bars: [
			{ index: 0, size: 4096, space: "memory32", prefetchable: false, address: 0xfe00_0000n },
			{ index: 1, size: 32, space: "io", prefetchable: false, address: 0x6000n },
			{ index: 2, size: 1 << 20, space: "memory64", prefetchable: true, address: 0x80_1234_0000n },
		],
	});
	expect([config.u32(0x10), config.u32(0x14), config.u32(0x18), config.u32(0x1c)]).toEqual([
		0xfe00_0000, 0x6001, 0x1234_000c, 0x80,
	]);
	expect(config.u16(4)).toBe(3); // memory and I/O decoding
});

test("capabilities are linked from 34h on", () => {
	const msix = { vectors: 65, bar: 4, tableOffset: 0x2000, pendingOffset: 0x3000 };
	const config = new PciConfig({ ...EDU, msiVectors: 8, msix, isExpress: true });
	expect(config.u16(6) & 0x10).toBe(0x10);
	const [express, msi, x] = [0x10, 0x05, 0x11].map((id) => config.capability(id));
	expect(config.u16(express + 2) & 0xf).toBe(2);
	expect((config.u16(msi + 2) >> 1) & 7).toBe(3); // 8 vectors
	expect(config.u16(x + 2) & 0x7ff).toBe(64); // one less than the vectors
	expect([config.u32(x + 4), config.u32(x + 8)]).toEqual([0x2004, 0x3004]);
	expect(config.capability(0x09)).toBe(0);
});

test("a function without capabilities has no list", () => {
	const config = new PciConfig({ ...EDU, msiVectors: 0 });
	expect([config.u16(6) & 0x10, config.u8(0x34)]).toEqual([0, 0]);
});

test("extended capabilities begin at 100h, and the last one ends the list", () => {
	const config = new PciConfig({ ...EDU, isExpress: true, ats: true, pri: true, pasidBits: 20 });
	const found: [id: number, at: number][] = [];
	for (let at = 0x100; at !== 0; at = config.u32(at) >>> 20) found.push([config.u32(at) & 0xffff, at]);
	expect(found.map(([id]) => id)).toEqual([0x0f, 0x13, 0x1b]);
	expect(config.u16(found[2][1] + 4) >> 8).toBe(20); // Max PASID Width
	expect(config.bytes).toHaveLength(4096);
	expect(new PciConfig({ ...EDU, isExpress: true }).u32(0x100)).toBe(0);
});

test("a physical function says where its virtual functions are, and what they have: 9.3.3", () => {
	const bar = { index: 1, size: 2 ** 14, space: "memory64", prefetchable: true, address: 0x80_0001_0000n } as const;
	const sriov = { count: 7, offset: 128, stride: 2, deviceId: 0x10ca, bars: [bar] };
	const config = new PciConfig({ ...EDU, isExpress: true, ats: true, sriov });
	const at = config.u32(0x100) >>> 20;
	expect(config.u32(at) & 0xfffff).toBe(0x10010);
	const sixteen = (offset: number) => config.u16(at + offset);
	// InitialVFs, TotalVFs, NumVFs, First VF Offset, VF Stride, VF Device ID
	expect([0x0c, 0x0e, 0x10, 0x14, 0x16, 0x1a].map(sixteen)).toEqual([7, 7, 0, 128, 2, 0x10ca]);
	expect([config.u32(at + 0x28), config.u32(at + 0x2c)]).toEqual([0x0001_000c, 0x80]);
	config.setVirtualFunctions(5);
	config.restore();
	expect([sixteen(0x10), sixteen(0x08)]).toEqual([5, 9]);
});

test("only a function with a pin can have it disabled", () => {
	for (const interruptPin of [0, 1]) {
		const config = new PciConfig({ ...EDU, interruptPin });
		config.write(5, 0xff);
		expect(config.u8(5) & 4).toBe(interruptPin === 0 ? 0 : 4);
	}
});
