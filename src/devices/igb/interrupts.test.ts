import { expect, test } from "vitest";
import { frame, TestDriver } from "./igb.testing.js";
import { Cause, Gpie, Register } from "./registers.js";

const MSIX = Gpie.MULTIPLE_MSIX | Gpie.EIAME;
const RECEIVE_VALID = 0x80;

/** As Linux's selftest driver sets it up: vector 0 for what queue 0 receives. */
function withMsix(): TestDriver {
	const driver = new TestDriver();
	driver.loopBack();
	driver.start();
	driver.write(Register.GPIE, MSIX);
	driver.write(Register.EIAC, 1);
	driver.write(Register.EIAM, 1);
	driver.write(Register.IVAR, RECEIVE_VALID);
	driver.write(Register.EIMS, 1);
	return driver;
}

test("software has a vector sent by EICS, once, and it masks and clears itself", () => {
	const driver = withMsix();
	driver.write(Register.EICS, 1);
	expect([driver.port.interrupts, driver.read(Register.EIMS), driver.read(Register.EICR)]).toEqual([[0], 0, 0]);
	driver.write(Register.EICS, 1);
	expect(driver.port.interrupts).toEqual([0]);
	driver.write(Register.EIMS, 1);
	expect(driver.port.interrupts).toEqual([0, 0]);
});

test("what is received while its vector is masked, and acknowledged, interrupts nobody", () => {
	const driver = withMsix();
	driver.write(Register.EIMC, 1);
	driver.send(frame(60));
	expect(driver.receive()).toBeDefined();
	driver.write(Register.EICR, 0xffff_ffff);
	driver.write(Register.EIMS, 1);
	expect(driver.port.interrupts).toEqual([]);
	driver.send(frame(60));
	expect(driver.port.interrupts).toEqual([0]);
});

test("what isn't acknowledged interrupts as soon as its vector is unmasked", () => {
	const driver = withMsix();
	driver.write(Register.EIMC, 1);
	driver.send(frame(60));
	driver.write(Register.EIMS, 1);
	expect(driver.port.interrupts).toEqual([0]);
});

test("each queue and direction has its own place in IVAR, and without a valid entry there is no vector", () => {
	const driver = new TestDriver();
	driver.loopBack();
	driver.start({ queues: [0, 9] });
	driver.write(Register.GPIE, MSIX);
	driver.write(Register.IVAR, 0x0000_8381);
	driver.write(Register.IVAR + 4, 0x8400_0000);
	driver.write(Register.EIMS, 0x1f);
	driver.send(frame(60));
	expect([...driver.port.interrupts].sort()).toEqual([1, 3]);
	driver.send(frame(60), { queue: 9 });
	expect([...driver.port.interrupts].sort()).toEqual([1, 1, 3, 4]);
	driver.write(Register.IVAR, 0);
	driver.send(frame(60));
	expect(driver.port.interrupts.length).toBe(4);
});

test("other causes have the vector of IVAR_MISC", () => {
	const driver = new TestDriver();
	driver.write(Register.GPIE, MSIX);
	driver.write(Register.IVAR_MISC, 0x8500);
	driver.write(Register.EIMS, 1 << 5);
	driver.loopBack();
	expect(driver.port.interrupts).toEqual([]);
	driver.write(Register.IMS, Cause.LSC);
	expect(driver.port.interrupts).toEqual([5]);
});

test("without EIAME a vector is masked when EICR is read, which clears it", () => {
	const driver = new TestDriver();
	driver.write(Register.GPIE, Gpie.MULTIPLE_MSIX);
	driver.write(Register.EIAM, 4);
	driver.write(Register.EIMS, 6);
	driver.write(Register.EICS, 6);
	expect([driver.port.interrupts, driver.read(Register.EIMS)]).toEqual([[1, 2], 6]);
	expect([driver.read(Register.EICR), driver.read(Register.EICR), driver.read(Register.EIMS)]).toEqual([6, 0, 2]);
});

test("without MSI-X all share the pin, which is asserted until the cause is read", () => {
	const driver = new TestDriver();
	driver.loopBack();
	driver.start();
	driver.read(Register.ICR);
	driver.write(Register.IMS, Cause.RXDW);
	driver.send(frame(60));
	expect([driver.port.interrupts, driver.port.isAsserted]).toEqual([[0], true]);
	const causes = (Cause.RXDW | Cause.TXDW | Cause.INT_ASSERTED) >>> 0;
	expect([driver.read(Register.ICR), driver.port.isAsserted, driver.read(Register.ICR)]).toEqual([causes, false, 0]);
	driver.write(Register.ICS, Cause.RXDW);
	expect(driver.port.isAsserted).toBe(true);
	driver.write(Register.IMC, Cause.RXDW);
	expect(driver.port.isAsserted).toBe(false);
	driver.write(Register.IMS, Cause.RXDW);
	expect([driver.port.isAsserted, driver.port.interrupts.length]).toEqual([true, 3]);
	driver.write(Register.ICR, Cause.RXDW);
	expect(driver.port.isAsserted).toBe(false);
});

test("a masked cause isn't cleared by a read, but with NSICR it is", () => {
	const driver = new TestDriver();
	driver.write(Register.IMS, Cause.LSC);
	driver.write(Register.ICS, Cause.TXDW);
	expect([driver.read(Register.ICR), driver.read(Register.ICR)]).toEqual([Cause.TXDW, Cause.TXDW]);
	driver.write(Register.GPIE, Gpie.NSICR);
	expect([driver.read(Register.ICR), driver.read(Register.ICR)]).toEqual([Cause.TXDW, 0]);
});

test("reading the cause masks what IAM says", () => {
	const driver = new TestDriver();
	driver.write(Register.IAM, Cause.LSC);
	driver.write(Register.IMS, Cause.LSC | Cause.RXDW);
	driver.write(Register.ICS, Cause.LSC);
	driver.read(Register.ICR);
	expect(driver.read(Register.IMS)).toBe(Cause.RXDW);
});

test("without MSI-X queues have bits of EICR, too, which are enabled on their own", () => {
	const driver = new TestDriver();
	driver.loopBack();
	driver.start();
	driver.write(Register.IVAR, 0x83);
	driver.write(Register.EIMS, 1 << 3);
	driver.send(frame(60));
	expect([driver.port.isAsserted, driver.read(Register.EICR), driver.port.isAsserted]).toEqual([true, 8, false]);
});

test("a reset takes back what is asserted", () => {
	const driver = new TestDriver();
	driver.write(Register.IMS, Cause.RXDW);
	driver.write(Register.ICS, Cause.RXDW);
	driver.igb.reset();
	expect([driver.port.isAsserted, driver.read(Register.ICR), driver.read(Register.IMS)]).toEqual([false, 0, 0]);
});
