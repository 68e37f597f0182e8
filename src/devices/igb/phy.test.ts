import { expect, test } from "vitest";
import { connected, TestDriver } from "./igb.testing.js";
import { Register } from "./registers.js";

const LINK = 1 << 2;
const COMPLETE = 1 << 5;

test("it says which PHY it is, and nobody answers at another address", () => {
	const driver = new TestDriver();
	expect([driver.phyRead(2), driver.phyRead(3)]).toEqual([0x02a8, 0x0391]);
	driver.write(Register.MDIC, (2 << 26) | (5 << 21) | (2 << 16));
	expect(driver.read(Register.MDIC)).toBe(0x58a2_0000);
});

test("it negotiates with another end the best that it advertises", () => {
	const [one] = connected();
	expect(one.phyRead(1) & (LINK | COMPLETE)).toBe(LINK | COMPLETE);
	const speed = () => one.phyRead(17) >> 14;
	const negotiate = (register: number, value: number) => {
		one.phyWrite(register, value);
		one.phyWrite(0, 0x1200);
		return speed();
	};
	expect([speed(), negotiate(9, 0), negotiate(4, 0x0061), negotiate(4, 1)]).toEqual([3, 2, 1, 0]);
	expect(one.phyRead(5)).toBe(0);
	one.phyWrite(0, 0x2100);
	one.phyRead(1);
	expect([speed(), one.phyRead(1) & (LINK | COMPLETE), one.phyRead(5)]).toEqual([2, LINK, 0]);
	one.phyWrite(0, 0x8000);
	expect([speed(), one.phyRead(0), one.phyRead(10)]).toEqual([3, 0x1140, 0x3c00]);
});

test("a link that was lost reads as down once, however soon it is back", () => {
	const [one, other] = connected();
	other.phyWrite(0, 0x0800);
	other.phyWrite(0, 0x1140);
	expect([one.phyRead(1) & LINK, one.phyRead(1) & LINK]).toEqual([0, LINK]);
});

test("registers of different pages are different ones, and the first sixteen are on each", () => {
	const { phyRead, phyWrite } = bound(new TestDriver());
	phyWrite(31, 0x11b1);
	phyWrite(17, 0x1234);
	phyWrite(4, 0x0de1);
	phyWrite(31, 0x0010);
	expect([phyRead(17), phyRead(16), phyRead(31), phyRead(4)]).toEqual([0, 0x80, 0x10, 0x0de1]);
	phyWrite(31, 0x11b1);
	expect(phyRead(17)).toBe(0x1234);
	phyWrite(2, 7);
	expect(phyRead(2)).toBe(0x02a8);
});

function bound(driver: TestDriver) {
	return {
		phyRead: (number: number) => driver.phyRead(number),
		phyWrite: (number: number, value: number) => driver.phyWrite(number, value),
	};
}
