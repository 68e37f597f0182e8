import { expect, test } from "vitest";
import { allOnes } from "../endpoint.js";
import { areSame, COUNT, connected, frame, TestDriver } from "./igb.testing.js";
import { Cause, Ctrl, Dctl, QueueRegister, Rctl, Register, Status } from "./registers.js";

const TX = Register.TXDMA;
const RX = Register.RXDMA;
/** As in memory: padded. */
const padded = (bytes: Uint8Array) => Uint8Array.from({ length: Math.max(60, bytes.length) }, (_, i) => bytes[i] ?? 0);

test("a frame comes back by the PHY's loopback, and both descriptors are done", () => {
	const driver = new TestDriver();
	driver.loopBack();
	driver.start();
	const sent = frame(1024);
	driver.send(sent);
	expect(driver.isSent(0)).toBe(true);
	const got = driver.receive();
	expect(got?.bytes).toEqual(sent);
	expect([driver.read(TX + QueueRegister.HEAD), driver.read(RX + QueueRegister.HEAD)]).toEqual([1, 1]);
	expect(driver.receive()).toBeUndefined();
});

test("more frames than a ring has descriptors go through it, in their order", () => {
	const driver = new TestDriver();
	driver.loopBack();
	driver.start();
	for (let round = 0; round < 5; round++) {
		const sent = Array.from({ length: COUNT - 1 }, (_, i) => frame(60 + i, { fill: round + i }));
		for (const bytes of sent) driver.put(bytes);
		driver.kick();
		driver.settle();
		expect(areSame(driver.receiveAll(), sent)).toBe(true);
	}
});

test("without a link nothing is sent, and what waits goes out when there is one", () => {
	const driver = new TestDriver();
	driver.start();
	driver.send(frame(60));
	expect([driver.isSent(0), driver.read(TX + QueueRegister.HEAD)]).toEqual([false, 0]);
	driver.loopBack();
	driver.settle();
	expect([driver.isSent(0), driver.receive()?.bytes.length]).toEqual([true, 60]);
});

test("a queue reads as disabled until its direction is on", () => {
	const driver = new TestDriver();
	driver.write(TX + QueueRegister.DCTL, Dctl.ENABLE);
	driver.write(RX + QueueRegister.DCTL, Dctl.ENABLE);
	const enabled = () => [TX, RX].map((queue) => (driver.read(queue + QueueRegister.DCTL) & Dctl.ENABLE) !== 0);
	expect(enabled()).toEqual([false, false]);
	driver.start();
	expect(enabled()).toEqual([true, true]);
});

test("two ports with a wire between them have a link, and each gets what the other sends", () => {
	const [one, other] = connected();
	for (const driver of [one, other]) driver.start();
	const link = Status.LU | Status.FD | (2 << Status.SPEED_SHIFT);
	expect([one, other].map((driver) => driver.read(Register.STATUS) & link)).toEqual([link, link]);
	one.send(frame(100, { fill: 1 }));
	other.send(frame(200, { fill: 2 }));
	other.settle();
	one.settle();
	expect(other.receiveAll()).toEqual([frame(100, { fill: 1 })]);
	expect(one.receiveAll()).toEqual([frame(200, { fill: 2 })]);
});

test("who arrives is seen in memory only together with its interrupt", () => {
	const [one, other] = connected();
	for (const driver of [one, other]) driver.start();
	other.write(Register.IMS, Cause.RXDW);
	one.send(frame(100));
	expect([other.receive(), other.port.interrupts, other.port.wakes]).toEqual([undefined, [], 1]);
	other.settle();
	expect([other.receive()?.bytes.length, other.port.interrupts]).toEqual([100, [0]]);
});

test("the link goes with the other end's PHY or its loopback, and each change is a cause of an interrupt", () => {
	const [one, other] = connected();
	for (const driver of [one, other]) driver.start();
	const changed = () => [(one.read(Register.ICR) & Cause.LSC) !== 0, (one.read(Register.STATUS) & Status.LU) !== 0];
	expect(changed()).toEqual([true, true]);
	expect(changed()).toEqual([false, true]);
	other.phyWrite(0, 1 << 11);
	expect(changed()).toEqual([true, false]);
	other.phyWrite(0, 1 << 12);
	expect(changed()).toEqual([true, true]);
	other.loopBack();
	expect(changed()).toEqual([true, false]);
	other.igb.reset();
	expect(changed()).toEqual([true, true]);
	other.igb.close();
	expect(changed()).toEqual([true, false]);
});

test("a reset of the port forgets the queues but keeps the PHY; one of the function forgets that too", () => {
	const driver = new TestDriver();
	driver.loopBack();
	driver.start();
	driver.write(Register.MTA, 1);
	driver.send(frame(60));
	driver.write(Register.CTRL, driver.read(Register.CTRL) | Ctrl.RST);
	expect(driver.read(Register.CTRL) & Ctrl.RST).toBe(0);
	expect(driver.read(Register.EECD) & (1 << 9)).not.toBe(0);
	const state = () => [TX + QueueRegister.LEN, RX + QueueRegister.TAIL, Register.MTA].map((at) => driver.read(at));
	expect([state(), driver.read(Register.GCR), driver.phyRead(0) & 0x4000]).toEqual([[0, 0, 0], 0x10000, 0x4000]);
	driver.igb.reset();
	expect([driver.phyRead(0), driver.read(Register.RAL), driver.read(Register.RAL + 4)]).toEqual([
		0x1140, 0x0000_0002, 0x8000_0100,
	]);
	driver.loopBack();
	driver.start();
	driver.send(frame(70));
	expect(driver.receive()?.bytes.length).toBe(70);
});

