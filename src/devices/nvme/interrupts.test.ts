import { beforeEach, expect, test } from "vitest";
import { TestDriver } from "./driver.testing.js";
import { NvmOpcode } from "./nvm.js";
import { NvmeRegister } from "./registers.js";

const flush = { opcode: NvmOpcode.FLUSH, namespace: 1 };
let driver: TestDriver;

beforeEach(() => {
	driver = new TestDriver();
	driver.enable();
	driver.createQueues(1, 16, { vector: 1, interrupts: true });
	driver.createQueues(2, 16, { vector: 40, interrupts: true });
	driver.createQueues(3, 16, { vector: 3 });
	driver.port.interrupts.length = 0;
});

/** Has a queue complete some commands, and nobody take them. */
function complete(id: number, count = 1): void {
	driver.submit(id, ...Array.from({ length: count }, () => flush));
	driver.run();
}

test("a queue interrupts by its own vector, once for completions that come together, and not at all if it isn't to", () => {
	complete(1, 3);
	complete(2);
	complete(3);
	complete(0);
	expect(driver.port.interrupts).toEqual([1, 40, 0]);
});

test("the pin is asserted until the last completion is taken", () => {
	complete(1);
	complete(2);
	expect(driver.port.isAsserted).toBe(true);
	driver.poll(1);
	expect(driver.port.isAsserted).toBe(true);
	driver.poll(2);
	expect(driver.port.isAsserted).toBe(false);
});

test("a vector that is masked waits until it is unmasked", () => {
	driver.write32(NvmeRegister.INTMS, 1 << 1);
	expect([driver.read32(NvmeRegister.INTMS), driver.read32(NvmeRegister.INTMC)]).toEqual([2, 2]);
	complete(1);
	complete(2);
	expect(driver.port.interrupts).toEqual([40]);
	driver.write32(NvmeRegister.INTMC, 1 << 2);
	expect(driver.port.interrupts).toEqual([40]);
	driver.write32(NvmeRegister.INTMC, 0xffff_ffff);
	expect(driver.port.interrupts).toEqual([40, 1]);
	expect(driver.read32(NvmeRegister.INTMS)).toBe(0);
});

test("masking what asserts the pin deasserts it, and unmasking asserts it again", () => {
	complete(1);
	driver.write32(NvmeRegister.INTMS, 1 << 1);
	expect(driver.port.isAsserted).toBe(false);
	driver.write32(NvmeRegister.INTMC, 1 << 1);
	expect(driver.port.isAsserted).toBe(true);
});

test("what was taken while it was masked doesn't interrupt", () => {
	driver.write32(NvmeRegister.INTMS, 1 << 1);
	complete(1);
	driver.poll(1);
	driver.write32(NvmeRegister.INTMC, 1 << 1);
	expect(driver.port.interrupts).toEqual([]);
});

test("a reset ends the mask and the interrupt", () => {
	complete(1);
	driver.write32(NvmeRegister.INTMS, 1);
	driver.disable();
	expect([driver.port.isAsserted, driver.read32(NvmeRegister.INTMS)]).toEqual([false, 0]);
});
