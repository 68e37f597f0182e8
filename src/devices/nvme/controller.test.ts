import { expect, test } from "vitest";
import { MemoryStore } from "../block-store.js";
import { AdminOpcode } from "./admin.js";
import { ENABLE, PAGE, readOf, TestDriver, writeOf } from "./driver.testing.js";
import { FeatureId } from "./features.js";
import { Csts, FIRST_DOORBELL, NSSR_MAGIC, NvmeRegister } from "./registers.js";

/** Beyond the memory of the machine: the IOMMU refuses it. */
const UNMAPPED = 0x7000_0000;

test("what is written is read again", () => {
	const driver = new TestDriver();
	driver.enable();
	driver.createQueues(1);
	const from = driver.take(PAGE);
	const to = driver.take(PAGE);
	driver.bytes(from, PAGE).fill(0x5a);
	expect(driver.do(1, writeOf(8, 8, from)).status).toBe(0);
	expect(driver.do(1, readOf(8, 8, to)).status).toBe(0);
	expect(driver.bytes(to, PAGE)).toEqual(driver.bytes(from, PAGE));
});

test("its registers say what it is, before anything is set", () => {
	const { controller, read32: _, ...driver } = new TestDriver();
	const read = (offset: number, size = 4) => controller.readRegister(0, offset, size);
	// MQES 2047, CQR, TO 7.5 s; DSTRD 0, NSSRS, CSS with NVM, MPSMIN 0, MPSMAX 4.
	expect(read(NvmeRegister.CAP, 8)).toBe(0x0040_0030_0f01_07ffn);
	expect(read(NvmeRegister.VS)).toBe(0x10400n);
	for (const register of ["CC", "CSTS", "NSSR", "AQA", "ASQ", "ACQ", "INTMS", "CMBLOC", "CMBSZ", "CMBMSC"] as const)
		expect(read(NvmeRegister[register])).toBe(0n);
	expect([read(0x18), read(0xe00), read(0xffc), read(0x3000)]).toEqual([0n, 0n, 0n, 0n]);
	expect([controller.readRegister(1, 0, 4), controller.readRegister(2, 0, 8)]).toEqual([
		2n ** 32n - 1n,
		2n ** 64n - 1n,
	]);
	expect(driver.port.interrupts).toEqual([]);
});

test("a register is read in any width, and written as a whole or in halves of 32 bits", () => {
	const { controller } = new TestDriver();
	const write = (size: number, value: bigint, offset = 0) =>
		controller.writeRegister(0, NvmeRegister.ASQ + offset, size, value);
	const read = () => controller.readRegister(0, NvmeRegister.ASQ, 8);
	write(8, 0x1234_5678_9abc_d123n);
	expect(read()).toBe(0x1234_5678_9abc_d000n);
	write(4, 0xffff_0000n, 4);
	expect(read()).toBe(0xffff_0000_9abc_d000n);
	write(1, 0x55n);
	write(2, 0x5555n);
	write(4, 0x5555n, 2);
	expect(read()).toBe(0xffff_0000_9abc_d000n);
	const parts = [1, 2, 3].map((offset) => controller.readRegister(0, NvmeRegister.ASQ + offset, 1));
	expect(parts).toEqual([0xd0n, 0xbcn, 0x9an]);
	expect(controller.readRegister(0, NvmeRegister.ASQ + 2, 2)).toBe(0x9abcn);
});

test("it is ready after it has been enabled, and not any more after it has been disabled", () => {
	const driver = new TestDriver();
	driver.setAdminQueues(16);
	driver.write32(NvmeRegister.CC, ENABLE);
	expect(driver.status).toBe(0);
	driver.run();
	expect(driver.status).toBe(Csts.RDY);
	driver.write32(NvmeRegister.CC, ENABLE & ~1);
	expect(driver.status).toBe(0);
});

test.each([
	["a command set that it doesn't have", ENABLE | (6 << 4), "CC.CSS is 6"],
	["weighted round robin", ENABLE | (1 << 11), "CC.AMS is 1"],
	["pages of 128 KiB", ENABLE | (5 << 7), "CC.MPS is 5"],
	[
		"pages of 64 KiB that its queues aren't at the start of",
		ENABLE | (4 << 7),
		"isn't at the start of a page of 65536",
	],
])("it fails when it is enabled with %s, until it is reset", (_, cc, reason) => {
	const driver = new TestDriver();
	driver.setAdminQueues(16);
	driver.write32(NvmeRegister.CC, cc);
	driver.run();
	expect(driver.status).toBe(Csts.CFS);
	expect(driver.port.told).toEqual([expect.stringContaining(reason)]);
	driver.disable();
	driver.enable();
});

