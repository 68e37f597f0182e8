import { expect, test } from "vitest";
import { connected, frame } from "./igb.testing.js";
import { Rctl, Register } from "./registers.js";

const GPRC = 0x4074;
const GPTC = 0x4080;
const GORCL = 0x4088;
const GOTCL = 0x4090;
const TORL = 0x40c0;

test("both ends count frames and octets with their checksums, and start anew when they are read", () => {
	const [one, other] = connected();
	for (const driver of [one, other]) driver.start();
	one.send(frame(60));
	one.send(frame(1000));
	one.send(frame(60, { to: [0xff, 0xff, 0xff, 0xff, 0xff, 0xff] }));
	one.send(frame(60, { to: [1, 0, 0, 0, 0, 0] }));
	const octets = 3 * 64 + 1004;
	expect([one.read(GPTC), one.read(GOTCL), one.read(GOTCL + 4), one.read(0x40f0), one.read(0x40f4)]).toEqual([
		4,
		octets,
		0,
		1,
		1,
	]);
	expect([other.read(GPRC), other.read(GORCL), other.read(GORCL + 4), other.read(0x407c), other.read(0x4078)]).toEqual([
		4,
		octets,
		0,
		1,
		1,
	]);
	// By length.
	expect([other.read(0x405c), other.read(0x406c), one.read(0x40d8), one.read(0x40e8)]).toEqual([3, 1, 3, 1]);
	expect([one.read(GPTC), one.read(GOTCL), other.read(GPRC), other.read(GORCL)]).toEqual([0, 0, 0, 0]);
});

test("what isn't taken is counted for what it was: too short, too long, not for this port", () => {
	const [one, other] = connected();
	for (const driver of [one, other]) driver.start();
	const withoutPadding = 1 << 1;
	one.write(Register.TCTL, withoutPadding);
	one.send(frame(40));
	one.send(frame(1600));
	other.write(Register.RCTL, other.read(Register.RCTL) & ~Rctl.UPE);
	one.send(frame(60, { to: [2, 0, 0, 0, 0, 9] }));
	expect([0x40a4, 0x40ac, GPRC, 0x40d0, TORL].map((at) => other.read(at))).toEqual([1, 1, 0, 3, 44 + 1604 + 64]);
	other.set(Register.RCTL, Rctl.LPE | Rctl.UPE);
	one.send(frame(1600));
	other.settle();
	expect([other.read(GPRC), other.receive()?.bytes.length]).toEqual([1, 1600]);
});
