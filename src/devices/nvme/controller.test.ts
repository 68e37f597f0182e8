import { expect, test } from "vitest";
import { PAGE, readOf, TestDriver, writeOf } from "./driver.testing.js";

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
