import fc from "fast-check";
import { expect, test } from "vitest";
import { ENABLE, PAGE, readOf, TestDriver, writeOf } from "./driver.testing.js";
import { Status } from "./status.js";

const MOST = 512 * 1024;
const UNMAPPED = 0x7000_0000;

/**
 * Writes the PRP entries for pages; the first list begins where one likes in its page.
 * @returns PRP1 and PRP2
 */
function prpsOf(driver: TestDriver, pages: readonly number[], offset: number, listOffset: number) {
	const { pageSize } = driver;
	const prp1 = pages[0] + offset;
	if (pages.length <= 2) return { prp1, prp2: pages[1] ?? 0 };
	const prp2 = driver.take(pageSize) + listOffset;
	let at = prp2;
	for (let left = pages.slice(1); left.length > 0; ) {
		const room = (pageSize - (at % pageSize)) / 8;
		const here = left.length <= room ? left : left.slice(0, room - 1);
		for (const page of here) {
			driver.port.view.setBigUint64(at, BigInt(page), true);
			at += 8;
		}
		left = left.slice(here.length);
		if (left.length === 0) break;
		const next = driver.take(pageSize);
		driver.port.view.setBigUint64(at, BigInt(next), true);
		at = next;
	}
	return { prp1, prp2 };
}

test("data goes to and from pages of any size, wherever they are, with one list or several", () => {
	const shape = fc.record({
		blocks: fc.integer({ min: 1, max: MOST / 512 }),
		memoryPageSize: fc.integer({ min: 0, max: 4 }),
		offset: fc.integer({ min: 0, max: PAGE / 4 - 1 }).map((words) => words * 4),
		beforeEnd: fc.constantFrom(8, 16, 24, 2048, PAGE),
		order: fc.infiniteStream(fc.nat(3)),
		seed: fc.nat(255),
	});
	fc.assert(
		fc.property(shape, ({ blocks, memoryPageSize, offset, beforeEnd, order, seed }) => {
			const driver = new TestDriver({ memory: 12 * 1024 * 1024 });
			driver.enable(16, ENABLE | (memoryPageSize << 7));
			driver.createQueues(1);
			const { pageSize } = driver;
			const length = blocks * 512;
			const count = Math.ceil((offset + length) / pageSize);
			// Now and then a page has its neighbour's place, so that some follow each other and some don't.
			const pages = Array.from({ length: count }, () => driver.take(pageSize));
			for (let i = 1; i < count; i++) if (order.next().value === 0) [pages[i], pages[i - 1]] = [pages[i - 1], pages[i]];
			const pointers = prpsOf(driver, pages, offset, pageSize - beforeEnd);
			const place = (position: number) =>
				pages[Math.floor((offset + position) / pageSize)] + ((offset + position) % pageSize);
			for (let i = 0; i < length; i++) driver.port.memory[place(i)] = (i * 31 + seed + (i >>> 9)) & 0xff;
			expect(driver.do(1, writeOf(3, blocks, 0, pointers)).status).toBe(0);
			for (const page of pages) driver.bytes(page, pageSize).fill(0);
			expect(driver.do(1, readOf(3, blocks, 0, pointers)).status).toBe(0);
			let wrong = 0;
			for (let i = 0; i < length; i++)
				if (driver.port.memory[place(i)] !== ((i * 31 + seed + (i >>> 9)) & 0xff)) wrong++;
			expect(wrong).toBe(0);
		}),
		{ numRuns: 100 },
	);
});

test("pages that follow each other are one transfer", () => {
	const driver = new TestDriver();
	driver.enable();
	driver.createQueues(1);
	const data = driver.take(64 * 1024);
	const pages = Array.from({ length: 16 }, (_, index) => data + index * PAGE);
	const pointers = prpsOf(driver, pages, 0, 0);
	const writes: number[] = [];
	const write = driver.port.writeMemory.bind(driver.port);
	driver.port.writeMemory = (iova, from, pasid) => {
		writes.push(from.length);
		return write(iova, from, pasid);
	};
	driver.do(1, readOf(0, 128, 0, pointers));
	expect(writes).toEqual([64 * 1024, 16]);
});

test.each([
	["PRP1 is no dword", { prp1: PAGE + 2 }, 8, Status.PRP_OFFSET_INVALID],
	["PRP2 isn't at the start of a page", { prp1: 2 * PAGE, prp2: 3 * PAGE + 4 }, 16, Status.PRP_OFFSET_INVALID],
	["PRP1 can't be written", { prp1: UNMAPPED }, 8, Status.DATA_TRANSFER_ERROR],
	["PRP2 can't be written", { prp1: 2 * PAGE, prp2: UNMAPPED }, 16, Status.DATA_TRANSFER_ERROR],
	["an address has all its 64 bits", { prp1: 0xffff_ffff_ffff_f000n }, 8, Status.DATA_TRANSFER_ERROR],
	["the list's address is no quadword", { prp1: 2 * PAGE, prp2: 3 * PAGE + 4 }, 24, Status.PRP_OFFSET_INVALID],
	["the list can't be read", { prp1: 2 * PAGE, prp2: UNMAPPED }, 24, Status.DATA_TRANSFER_ERROR],
] as const)("a read ends with an error when %s", (_, pointers, blocks, status) => {
	const driver = new TestDriver();
	driver.enable();
	driver.createQueues(1);
	expect(driver.do(1, readOf(0, blocks, 0, pointers)).status).toBe(status);
	expect(driver.do(1, readOf(0, 8, driver.take(PAGE))).status).toBe(0);
});

test("an entry of a list must be at the start of a page", () => {
	const driver = new TestDriver();
	driver.enable();
	driver.createQueues(1);
	const list = driver.take(PAGE);
	driver.port.view.setBigUint64(list, BigInt(driver.take(PAGE)), true);
	driver.port.view.setBigUint64(list + 8, BigInt(driver.take(PAGE) + 512), true);
	const pointers = { prp1: driver.take(PAGE), prp2: list };
	expect(driver.do(1, readOf(0, 24, 0, pointers))).toMatchObject({
		status: Status.PRP_OFFSET_INVALID,
		more: true,
		doNotRetry: true,
	});
	expect(driver.port.told[0]).toContain("entry 1 of a PRP list is not at the start of a page of 4096 bytes");
});

test("a list whose only entry leads to itself ends with an error", () => {
	const driver = new TestDriver();
	driver.enable();
	driver.createQueues(1);
	const list = driver.take(PAGE) + PAGE - 8;
	driver.port.view.setBigUint64(list, BigInt(list), true);
	const completion = driver.do(1, readOf(0, 24, 0, { prp1: driver.take(PAGE), prp2: list }));
	expect(completion.status).toBe(Status.PRP_OFFSET_INVALID);
});
