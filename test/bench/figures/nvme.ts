// What the NVMe controller takes for a command: with nothing around it, in this process, in front of plain memory; and for a program in C
// under Ioasis, from the bell to the answer.

import { spawnSync } from "node:child_process";
import { PAGE, readOf, TestDriver, writeOf } from "../../../src/devices/nvme/driver.testing.js";
import {
	atMost,
	type Figure,
	inTurns,
	type Measurement,
	noGoal,
	once,
	ratio,
	type Setting,
	Skipped,
} from "../figure.js";
import { ioasis } from "./trapped.js";

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

/** What examples/nvme says of random reads, in microseconds. */
interface Reads {
	/** Of one read, from the bell to its completion. */
	readonly median: number;
	/** Of all by their number. */
	readonly each: number;
}

function randomReads({ checkout, floors }: Setting, count: number, depth: number): Reads {
	const [program, ...words] = [...ioasis(checkout, "intel"), floors.example("nvme"), "-n", depth, "random", count];
	const { status, stdout, stderr } = spawnSync(String(program), words.map(String), { encoding: "utf8" });
	if (status !== 0) throw new Skipped(`the example of an NVMe driver failed: ${stderr.trim()}`);
	const perSecond = Number(/: (\d+) a second/.exec(stdout)?.[1]);
	return { median: Number(/median ([\d.]+)/.exec(stdout)?.[1]), each: 1e6 / perSecond };
}

/** The same in front of Ioasis and of a thread that does no more than to copy. */
function compareReads(setting: Setting, depth: number, which: keyof Reads): Measurement {
	const { floors, rounds, short } = setting;
	const count = short ? 20_000 : 200_000;
	const result = { figure: [] as number[], floor: [] as number[] };
	for (let round = 0; round < Math.ceil(rounds / 2); round++) {
		const [[median, each]] = floors.run("doorbell", count, depth);
		result.floor.push((which === "median" ? median : each) / 1e3);
		result.figure.push(randomReads(setting, count, depth)[which]);
	}
	return { ...result, note: `${Math.round(1e6 / Math.min(...result.figure)).toLocaleString("en")} reads a second` };
}

const against = "copying 4 KiB once";
const againstThread = "a thread that looks at a bell in shared memory, and copies 4 KiB";

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
	{
		name: "nvme/latency",
		what: "a random read of 4 KiB by a program in C, one at a time, from the bell to its completion",
		against: againstThread,
		unit: "us",
		goal: noGoal,
		measure: (setting) => compareReads(setting, 1, "median"),
	},
	{
		name: "nvme/depth-32",
		what: "random reads of 4 KiB by a program in C, 32 at a time: all of the time by their number",
		against: againstThread,
		unit: "us",
		goal: atMost(10),
		measure: (setting) => compareReads(setting, DEPTH, "each"),
	},
];
