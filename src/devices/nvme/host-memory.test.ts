import { beforeEach, expect, test } from "vitest";
import { AdminOpcode } from "./admin.js";
import { PAGE, readOf, TestDriver, writeOf } from "./driver.testing.js";
import { NvmOpcode } from "./nvm.js";
import { NvmeRegister } from "./registers.js";
import { Status } from "./status.js";

const SIZE = 64 * 1024;
/** Where the buffer is, of the addresses that the controller uses: 1 MiB below the end of all of them. */
const BASE = 0xffff_ffff_fff0_0000n;
const CRE = 1n;
const CMSE = 2n;
let driver: TestDriver;

beforeEach(() => {
	driver = new TestDriver({ options: { cmb: "64K" } });
	driver.enable();
	driver.createQueues(1);
	driver.write64(NvmeRegister.CMBMSC, BASE | CMSE | CRE);
});

const readBuffer = (offset: number, size = 4) => driver.controller.readRegister(2, offset, size);
const writeBuffer = (offset: number, value: bigint, size = 4) =>
	driver.controller.writeRegister(2, offset, size, value);

test("the buffer is told of when the host asks for it", () => {
	driver = new TestDriver({ options: { cmb: "64K" } });
	const read = () => [driver.read32(NvmeRegister.CMBLOC), driver.read32(NvmeRegister.CMBSZ)];
	expect(Number(driver.controller.readRegister(0, NvmeRegister.CAP, 8) >> 57n) & 1).toBe(1);
	expect(read()).toEqual([0, 0]);
	driver.write64(NvmeRegister.CMBMSC, CRE);
	expect(read()).toEqual([0xe2, SIZE | 0x1f]);
	expect(driver.controller.readRegister(0, NvmeRegister.CMBMSC, 8)).toBe(CRE);
});

test("without a buffer there is nothing to be asked for", () => {
	driver = new TestDriver();
	driver.write64(NvmeRegister.CMBMSC, CRE | CMSE | BASE);
	expect([NvmeRegister.CMBLOC, NvmeRegister.CMBSZ, NvmeRegister.CMBMSC].map((at) => driver.read32(at))).toEqual([
		0, 0, 0,
	]);
});

test("data goes to the buffer and comes from it", () => {
	const page = driver.take(PAGE);
	driver.bytes(page, PAGE).fill(0xab);
	driver.do(1, writeOf(0, 8, page));
	expect(driver.do(1, readOf(0, 8, 0, { prp1: BASE + 0x1000n })).status).toBe(0);
	expect([readBuffer(0xffc), readBuffer(0x1000), readBuffer(0x1ff8, 8), readBuffer(0x2000)]).toEqual([
		0n,
		0xabab_ababn,
		0xabab_abab_abab_ababn,
		0n,
	]);
	writeBuffer(0x1000, 0x1234n, 2);
	expect(driver.do(1, writeOf(16, 8, 0, { prp1: BASE + 0x1000n })).status).toBe(0);
	driver.do(1, readOf(16, 8, page));
	expect([...driver.bytes(page, 3)]).toEqual([0x34, 0x12, 0xab]);
	expect(driver.controller.readRegister(2, SIZE, 4)).toBe(0xffff_ffffn);
});

test("queues, lists and data may be in it, or around its ends", () => {
	// A submission queue in the buffer, filled by the CPU.
	const dword10 = 2 | (15 << 16);
	driver.createCompletionQueue(2, 16);
	expect(
		driver.admin({ opcode: AdminOpcode.CREATE_SUBMISSION_QUEUE, prp1: BASE, dword10, dword11: (2 << 16) | 1 }).status,
	).toBe(0);
	// A read of three pages with its list in the buffer: one page before it, its first one, and one of the host.
	const host = driver.take(PAGE);
	const words = [
		[0, BigInt(NvmOpcode.READ)],
		[4, 1n],
		[24, BigInt(host)],
		[32, BASE + 0x4000n],
		[48, 23n],
	] as const;
	for (const [offset, value] of words) writeBuffer(offset, value, offset >= 24 && offset < 40 ? 8 : 4);
	writeBuffer(0x4000, BASE + 0x8000n, 8);
	writeBuffer(0x4008, BigInt(host), 8);
	driver.ring(2, false, 1);
	driver.run();
	expect(driver.poll(2)).toMatchObject([{ status: 0, submissionId: 2 }]);
});

test("a stretch that begins before the buffer, or ends after it, is partly in it", () => {
	const base = 0x10_0000n;
	driver.write64(NvmeRegister.CMBMSC, base | CMSE | CRE);
	const from = driver.take(2 * PAGE);
	driver
		.bytes(from, 2 * PAGE)
		.fill(1, 0, PAGE)
		.fill(2, PAGE);
	driver.do(1, writeOf(0, 16, from));
	expect(driver.do(1, readOf(0, 16, 0, { prp1: base - 0x1000n, prp2: base })).status).toBe(0);
	expect([driver.port.memory[0x10_0000 - 1], driver.port.memory[0x10_0000], Number(readBuffer(0, 1))]).toEqual([
		1, 0, 2,
	]);
	const end = base + BigInt(SIZE);
	expect(driver.do(1, readOf(0, 16, 0, { prp1: end - 0x1000n, prp2: end })).status).toBe(0);
	expect([Number(readBuffer(SIZE - 1, 1)), driver.port.memory[Number(end)]]).toEqual([1, 2]);
});

test("a queue can't be partly in it", () => {
	const create = (prp1: bigint) =>
		driver.admin({ opcode: AdminOpcode.CREATE_COMPLETION_QUEUE, prp1, dword10: 3 | (511 << 16), dword11: 1 }).status;
	expect(create(BASE + BigInt(SIZE) - 0x1000n)).toBe(Status.INVALID_USE_OF_CMB);
	expect(create(BASE + BigInt(SIZE) - 0x2000n)).toBe(0);
});

test("addresses mean memory again when the buffer is switched off, or is put beyond the last address", () => {
	driver.write64(NvmeRegister.CMBMSC, BASE | CRE);
	expect(driver.do(1, readOf(0, 8, 0, { prp1: BASE })).status).toBe(Status.DATA_TRANSFER_ERROR);
	driver.write64(NvmeRegister.CMBMSC, 0xffff_ffff_ffff_f000n | CMSE | CRE);
	expect(driver.read32(NvmeRegister.CMBSTS)).toBe(1);
	expect(driver.do(1, readOf(0, 8, 0, { prp1: 0xffff_ffff_ffff_f000n })).status).toBe(Status.DATA_TRANSFER_ERROR);
	driver.write64(NvmeRegister.CMBMSC, BASE | CMSE | CRE);
	expect([driver.read32(NvmeRegister.CMBSTS), driver.do(1, readOf(0, 8, 0, { prp1: BASE })).status]).toEqual([0, 0]);
});

test("a controller reset keeps the buffer, and a function level reset takes it back, zeroed", () => {
	writeBuffer(0, 5n);
	driver.disable();
	expect([readBuffer(0), driver.read32(NvmeRegister.CMBSZ)]).toEqual([5n, SIZE | 0x1f]);
	driver.controller.reset();
	expect([readBuffer(0), driver.read32(NvmeRegister.CMBSZ)]).toEqual([0n, 0]);
});