test.each(["submission", "completion"])("it fails when its admin %s queue has a single entry", (which) => {
	const driver = new TestDriver();
	driver.setAdminQueues(16);
	driver.write32(NvmeRegister.AQA, which === "submission" ? 15 << 16 : 15);
	driver.write32(NvmeRegister.CC, ENABLE);
	driver.run();
	expect(driver.status).toBe(Csts.CFS);
	expect(driver.port.told[0]).toContain(`the admin ${which} queue has one entry`);
});

test("it works with pages of 64 KiB", () => {
	const driver = new TestDriver();
	driver.enable(16, ENABLE | (4 << 7));
	const page = driver.take(65536);
	// One entry for 4096 bytes across a boundary that is none for it.
	expect(driver.admin({ opcode: AdminOpcode.IDENTIFY, prp1: page + 0x800, dword10: 1 }).status).toBe(0);
	expect(driver.bytes(page + 0x800, 2)).toEqual(Uint8Array.of(0x36, 0x1b));
});

test("it fails when it can't reach its submission queue, and takes no more commands", () => {
	const driver = new TestDriver();
	driver.setAdminQueues(16);
	driver.write64(NvmeRegister.ASQ, UNMAPPED);
	driver.write32(NvmeRegister.CC, ENABLE);
	driver.run();
	driver.ring(0, false, 1);
	driver.run();
	expect(driver.status).toBe(Csts.RDY | Csts.CFS);
	expect(driver.port.told[0]).toContain("Controller Fatal Status: submission queue 0 can't be read");
	driver.ring(0, false, 2);
	driver.run();
	expect(driver.port.told).toHaveLength(1);
});

test("it fails when it can't reach its completion queue", () => {
	const driver = new TestDriver();
	driver.setAdminQueues(16);
	driver.write64(NvmeRegister.ACQ, UNMAPPED);
	driver.write32(NvmeRegister.CC, ENABLE);
	driver.run();
	driver.submit(0, { opcode: AdminOpcode.GET_FEATURES, dword10: FeatureId.ARBITRATION });
	driver.run();
	expect(driver.status).toBe(Csts.RDY | Csts.CFS);
	expect(driver.port.told[0]).toContain("completion queue 0 can't be written");
	expect(driver.port.interrupts).toEqual([]);
});

test("a controller reset deletes queues and forgets features, but not where the admin queues are", () => {
	const driver = new TestDriver();
	driver.enable();
	driver.createQueues(1);
	driver.setFeature(FeatureId.VOLATILE_WRITE_CACHE, 0);
	const [attributes, address] = [driver.read32(NvmeRegister.AQA), driver.read32(NvmeRegister.ASQ)];
	driver.disable();
	expect([driver.read32(NvmeRegister.AQA), driver.read32(NvmeRegister.ASQ)]).toEqual([attributes, address]);
	driver.enable();
	expect(driver.getFeature(FeatureId.VOLATILE_WRITE_CACHE).result).toBe(1);
	driver.createQueues(1);
});

test("a subsystem reset takes all back but what is on the disk, and leaves a mark that is cleared by writing it", () => {
	const driver = new TestDriver();
	driver.enable();
	driver.createQueues(1);
	const page = driver.take(PAGE);
	driver.bytes(page, PAGE).fill(7);
	driver.do(1, writeOf(0, 8, page));
	driver.write32(NvmeRegister.NSSR, 0x12345678);
	expect(driver.status).toBe(Csts.RDY);
	driver.write32(NvmeRegister.NSSR, NSSR_MAGIC);
	expect([driver.status, driver.read32(NvmeRegister.CC), driver.read32(NvmeRegister.AQA)]).toEqual([Csts.NSSRO, 0, 0]);
	driver.write32(NvmeRegister.CSTS, 0);
	expect(driver.status).toBe(Csts.NSSRO);
	driver.write32(NvmeRegister.CSTS, Csts.NSSRO);
	expect(driver.status).toBe(0);
	driver.enable();
	driver.createQueues(1);
	driver.bytes(page, PAGE).fill(0);
	driver.do(1, readOf(0, 8, page));
	expect(driver.bytes(page, PAGE).every((byte) => byte === 7)).toBe(true);
});

