import { expect, test } from "vitest";
import type { Endpoint } from "./endpoint.js";
import { WorkList } from "./work-list.js";

/** A model with so many pieces of work. */
class Worker implements Endpoint {
	left = 0;
	readonly done: string[];
	readonly #name: string;
	afterEach: () => void = () => {};

	constructor(name: string, done: string[]) {
		this.#name = name;
		this.done = done;
	}

	work(): boolean {
		if (this.left === 0) return false;
		this.left--;
		this.done.push(this.#name);
		this.afterEach();
		return this.left > 0;
	}

	readRegister(): bigint {
		return 0n;
	}

	writeRegister(): void {}
	reset(): void {}
}

test("work is done until nothing is left, and those who have more to do take turns", () => {
	const done: string[] = [];
	const list = new WorkList();
	const [one, other] = ["one", "other"].map((name) => new Worker(name, done));
	one.left = 3;
	other.left = 2;
	list.add(other);
	list.doAll(one);
	expect(done).toEqual(["other", "one", "other", "one", "one"]);
});

test("work that is cause for another's has that done, too, also when it comes back", () => {
	const done: string[] = [];
	const list = new WorkList();
	const [one, other] = ["one", "other"].map((name) => new Worker(name, done));
	let answers = 2;
	one.left = 1;
	one.afterEach = () => {
		other.left++;
		list.doAll(other);
	};
	other.afterEach = () => {
		if (answers-- <= 0) return;
		one.left++;
		list.add(one);
	};
	list.doAll(one);
	expect(done).toEqual(["one", "other", "one", "other", "one", "other"]);
});
