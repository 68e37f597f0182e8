import { expect, test } from "vitest";
import { Wire } from "./wire.js";

test("a frame arrives at the other end, and is lost where there is none", () => {
	const wire = new Wire();
	const one = wire.takeEnd();
	one.send(Uint8Array.of(1));
	const other = wire.takeEnd();
	const got: number[] = [];
	other.onFrame = (frame) => got.push(frame[0]);
	one.send(Uint8Array.of(2));
	other.close();
	one.send(Uint8Array.of(3));
	expect(got).toEqual([2]);
});

test("the link is up as long as both ends are taken, and each hears of the other", () => {
	const wire = new Wire();
	const one = wire.takeEnd();
	const seen: boolean[] = [];
	one.onLinkChange = () => seen.push(one.isConnected);
	const other = wire.takeEnd();
	other.close();
	wire.takeEnd();
	expect(seen).toEqual([true, false, true]);
	expect(() => wire.takeEnd()).toThrow("both ends");
});

test("an end without power is as good as not taken, and the other one hears of it once", () => {
	const wire = new Wire();
	const one = wire.takeEnd();
	const other = wire.takeEnd();
	const seen: boolean[] = [];
	one.onLinkChange = () => seen.push(one.isConnected);
	other.isPowered = false;
	other.isPowered = false;
	other.isPowered = true;
	expect(seen).toEqual([false, true]);
	expect([one.isConnected, one.isPowered, other.isPowered]).toEqual([true, true, true]);
});
