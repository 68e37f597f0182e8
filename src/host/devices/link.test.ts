import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { DeviceLink, LinkState, Question } from "./link.js";

test("what one side says the other hears: entries in their order, questions and texts", () => {
	const one = new DeviceLink([2, 65]);
	const other = new DeviceLink([2, 65], one.memory);
	expect([one.hasRoom, other.oldestEntry]).toEqual([true, undefined]);
	for (let i = 0; i < 1000; i++) {
		for (const value of [i, i + 0.5]) {
			const at = one.nextEntry;
			one.words[at] = i;
			one.doubles[at / 2 + 1] = value;
			one.push();
		}
		const seen = [0, 1].map(() => {
			const at = other.oldestEntry!;
			const value = [other.words[at], other.doubles[at / 2 + 1]];
			other.pop();
			return value;
		});
		expect(seen).toEqual([
			[i, i],
			[i, i + 0.5],
		]);
	}
	other.ask(Question.KIND, 5);
	other.askDouble(Question.VALUE, 2 ** 52 + 1);
	other.handIn();
	expect([one.isAsked, one.asked(Question.KIND), one.askedDouble(Question.VALUE)]).toEqual([true, 5, 2 ** 52 + 1]);
	expect(other.readText(one.writeText("größer"))).toBe("größer");
	one.handBack();
	other.waitForAnswer();
	one.state = LinkState.STOPPING;
	expect([other.changeState(LinkState.RUNNING, LinkState.ENDED), other.state]).toEqual([false, LinkState.STOPPING]);
});

test("the ring is full some time, and somebody who wants room is told once", () => {
	const link = new DeviceLink([0]);
	let pushed = 0;
	for (; link.hasRoom; pushed++) link.push();
	expect(pushed).toBe(64);
	link.wantRoom();
	link.pop();
	expect([link.hasRoom, link.takeWantsRoom(), link.takeWantsRoom()]).toEqual([true, true, false]);
});

test("functions have their own state, beside each other", () => {
	const link = new DeviceLink([3, 2]);
	const [one, other] = link.functions;
	one.setCommand(true, false);
	other.setCommand(false, true);
	one.setEventFd(2, 17);
	other.setEventFd(0, 18);
	one.addReset();
	expect([one.isMemoryEnabled, one.isBusMaster, one.eventFdOf(2), one.resets]).toEqual([true, false, 17, 1]);
	expect([other.isMemoryEnabled, other.isBusMaster, other.eventFdOf(0), other.resets]).toEqual([false, true, 18, 0]);
});

test("who takes something away waits for a copy that is under way, but not for ever", async () => {
	const link = new DeviceLink([0]);
	const [state] = link.functions;
	expect([state.revoke(1), state.generation]).toEqual([true, 1]);
	state.beginCopy();
	expect([state.revoke(1), state.isCopying, state.generation]).toEqual([false, true, 2]);
	state.endCopy();
	expect([state.revoke(1), state.isCopying]).toEqual([true, false]);
	// Another thread ends its copy once we wait for it: 2 is what the word says then.
	const busy = link.words.length - 16 + 2;
	state.beginCopy();
	const worker = new Worker(
		`const { workerData: { memory, busy } } = require("node:worker_threads");
		const words = new Int32Array(memory);
		while (Atomics.load(words, busy) !== 2);
		if (Atomics.exchange(words, busy, 0) === 2) Atomics.notify(words, busy);`,
		{ eval: true, workerData: { memory: link.memory, busy } },
	);
	expect(state.revoke(30_000)).toBe(true);
	await worker.terminate();
});
