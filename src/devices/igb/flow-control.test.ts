import { expect, test } from "vitest";
import { areSame, COUNT, connected, frame, type TestDriver } from "./igb.testing.js";
import { Cause, Ctrl, Register, Srrctl, Status } from "./registers.js";

const MPC = 0x4010;
const XONE = 2 ** 31;

/** More than the ring has descriptors for: the others wait in the packet buffer. */
function flood(from: TestDriver, count: number): void {
	for (let sent = 0; sent < count; ) {
		for (let i = 0; i < COUNT - 1 && sent < count; i++, sent++) from.put(frame(1000, { fill: sent }));
		from.kick();
		from.settle();
	}
}

function sentFrames(length: number): Uint8Array[] {
	return Array.from({ length }, (_, fill) => frame(1000, { fill }));
}

test("frames for which there are no descriptors wait, and those that find no room are missed", () => {
	const [one, other] = connected();
	for (const driver of [one, other]) driver.start();
	flood(one, 200);
	const room = Math.floor((64 * 1024) / 1000);
	expect([other.read(MPC), other.read(Register.ICR) & Cause.RX_MISS]).toEqual([
		200 - (COUNT - 1) - room,
		Cause.RX_MISS,
	]);
	const got: Uint8Array[] = [];
	for (let i = 0; i < 5; i++) {
		other.settle();
		got.push(...other.receiveAll());
	}
	expect(areSame(got, sentFrames(COUNT - 1 + room))).toBe(true);
});

test("with pauses nobody misses anything, however slow the receiver is", () => {
	const [one, other] = connected();
	for (const driver of [one, other]) {
		driver.start();
		driver.set(Register.CTRL, Ctrl.RFCE | Ctrl.TFCE);
		driver.write(Register.FCTTV, 0xffff);
		driver.write(Register.FCRTH, 0xc000);
		driver.write(Register.FCRTL, XONE + 0x4000);
	}
	const total = 400;
	const got: Uint8Array[] = [];
	for (let sent = 0; got.length < total; ) {
		while (sent < total && one.isFree) {
			one.put(frame(1000, { fill: sent }));
			sent++;
		}
		one.kick();
		one.settle();
		if (sent === total || !one.isFree) {
			got.push(...other.receiveAll());
			other.settle();
		}
	}
	expect(areSame(got, sentFrames(total))).toBe(true);
	expect([other.read(MPC), one.read(0x4050) > 0, one.read(0x4048) > 0]).toEqual([0, true, true]);
});

test("a pause ends by itself when its time is over", () => {
	const [one, other] = connected();
	for (const driver of [one, other]) driver.start();
	one.set(Register.CTRL, Ctrl.RFCE);
	const pause = frame(60, { to: [1, 0x80, 0xc2, 0, 0, 1] });
	pause.set([0x88, 0x08, 0, 1, 0, 100], 12);
	other.send(pause);
	one.send(frame(60));
	expect([one.read(Register.STATUS) & Status.TXOFF, one.isSent(0)]).toEqual([Status.TXOFF, false]);
	one.now += 100n * 512n;
	one.settle();
	expect([one.read(Register.STATUS) & Status.TXOFF, one.isSent(0)]).toEqual([0, true]);
});

test("where pauses aren't on they are frames like others", () => {
	const [one, other] = connected();
	for (const driver of [one, other]) driver.start();
	const pause = frame(60, { to: [1, 0x80, 0xc2, 0, 0, 1] });
	pause.set([0x88, 0x08, 0, 1, 0, 100], 12);
	other.send(pause);
	one.settle();
	expect(one.receive()?.bytes).toEqual(pause);
});

test("a queue with Drop_En doesn't wait for descriptors, and counts what it drops", () => {
	const [one, other] = connected();
	one.start();
	other.start({ srrctl: (1 << 25) | Srrctl.DROP_EN });
	flood(one, 100);
	expect([other.read(Register.RXDMA + 0x30), other.read(MPC)]).toEqual([100 - (COUNT - 1), 0]);
});
