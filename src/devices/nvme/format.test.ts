import { expect, test } from "vitest";
import { MemoryStore } from "../block-store.js";
import { AdminOpcode } from "./admin.js";
import { PAGE, readOf, TestDriver, writeOf } from "./driver.testing.js";
import { Cns, IdentifyNamespace } from "./identify.js";
import { NvmOpcode } from "./nvm.js";
import { Status } from "./status.js";

const ALL = 0xffff_ffff;

function setUp(options: Record<string, unknown> = { size: "1M:1M" }, files = {}): TestDriver {
	const driver = new TestDriver({ options, files });
	driver.enable();
	driver.createQueues(1);
	return driver;
}

const format = (driver: TestDriver, namespace: number, dword10: number) =>
	driver.admin({ opcode: AdminOpcode.FORMAT_NVM, namespace, dword10 }).status;
const blocks = (driver: TestDriver, namespace: number) =>
	IdentifyNamespace.number(driver.identify(Cns.NAMESPACE, namespace), "NSZE");

test("a namespace gets blocks of another size, and is empty", () => {
	const driver = setUp();
	const page = driver.take(PAGE);
	driver.bytes(page, PAGE).fill(9);
	driver.do(1, writeOf(0, 8, page));
	driver.do(1, writeOf(0, 8, page, { namespace: 2 }));
	expect(format(driver, 1, 1)).toBe(0);
	expect([blocks(driver, 1), blocks(driver, 2)]).toEqual([256, 2048]);
	expect(driver.do(1, readOf(0, 1, page)).status).toBe(0);
	expect(driver.bytes(page, PAGE).every((byte) => byte === 0)).toBe(true);
	expect(driver.do(1, readOf(0, 8, page, { namespace: 2 })).status).toBe(0);
	expect(driver.bytes(page, PAGE).every((byte) => byte === 9)).toBe(true);
	expect(driver.do(1, readOf(256, 1, page)).status).toBe(Status.LBA_OUT_OF_RANGE);
});

test("all namespaces are formatted at once, with or without erasing user data", () => {
	const driver = setUp();
	expect(format(driver, ALL, 1 | (1 << 9))).toBe(0);
	expect([blocks(driver, 1), blocks(driver, 2)]).toEqual([256, 256]);
	expect(format(driver, ALL, 0)).toBe(0);
	expect([blocks(driver, 1), blocks(driver, 2)]).toEqual([2048, 2048]);
});

test("a format outlives a reset", () => {
	const driver = setUp();
	format(driver, 1, 1);
	driver.controller.reset();
	driver.enable();
	expect(blocks(driver, 1)).toBe(256);
});

test("blocks that couldn't be read can be after a format", () => {
	const driver = setUp();
	driver.do(1, { opcode: NvmOpcode.WRITE_UNCORRECTABLE, namespace: 1, dword12: 100 });
	expect(driver.do(1, readOf(0, 1, PAGE)).status).toBe(Status.UNRECOVERED_READ_ERROR);
	format(driver, 1, 0);
	expect(driver.do(1, readOf(0, 1, driver.take(PAGE))).status).toBe(0);
});

test.each([
	["no namespace", 0, 0, Status.INVALID_NAMESPACE_OR_FORMAT],
	["a namespace that isn't there", 3, 0, Status.INVALID_NAMESPACE_OR_FORMAT],
	["a format that isn't there", 1, 2, Status.INVALID_FORMAT],
	["metadata", 1, 1 << 4, Status.INVALID_FORMAT],
	["protection information", 1, 1 << 5, Status.INVALID_FORMAT],
	["cryptographic erase", 1, 2 << 9, Status.INVALID_FIELD],
])("formatting with %s is an error", (_, namespace, dword10, status) => {
	expect(format(setUp(), namespace, dword10)).toBe(status);
});

test("a namespace that is read-only isn't formatted, and nor are the others with it", () => {
	const files = { a: new MemoryStore(65536), b: Object.assign(new MemoryStore(65536), { isReadOnly: true }) };
	const driver = setUp({ file: "a:b" }, files);
	expect([format(driver, 2, 1), format(driver, ALL, 1)]).toEqual(Array(2).fill(Status.NAMESPACE_WRITE_PROTECTED));
	expect(blocks(driver, 1)).toBe(128);
});

test("while a namespace is formatted its commands are refused, and those of others go on", () => {
	const driver = setUp({ size: "1G:1M" });
	driver.submit(0, { opcode: AdminOpcode.FORMAT_NVM, namespace: 1, dword10: 1 });
	driver.controller.work!();
	driver.submit(1, { opcode: NvmOpcode.FLUSH, namespace: 1 }, { opcode: NvmOpcode.FLUSH, namespace: 2 });
	driver.submit(0, { opcode: AdminOpcode.FORMAT_NVM, namespace: 1, dword10: 0, id: 5 });
	driver.controller.work!();
	expect(driver.poll(1)).toMatchObject([{ status: Status.FORMAT_IN_PROGRESS, doNotRetry: false }, { status: 0 }]);
	expect(driver.poll(0)).toMatchObject([{ commandId: 5, status: Status.FORMAT_IN_PROGRESS }]);
	driver.run();
	expect(driver.poll(0)).toMatchObject([{ status: 0 }]);
	expect(driver.do(1, { opcode: NvmOpcode.FLUSH, namespace: 1 }).status).toBe(0);
});

test("a reset in the middle of a format leaves the blocks as they were", () => {
	const driver = setUp({ size: "1G" });
	driver.submit(0, { opcode: AdminOpcode.FORMAT_NVM, namespace: 1, dword10: 1 });
	driver.controller.work!();
	driver.disable();
	driver.enable();
	driver.createQueues(1);
	expect(blocks(driver, 1)).toBe(2 ** 21);
	expect(driver.do(1, { opcode: NvmOpcode.FLUSH, namespace: 1 }).status).toBe(0);
});

test("a medium that fails ends the format with a write fault", () => {
	const store = new MemoryStore(65536);
	store.discard = () => {
		throw new Error("the disk is gone");
	};
	const driver = setUp({ file: "a" }, { a: store });
	expect(format(driver, 1, 1)).toBe(Status.WRITE_FAULT);
	expect(driver.port.told.at(-1)).toContain("the store failed: the disk is gone");
	expect(driver.do(1, { opcode: NvmOpcode.FLUSH, namespace: 1 }).status).toBe(0);
});
