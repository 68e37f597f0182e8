import { expect, test } from "vitest";
import { type ParkedCall, WaitQueue } from "./later.js";

class TestCall implements ParkedCall {
	onDropped: (() => void) | undefined;
	readonly #name: string;
	readonly #made: string[];

	constructor(name: string, made: string[]) {
		this.#name = name;
		this.#made = made;
	}

	makeAgain(): void {
		this.#made.push(this.#name);
	}
}

test("those who wait are made again in the order in which they came, and only once", () => {
	const queue = new WaitQueue();
	const made: string[] = [];
	for (const name of ["one", "two", "three"]) queue.later("a test").park(new TestCall(name, made));
	expect([queue.length, made]).toEqual([3, []]);
	queue.wakeAll();
	queue.wakeAll();
	expect([queue.length, made]).toEqual([0, ["one", "two", "three"]]);
});

test("one that waits again while all are woken waits for the next time", () => {
	const queue = new WaitQueue();
	const made: string[] = [];
	const again = new TestCall("again", made);
	again.makeAgain = () => {
		made.push("again");
		queue.later("still").park(again);
	};
	queue.later("a test").park(again);
	queue.wakeAll();
	expect([queue.length, made]).toEqual([1, ["again"]]);
});

test("one that is given up isn't waited for", () => {
	const queue = new WaitQueue();
	const made: string[] = [];
	const [gone, there] = ["gone", "there"].map((name) => new TestCall(name, made));
	for (const call of [gone, there]) queue.later("a test").park(call);
	gone.onDropped?.();
	expect(queue.length).toBe(1);
	queue.wakeAll();
	expect(made).toEqual(["there"]);
});
