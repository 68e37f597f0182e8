import { beforeEach, expect, test } from "vitest";
import { AdminOpcode } from "./admin.js";
import { PAGE, readOf, TestDriver, writeOf } from "./driver.testing.js";
import { ErrorEntry } from "./error-log.js";
import { HealthLog } from "./health.js";
import { LogPage } from "./log-pages.js";
import { NvmOpcode } from "./nvm.js";
import { Status } from "./status.js";

let driver: TestDriver;

beforeEach(() => {
	driver = new TestDriver();
	driver.enable();
	driver.createQueues(1);
});

test("the error log has the newest error first: whose it was, its status, and where the command is wrong", () => {
	driver.do(1, { ...readOf(2 ** 40, 1, PAGE), id: 11 });
	driver.do(1, { opcode: 0x7f, id: 12 });
	const log = driver.logPage(LogPage.ERROR_INFORMATION, 3 * 64);
	const entry = (index: number) => {
		const bytes = log.subarray(index * 64, index * 64 + 64);
		const number = (field: Parameters<typeof ErrorEntry.number>[1]) => ErrorEntry.number(bytes, field);
		return [
			number("errorCount"),
			number("submissionQueueId"),
			number("commandId"),
			(number("statusField") >>> 1) & 0x7ff,
			number("parameterErrorLocation"),
			number("lba"),
			number("namespace"),
		];
	};
	expect([entry(0), entry(1), entry(2)]).toEqual([
		[2, 1, 12, Status.INVALID_OPCODE, 0, 0, 0],
		[1, 1, 11, Status.LBA_OUT_OF_RANGE, 40, 2 ** 40, 1],
		[0, 0, 0, 0, 0, 0, 0],
	]);
});

test("the error log keeps 64 errors, and counts all", () => {
	for (let i = 0; i < 70; i++) driver.do(1, { opcode: 0x7f });
	const log = driver.logPage(LogPage.ERROR_INFORMATION, 64 * 64);
	const counts = Array.from({ length: 64 }, (_, index) => ErrorEntry.number(log.subarray(index * 64), "errorCount"));
	expect(counts).toEqual(Array.from({ length: 64 }, (_, index) => 70 - index));
	expect(HealthLog.number(driver.logPage(LogPage.HEALTH, 512), "errorLogEntries")).toBe(70);
});

test("health counts commands, data in thousands of 512 bytes, and what the medium failed to do", () => {
	const page = driver.take(PAGE);
	for (let i = 0; i < 126; i++) driver.do(1, readOf(0, 8, page));
	driver.do(1, writeOf(0, 8, page));
	driver.do(1, readOf(2 ** 40, 8, page));
	driver.do(1, { opcode: NvmOpcode.WRITE_UNCORRECTABLE, namespace: 1, dword10: 0 });
	driver.do(1, readOf(0, 1, page));
	driver.clock.now = 7_300_000_000_000n;
	const log = driver.logPage(LogPage.HEALTH, 512);
	const number = (field: Parameters<typeof HealthLog.number>[1]) => HealthLog.number(log, field);
	expect([number("hostReadCommands"), number("dataUnitsRead")]).toEqual([126, 2]);
	expect([number("hostWriteCommands"), number("dataUnitsWritten")]).toEqual([1, 1]);
	expect([number("mediaErrors"), number("powerOnHours"), number("compositeTemperature")]).toEqual([1, 2, 323]);
	expect([number("availableSpare"), number("availableSpareThreshold"), number("percentageUsed")]).toEqual([100, 10, 0]);
});

test("there is one firmware slot, and it is active", () => {
	const log = driver.logPage(LogPage.FIRMWARE_SLOT, 512);
	expect([log[0], new TextDecoder().decode(log.subarray(8, 16))]).toEqual([1, "1.0     "]);
});

test("the commands that are listed as supported are those that there are", () => {
	const log = new DataView(driver.logPage(LogPage.COMMANDS_SUPPORTED, 4096).slice().buffer);
	const supported = (at: number) =>
		Array.from({ length: 256 }, (_, opcode) => opcode).filter((opcode) => log.getUint32(at + 4 * opcode, true) & 1);
	expect(supported(0)).toEqual([0, 1, 2, 4, 5, 6, 8, 9, 0xa, 0xc, 0x7c, 0x80]);
	expect(supported(1024)).toEqual([0, 1, 2, 4, 5, 8, 9, 0xc]);
	// All others end with Invalid Command Opcode, in each kind of queue.
	for (let opcode = 0; opcode < 256; opcode++) {
		if (!supported(0).includes(opcode)) expect(driver.admin({ opcode }).status).toBe(Status.INVALID_OPCODE);
		if (!supported(1024).includes(opcode)) expect(driver.do(1, { opcode }).status).toBe(Status.INVALID_OPCODE);
	}
});

test("a log page is read from any dword on, and beyond its end there are zeroes", () => {
	driver.do(1, { opcode: 0x7f, id: 0x1234 });
	const prp1 = driver.take(PAGE);
	const read = (offset: number, dwords: number) => {
		driver.bytes(prp1, PAGE).fill(0xee);
		return driver.admin({
			opcode: AdminOpcode.GET_LOG_PAGE,
			prp1,
			dword10: LogPage.ERROR_INFORMATION | ((dwords - 1) << 16),
			dword12: offset,
		}).status;
	};
	expect(read(8, 1)).toBe(0);
	expect([...driver.bytes(prp1, 5)]).toEqual([1, 0, 0x34, 0x12, 0xee]);
	expect(read(4092, 3)).toBe(0);
	expect([...driver.bytes(prp1, 13)]).toEqual([...Array(12).fill(0), 0xee]);
	expect([read(4096, 1), read(4100, 1), read(2, 1)]).toEqual([0, Status.INVALID_FIELD, Status.INVALID_FIELD]);
});

test.each([
	["a log page that isn't there", 0x0d, {}, Status.INVALID_LOG_PAGE],
	["log page 0", 0, {}, Status.INVALID_LOG_PAGE],
	["the health of one namespace", LogPage.HEALTH, { namespace: 1 }, Status.INVALID_FIELD],
	["more than MDTS", LogPage.ERROR_INFORMATION | (0xffff << 16), { dword11: 3 }, Status.INVALID_FIELD],
	["a log page for memory that isn't there", LogPage.HEALTH, { prp1: 0x7000_0000 }, Status.DATA_TRANSFER_ERROR],
] as const)("asking for %s is an error", (_, dword10, more, status) => {
	const command = { opcode: AdminOpcode.GET_LOG_PAGE, prp1: PAGE, dword10: dword10 >>> 0, ...more };
	expect(driver.admin(command).status).toBe(status);
});

test("the health of all namespaces is the controller's", () => {
	const command = { opcode: AdminOpcode.GET_LOG_PAGE, prp1: driver.take(PAGE), dword10: LogPage.HEALTH };
	expect(driver.admin({ ...command, namespace: 0xffff_ffff }).status).toBe(0);
});
