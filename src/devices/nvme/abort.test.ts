import { beforeEach, expect, test } from "vitest";
import { AdminOpcode } from "./admin.js";
import { TestDriver } from "./driver.testing.js";
import { NvmOpcode } from "./nvm.js";
import { Status } from "./status.js";

let driver: TestDriver;

beforeEach(() => {
	driver = new TestDriver({ options: { size: "1G" } });
	driver.enable();
	driver.createQueues(1);
});

const abort = (queue: number, command: number) => ({
	opcode: AdminOpcode.ABORT,
	dword10: (queue | (command << 16)) >>> 0,
	id: 1,
});

test("a request for events is aborted", () => {
	driver.submit(0, { opcode: AdminOpcode.ASYNCHRONOUS_EVENT_REQUEST, id: 100 });
	driver.run();
	driver.submit(0, abort(0, 100));
	driver.run();
	expect(driver.poll(0)).toMatchObject([
		{ commandId: 100, status: Status.ABORT_REQUESTED, doNotRetry: false },
		{ commandId: 1, status: 0, result: 0 },
	]);
});

test("a command that takes long is aborted", () => {
	driver.submit(1, { opcode: NvmOpcode.VERIFY, namespace: 1, dword12: 0xffff, id: 7 });
	driver.controller.work!();
	driver.submit(0, abort(1, 7));
	driver.run();
	expect(driver.poll(1)).toMatchObject([{ commandId: 7, status: Status.ABORT_REQUESTED }]);
	expect(driver.poll(0)).toMatchObject([{ commandId: 1, result: 0 }]);
});

test("a format that is aborted leaves the namespace usable", () => {
	driver.submit(0, { opcode: AdminOpcode.FORMAT_NVM, namespace: 1, dword10: 1, id: 9 });
	driver.controller.work!();
	driver.submit(0, abort(0, 9));
	driver.run();
	expect(driver.poll(0)).toMatchObject([
		{ commandId: 9, status: Status.ABORT_REQUESTED },
		{ commandId: 1, result: 0 },
	]);
	expect(driver.do(1, { opcode: NvmOpcode.FLUSH, namespace: 1 }).status).toBe(0);
});

test.each([
	["a command that isn't there", 1, 5],
	["one of a queue that isn't there", 40, 0],
	["itself", 0, 1],
])("aborting %s succeeds, and says that nothing was aborted", (_, queue, command) => {
	expect(driver.admin(abort(queue, command))).toMatchObject({ status: 0, result: 1 });
});
