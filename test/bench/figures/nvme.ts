// What the NVMe controller takes for a command, with nothing around it: in this process, in front of plain memory.

import { PAGE, readOf, TestDriver, writeOf } from "../../../src/devices/nvme/driver.testing.js";
import { type Figure, inTurns, type Measurement, once, ratio, type Setting } from "../figure.js";

const SIZE = 256 * 1024 * 1024;
const BLOCKS_PER_PAGE = PAGE / 512;
/** Commands under way. */
const DEPTH = 32;
const QUEUE = 2 * DEPTH;

/** Pages from 0 to count - 1, without order. */
function randomPages(count: number, howMany: number): number[] {
	let state = 2463534242;
	return Array.from({ length: howMany }, () => {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		return (state >>> 0) % count;
	});
}

/** A queue full of commands, which are given again and again. The host does no more than to ring. */
function measure(setting: Setting, commandOf: typeof readOf): Measurement {
	const driver = new TestDriver({ options: { size: String(SIZE) } });
	driver.enable();
	driver.createQueues(1, QUEUE, { vector: 1, interrupts: true });
	const pages = randomPages(SIZE / PAGE, QUEUE);
	const buffers = pages.map(() => driver.take(PAGE));
	for (const [index, page] of pages.entries()) {
		driver.do(1, writeOf(page * BLOCKS_PER_PAGE, BLOCKS_PER_PAGE, buffers[index]));
	}
	for (const [index, page] of pages.entries()) {
		driver.put(1, commandOf(page * BLOCKS_PER_PAGE, BLOCKS_PER_PAGE, buffers[index]));
	}
	let tail = driver.submission.get(1)!.at;
	let head = driver.completion.get(1)!.at;
	const round = () => {
		tail = (tail + DEPTH) % QUEUE;
		driver.ring(1, false, tail);
		driver.run();
		driver.port.interrupts.length = 0;
		head = (head + DEPTH) % QUEUE;
		driver.ring(1, true, head);
	};
	const rounds = setting.short ? 1_000 : 10_000;
	const each = () =>
		once(() => {
			for (let i = 0; i < rounds; i++) round();
		}) /
		(rounds * DEPTH);
	const from = new Uint8Array(SIZE);
	const places = pages.map((page) => page * PAGE);
	const copy = () =>
		once(() => {
			for (let i = 0; i < rounds; i++)
				for (let j = 0; j < DEPTH; j++) driver.port.memory.set(from.subarray(places[j], places[j] + PAGE), buffers[j]);
		}) /
		(rounds * DEPTH);
	each();
	const measured = inTurns(setting.rounds, each, copy);
	const perSecond = Math.round(1e9 / Math.min(...measured.figure));
	return { ...measured, note: `${perSecond.toLocaleString("en")} commands a second` };
}

const against = "copying 4 KiB once";

export const nvmeFigures: readonly Figure[] = [
	{
		name: "nvme/read",
		what: "a random read of 4 KiB, of 32 at a time, in this process",
		against,
		unit: "ns",
		goal: ratio(10),
		measure: (setting) => measure(setting, readOf),
	},
	{
		name: "nvme/write",
		what: "a random write of 4 KiB, of 32 at a time, in this process",
		against,
		unit: "ns",
		goal: ratio(10),
		measure: (setting) => measure(setting, writeOf),
	},
];