test("a descriptor or a buffer that can't be read stops its queue until it is set up anew", () => {
	const driver = new TestDriver();
	driver.loopBack();
	driver.start();
	driver.putWords([0x4000_0000, 0, 0x2b30_0040, 0]);
	driver.send(frame(80));
	expect([driver.read(TX + QueueRegister.HEAD), driver.receive()]).toEqual([0, undefined]);
	driver.write(TX + QueueRegister.DCTL, 0);
	driver.write(TX + QueueRegister.HEAD, 1);
	driver.write(TX + QueueRegister.DCTL, Dctl.ENABLE);
	driver.settle();
	expect(driver.receive()?.bytes.length).toBe(80);
	driver.write(TX + QueueRegister.BAL, 0x8000_0000);
	driver.send(frame(80));
	expect(driver.receive()).toBeUndefined();
});

test("writes are posted: a buffer that can't be written loses its bytes, and its descriptor is done all the same", () => {
	const driver = new TestDriver();
	driver.loopBack();
	driver.start();
	driver.port.view.setUint32(driver.read(RX + QueueRegister.BAL), 0x4000_0000, true);
	driver.send(frame(80));
	expect(driver.receiveWords(0)[2] & 3).toBe(3);
});

test("a frame that is too long for a buffer goes on in the next ones", () => {
	const driver = new TestDriver();
	driver.loopBack();
	driver.start({ rctl: 3 << Rctl.BSIZE_SHIFT });
	driver.send(frame(1000));
	const got = driver.receive();
	expect([got?.bytes, got?.pieces]).toEqual([frame(1000), 4]);
});

test("the checksum of a frame is stored where it isn't stripped, and can come from software", () => {
	const driver = new TestDriver();
	driver.loopBack();
	driver.start();
	driver.write(Register.RCTL, Rctl.RXEN | Rctl.UPE);
	driver.send(Uint8Array.from({ length: 60 }));
	const stored = driver.receive()!.bytes;
	// The CRC-32 of 60 zero bytes.
	expect([stored.length, [...stored.subarray(60)]]).toEqual([64, [0x08, 0x89, 0x12, 0x04]]);
	const withoutIfcs = (1 << 24) | (1 << 27) | (1 << 29) | (3 << 20);
	driver.send(stored, { command: withoutIfcs });
	expect(driver.receive()?.bytes).toEqual(stored);
	stored[63] ^= 1;
	driver.send(stored, { command: withoutIfcs });
	expect([driver.receive(), driver.read(0x4000), driver.read(0x4000)]).toEqual([undefined, 1, 0]);
});

test("an address leads to its register however it is spelled, and a reserved one reads as 0", () => {
	const driver = new TestDriver();
	driver.write(0x3804, 5);
	driver.write(0x00e0, 6);
	driver.write(0x0044, 0x8000_0007);
	expect([TX + QueueRegister.BAH, Register.IAM, Register.RAL + 4].map((at) => driver.read(at))).toEqual([
		5, 6, 0x8000_0007,
	]);
	driver.write(0x1f000, 1);
	expect(driver.read(0x1f000)).toBe(0);
});

test("accesses of other widths: a part can be read, two at a time too, and only whole registers written", () => {
	const driver = new TestDriver();
	const { igb } = driver;
	igb.writeRegister(0, TX, 8, 0x1234_5678_9abc_de80n);
	expect(igb.readRegister(0, TX, 8)).toBe(0x1234_5678_9abc_de80n);
	igb.writeRegister(0, TX + 4, 2, 0n);
	igb.writeRegister(0, TX + 4, 1, 0n);
	expect([igb.readRegister(0, TX + 6, 2), igb.readRegister(0, TX + 5, 1)]).toEqual([0x1234n, 0x56n]);
	expect([igb.readRegister(0, 0x20000, 4), igb.readRegister(1, 0, 8), igb.readRegister(2, 8, 4)]).toEqual([
		allOnes(4),
		allOnes(8),
		allOnes(4),
	]);
});

test("the window in the I/O BAR leads to the same registers", () => {
	const { igb } = new TestDriver();
	igb.writeRegister(2, 0, 4, BigInt(TX + 4));
	igb.writeRegister(2, 4, 4, 0x55n);
	expect([igb.readRegister(2, 0, 4), igb.readRegister(2, 4, 4), igb.readRegister(0, TX + 4, 4)]).toEqual([
		BigInt(TX + 4),
		0x55n,
		0x55n,
	]);
	igb.writeRegister(2, 0, 4, 0xffff_ffffn);
	igb.writeRegister(2, 4, 4, 1n);
	expect(igb.readRegister(2, 4, 4)).toBe(allOnes(4));
});

test("the function's bus can be given up: then nothing is read or written", () => {
	const driver = new TestDriver();
	driver.loopBack();
	driver.start();
	driver.set(Register.CTRL, Ctrl.GIO_MASTER_DISABLE);
	driver.send(frame(60));
	expect([driver.isSent(0), driver.read(Register.STATUS) & Status.GIO_MASTER_EN]).toEqual([false, 0]);
	driver.write(Register.CTRL, driver.read(Register.CTRL) & ~Ctrl.GIO_MASTER_DISABLE);
	driver.settle();
	expect(driver.receive()?.bytes).toEqual(padded(frame(60)));
});

test("the semaphore between drivers is taken by reading it, and given back by writing it", () => {
	const driver = new TestDriver();
	expect([driver.read(Register.SWSM) & 1, driver.read(Register.SWSM) & 1]).toEqual([0, 1]);
	driver.write(Register.SWSM, 3);
	expect(driver.read(Register.SWSM)).toBe(3);
	driver.write(Register.SWSM, 0);
	expect(driver.read(Register.SWSM)).toBe(0);
});