test("the mark of a subsystem reset outlives a controller reset", () => {
	const driver = new TestDriver();
	driver.write32(NvmeRegister.NSSR, NSSR_MAGIC);
	driver.setAdminQueues(4);
	driver.write32(NvmeRegister.CC, ENABLE);
	driver.run();
	driver.disable();
	expect(driver.status).toBe(Csts.NSSRO);
});

test("a function level reset leaves nothing under way, and no interrupt", () => {
	const driver = new TestDriver();
	driver.enable();
	driver.submit(0, { opcode: AdminOpcode.GET_FEATURES, dword10: FeatureId.ARBITRATION });
	driver.run();
	expect(driver.port.isAsserted).toBe(true);
	driver.submit(0, { opcode: AdminOpcode.GET_FEATURES, dword10: FeatureId.ARBITRATION });
	driver.controller.reset();
	expect(driver.port.isAsserted).toBe(false);
	driver.run();
	expect(driver.poll(0)).toHaveLength(1);
	for (let offset = NvmeRegister.INTMS; offset < 0x5c; offset += 4) expect(driver.read32(offset)).toBe(0);
	driver.enable();
});

test.each([1, 2])(
	"a shutdown (SHN %i) brings all to the medium, says when it is complete, and ends the work",
	(shn) => {
		const store = new MemoryStore(PAGE * 8);
		let flushes = 0;
		store.flush = () => {
			flushes++;
		};
		const driver = new TestDriver({ options: { file: "disk" }, files: { disk: store } });
		driver.enable();
		driver.write32(NvmeRegister.CC, ENABLE | (shn << 14));
		expect(driver.status).toBe(Csts.RDY | Csts.SHST_OCCURRING);
		driver.run();
		expect([driver.status, flushes]).toEqual([Csts.RDY | Csts.SHST_COMPLETE, 1]);
		driver.submit(0, { opcode: AdminOpcode.GET_FEATURES, dword10: FeatureId.ARBITRATION });
		driver.run();
		expect(driver.poll(0)).toEqual([]);
		driver.disable();
		expect(driver.status).toBe(0);
		driver.enable();
	},
);

test("a shutdown of a controller that isn't enabled is complete at once, and it can be enabled afterwards", () => {
	const driver = new TestDriver();
	driver.write32(NvmeRegister.CC, 1 << 14);
	driver.run();
	expect(driver.status).toBe(Csts.SHST_COMPLETE);
	driver.enable();
});

test("a disk that can't be flushed is shut down all the same, and it is told", () => {
	const store = new MemoryStore(PAGE * 8);
	store.flush = () => {
		throw new Error("no space left");
	};
	const driver = new TestDriver({ options: { file: "disk" }, files: { disk: store } });
	driver.enable();
	driver.write32(NvmeRegister.CC, ENABLE | (1 << 14));
	driver.run();
	expect(driver.status).toBe(Csts.RDY | Csts.SHST_COMPLETE);
	expect(driver.port.told).toEqual(["at shutdown: the store failed: no space left"]);
});

test("a turn is over after a while, and says that there is more", () => {
	const driver = new TestDriver({ memory: 8 * 1024 * 1024 });
	driver.enable();
	driver.createQueues(1, 1024);
	const page = driver.take(PAGE);
	driver.submit(1, ...Array.from({ length: 1000 }, () => readOf(0, 8, page)));
	let turns = 1;
	while (driver.controller.work!()) turns++;
	expect(driver.poll(1)).toHaveLength(1000);
	expect(turns).toBeGreaterThan(5);
});

test("doorbells of a controller that isn't enabled are nothing", () => {
	const driver = new TestDriver();
	driver.write32(FIRST_DOORBELL, 5);
	driver.run();
	expect([driver.status, driver.port.told]).toEqual([0, []]);
});

test("closing it closes what is behind it", () => {
	const store = new MemoryStore(PAGE);
	let isClosed = false;
	store.close = () => {
		isClosed = true;
	};
	new TestDriver({ options: { file: "disk" }, files: { disk: store } }).controller.close!();
	expect(isClosed).toBe(true);
});
