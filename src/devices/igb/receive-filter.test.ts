import { expect, test } from "vitest";
import { frame, TestDriver } from "./igb.testing.js";
import { Ctrl, Rctl, Register } from "./registers.js";

const BROADCAST = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
const OWN = [2, 0, 0, 0, 0, 1];

function setUp(rctl = 0): (to: number[], from?: number[]) => boolean {
	const driver = new TestDriver();
	driver.loopBack();
	driver.start();
	driver.write(Register.RCTL, Rctl.RXEN | rctl);
	return withDriver(driver);
}

function withDriver(driver: TestDriver): (to: number[], from?: number[]) => boolean {
	return (to, from) => {
		driver.send(frame(60, { to, ...(from ? { from } : {}) }));
		return driver.receive() !== undefined;
	};
}

test("it takes its own address, and others only where it is told to", () => {
	const takes = setUp();
	expect([takes(OWN), takes([2, 0, 0, 0, 0, 7]), takes([1, 0, 0, 0, 0, 1]), takes(BROADCAST)]).toEqual([
		true,
		false,
		false,
		false,
	]);
	expect(setUp(Rctl.UPE)([2, 0, 0, 0, 0, 7])).toBe(true);
	expect(setUp(Rctl.MPE)([1, 0, 0, 0, 0, 1])).toBe(true);
	expect([setUp(Rctl.BAM)(BROADCAST), setUp(Rctl.MPE)(BROADCAST)]).toEqual([true, false]);
});

test("there are 24 addresses, of the destination or of the source", () => {
	const driver = new TestDriver();
	driver.loopBack();
	driver.start();
	driver.write(Register.RCTL, Rctl.RXEN);
	const takes = withDriver(driver);
	driver.write(Register.RAL16 + 8 * 7, 0x3344_2202);
	driver.write(Register.RAL16 + 8 * 7 + 4, 0x6655);
	expect(takes([2, 0x22, 0x44, 0x33, 0x55, 0x66])).toBe(false);
	driver.write(Register.RAL16 + 8 * 7 + 4, 0x8000_6655);
	expect(takes([2, 0x22, 0x44, 0x33, 0x55, 0x66])).toBe(true);
	driver.write(Register.RAL16 + 8 * 7 + 4, 0x8001_6655);
	expect([
		takes([2, 0x22, 0x44, 0x33, 0x55, 0x66]),
		takes([2, 0, 0, 0, 0, 9], [2, 0x22, 0x44, 0x33, 0x55, 0x66]),
	]).toEqual([false, true]);
});

test.each([
	[0, 0xa98],
	[1, 0x530],
	[2, 0xa60],
	[3, 0x983],
])("multicast addresses are hashed as offset %i says", (offset, bit) => {
	const driver = new TestDriver();
	driver.loopBack();
	driver.start();
	driver.write(Register.RCTL, Rctl.RXEN | (offset << Rctl.MO_SHIFT));
	const takes = withDriver(driver);
	// 0xa983 of the last 16 bits.
	const address = [1, 0, 0, 0, 0x83, 0xa9];
	expect(takes(address)).toBe(false);
	driver.write(Register.MTA + 4 * (bit >> 5), 1 << (bit & 31));
	expect(takes(address)).toBe(true);
	driver.write(Register.UTA + 4 * (bit >> 5), 1 << (bit & 31));
	expect(takes([2, 0, 0, 0, 0x83, 0xa9])).toBe(true);
});

test("a tag is looked up in the table of VLANs, taken out and told, and put in", () => {
	const driver = new TestDriver();
	driver.loopBack();
	driver.start({ rctl: Rctl.VFE });
	const tagged = frame(64);
	tagged.set([0x81, 0x00, 0x20, 0x65], 12);
	driver.send(tagged);
	expect(driver.receive()).toBeUndefined();
	driver.write(Register.VFTA + 4 * 3, 1 << 5);
	driver.send(tagged);
	expect(driver.receive()?.bytes).toEqual(tagged);
	driver.set(Register.CTRL, Ctrl.VME);
	driver.send(tagged);
	const got = driver.receive()!;
	expect([got.bytes, got.tag, got.status & 8]).toEqual([
		Uint8Array.of(...tagged.subarray(0, 12), ...tagged.subarray(16)),
		0x2065,
		8,
	]);
	// A context with the tag, and VLE.
	driver.putWords([0x2065 << 16, 0, 0x2020_0000, 0]);
	driver.send(got.bytes, { command: 0x6b30_0000 });
	const again = driver.receive()!;
	expect([again.bytes, again.tag]).toEqual([got.bytes, 0x2065]);
	driver.set(Register.RCTL, Rctl.CFIEN | Rctl.VFE);
	const canonical = tagged.slice();
	canonical[14] = 0x30;
	driver.send(canonical);
	expect(driver.receive()).toBeUndefined();
	driver.set(Register.RCTL, Rctl.CFI);
	driver.send(canonical);
	expect(driver.receive()?.tag).toBe(0x3065);
});
