import { expect, test } from "vitest";
import { Later } from "./later.js";
import { Turn, Turns, whenFree } from "./turns.js";

test("who can't have a turn is put aside, and made again when it is given", () => {
	const turn = new Turn("it is taken");
	let again = 0;
	{
		using _ = Turns.take(turn);
		let later: unknown;
		try {
			Turns.take(turn);
		} catch (error) {
			later = error;
		}
		expect(later).toBeInstanceOf(Later);
		(later as Later).park({ makeAgain: () => again++, onDropped: undefined });
		expect([turn.isTaken, again]).toEqual([true, 0]);
	}
	expect([turn.isTaken, again]).toEqual([false, 1]);
});

test("who can have one turn but not the other has none afterwards", () => {
	const [one, other] = [new Turn("one"), new Turn("other")];
	other.take();
	expect(() => {
		using turns = Turns.take(one);
		turns.take(other);
	}).toThrow(Later);
	expect(one.isTaken).toBe(false);
});

test("what can't be put aside is done when all turns are free, and keeps those that it has meanwhile", () => {
	const [one, other] = [new Turn("one"), new Turn("other")];
	const order: string[] = [];
	other.take();
	const needed = [() => one, () => undefined, () => other, () => one];
	whenFree(needed, () => order.push("first"));
	whenFree(needed, () => order.push("second"));
	expect([one.isTaken, order]).toEqual([true, []]);
	other.give();
	expect([one.isTaken, other.isTaken, order]).toEqual([false, false, ["first", "second"]]);
	whenFree(needed, () => order.push("third"));
	expect(order).toEqual(["first", "second", "third"]);
});

test("which turn is needed is found out when the one before it is there", () => {
	const [device, before, after] = [new Turn("device"), new Turn("before"), new Turn("after")];
	let context = before;
	device.take();
	let done = false;
	whenFree([() => device, () => context], () => {
		done = after.isTaken && !before.isTaken;
	});
	context = after;
	device.give();
	expect(done).toBe(true);
});
