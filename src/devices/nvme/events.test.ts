import { beforeEach, expect, test } from "vitest";
import { AdminOpcode } from "./admin.js";
import { TestDriver } from "./driver.testing.js";
import { FeatureId, NAMESPACE_NOTICES } from "./features.js";
import { LogPage } from "./log-pages.js";
import { Status } from "./status.js";

const RETAIN = 1 << 15;
const BAD_REGISTER = 0 | (0 << 8) | (LogPage.ERROR_INFORMATION << 16);
const BAD_VALUE = 0 | (1 << 8) | (LogPage.ERROR_INFORMATION << 16);
const NAMESPACE_CHANGED = 2 | (0 << 8) | (LogPage.CHANGED_NAMESPACES << 16);

let driver: TestDriver;

beforeEach(() => {
	driver = new TestDriver({ options: { size: "1M:1M:1M" } });
	driver.enable();
});

const ask = (id: number) => {
	driver.submit(0, { opcode: AdminOpcode.ASYNCHRONOUS_EVENT_REQUEST, id });
	driver.run();
};
const badRegister = () => driver.ring(60, false, 1);
const badValue = () => driver.ring(0, false, 5000);
/** The events that have come: whose request, and what. */
const events = () => {
	driver.run();
	return driver.poll(0).map(({ commandId, result }) => [commandId, result]);
};

test("a request waits until something happens", () => {
	ask(100);
	expect(events()).toEqual([]);
	badRegister();
	expect(events()).toEqual([[100, BAD_REGISTER]]);
});

test("what happens before anybody asks is told then", () => {
	badRegister();
	badRegister();
	expect(events()).toEqual([]);
	ask(100);
	expect(events()).toEqual([[100, BAD_REGISTER]]);
});

test("no more events of a type come until its log page is read, and isn't to be retained", () => {
	ask(100);
	ask(101);
	badRegister();
	expect(events()).toEqual([[100, BAD_REGISTER]]);
	badValue();
	expect(events()).toEqual([]);
	driver.logPage(LogPage.ERROR_INFORMATION, 64, RETAIN);
	driver.logPage(LogPage.HEALTH, 512);
	expect(events()).toEqual([]);
	driver.submit(0, { opcode: AdminOpcode.GET_LOG_PAGE, prp1: driver.take(64), dword10: 1 | (15 << 16), id: 5 });
	expect(events()).toEqual([
		[5, 0],
		[101, BAD_VALUE],
	]);
});

test("four requests can wait, and the fifth is one too many", () => {
	for (const id of [1, 2, 3, 4]) ask(id);
	expect(driver.admin({ opcode: AdminOpcode.ASYNCHRONOUS_EVENT_REQUEST, id: 9 })).toMatchObject({
		status: Status.ASYNC_EVENT_LIMIT_EXCEEDED,
		doNotRetry: false,
	});
});

test("a request's identifier can't be another command's", () => {
	ask(100);
	expect(driver.admin({ opcode: AdminOpcode.GET_FEATURES, dword10: 1, id: 100 }).status).toBe(
		Status.COMMAND_ID_CONFLICT,
	);
	badRegister();
	expect(events()).toEqual([[100, BAD_REGISTER]]);
	expect(driver.admin({ opcode: AdminOpcode.GET_FEATURES, dword10: 1, id: 100 }).status).toBe(0);
});

test("a reset ends requests without a completion, and forgets what has happened", () => {
	badRegister();
	driver.disable();
	driver.enable();
	ask(100);
	expect(events()).toEqual([]);
	driver.disable();
	driver.enable();
	badRegister();
	expect(events()).toEqual([]);
});

test("namespaces that have changed are an event for who wants it, and a list that reading empties", () => {
	ask(100);
	const format = (namespace: number, dword10: number) =>
		expect(driver.admin({ opcode: AdminOpcode.FORMAT_NVM, namespace, dword10 }).status).toBe(0);
	const changed = () => [...new Uint32Array(driver.logPage(LogPage.CHANGED_NAMESPACES, 4096).slice().buffer)];
	format(2, 1);
	expect(events()).toEqual([]);
	driver.setFeature(FeatureId.ASYNCHRONOUS_EVENT_CONFIGURATION, NAMESPACE_NOTICES);
	driver.submit(0, { opcode: AdminOpcode.FORMAT_NVM, namespace: 3, dword10: 1, id: 50 });
	driver.run();
	expect(events()).toEqual([
		[50, 0],
		[100, NAMESPACE_CHANGED],
	]);
	expect(changed().slice(0, 3)).toEqual([2, 3, 0]);
	expect(changed().slice(0, 3)).toEqual([0, 0, 0]);
	// The same format again changes nothing.
	ask(101);
	format(3, 1);
	expect(events()).toEqual([]);
});
