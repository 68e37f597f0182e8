import { expect, test } from "vitest";
import { TestDriver } from "./igb.testing.js";
import { Register } from "./registers.js";

function readWord(driver: TestDriver, address: number): number {
	driver.write(Register.EERD, (address << 2) | 1);
	const value = driver.read(Register.EERD);
	expect(value & 2).toBe(2);
	return value >>> 16;
}

test("its words up to the checksum add up to 0xBABA, and begin with the port's address", () => {
	const driver = new TestDriver(undefined, Uint8Array.of(0x02, 0x11, 0x22, 0x33, 0x44, 0x55));
	const words = Array.from({ length: 0x40 }, (_, address) => readWord(driver, address));
	expect(words.reduce((sum, word) => (sum + word) & 0xffff)).toBe(0xbaba);
	expect(words.slice(0, 3)).toEqual([0x1102, 0x3322, 0x5544]);
	expect([words[0x0d], words[0x0e], words[0x37]]).toEqual([0x10c9, 0x8086, 0xffff]);
	expect([driver.read(Register.RAL), driver.read(Register.RAL + 4)]).toEqual([0x3322_1102, 0x8000_5544]);
});

test("beyond its end it reads as all ones, and without START nothing is read", () => {
	const driver = new TestDriver();
	expect(readWord(driver, 0x3fff)).toBe(0xffff);
	driver.write(Register.EERD, 4);
	expect(driver.read(Register.EERD)).toBe(4);
});

test("who asks for it has it, and it is there and read", () => {
	const driver = new TestDriver();
	expect(driver.read(Register.EECD) & 0x3c0).toBe(0x300);
	driver.write(Register.EECD, 0x40);
	expect(driver.read(Register.EECD) & 0x3c0).toBe(0x3c0);
});
