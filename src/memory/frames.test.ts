import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ArrayBacking } from "./array-space.js";
import { type Contiguity, FIRST_FRAME, Frames } from "./frames.js";
import { Runs } from "./runs.js";

const contiguities: Contiguity[] = ["4K", "2M", "1G", "as-addresses"];
const GIB = 2 ** 18;

function runsOf(frames: Frames, backing: ArrayBacking, page: number, count: number): [number, number][] {
	const runs = new Runs();
	frames.runs(backing, page, count, runs);
	return Array.from({ length: runs.length }, (_, i) => [runs.frame[i], runs.count[i]]);
}

describe.each(contiguities)("with contiguity %s", (contiguity) => {
	test("every page has a frame of its own, the same for all who ask, and the frame leads back to the page", () => {
		const frames = new Frames(contiguity);
		const backings = [new ArrayBacking("a", new Uint8Array(0)), new ArrayBacking("b", new Uint8Array(0))];
		const start = GIB - 1500;
		for (const backing of backings) frames.pin(backing, start, 3000);
		const seen = new Set<number>();
		for (const backing of backings) {
			let page = start;
			for (const [frame, count] of runsOf(frames, backing, start, 3000))
				for (let i = 0; i < count; i++, page++) {
					expect(frames.frameOf(backing, page)).toBe(frame + i);
					const found = frames.locate(frame + i)!;
					expect([found.backing, found.page]).toEqual([backing, page]);
					// The pages that follow lie in the frames that follow, as many as it says.
					const last = Math.min(found.count, start + 3000 - page) - 1;
					expect(frames.frameOf(backing, page + last)).toBe(frame + i + last);
					seen.add(frame + i);
				}
			expect(page).toBe(start + 3000);
		}
		expect(seen.size).toBe(6000);
	});

	test("no run is longer than the contiguity says", () => {
		const frames = new Frames(contiguity);
		const backing = new ArrayBacking("a", new Uint8Array(0));
		frames.pin(backing, 0, 3 * GIB);
		const longest = Math.max(...runsOf(frames, backing, GIB - 5000, 10_000).map(([, count]) => count));
		const limits = { "4K": 1, "2M": 512, "1G": 5000, "as-addresses": 10_000 };
		expect(longest).toBe(limits[contiguity]);
	});
});

test("a terabyte costs as much as its gibibytes, not its pages", () => {
	const frames = new Frames();
	const backing = new ArrayBacking("a", new Uint8Array(0));
	frames.pin(backing, 0, 2 ** 28);
	expect(runsOf(frames, backing, 0, 2 ** 28)).toHaveLength(1);
	expect(frames.blocks).toBe(1024);
	frames.unpin(backing, 0, 2 ** 28);
	expect(frames.blocks).toBe(0);
});

test("pins agree with a naive count, and a block without pins is given back", () => {
	const ranges = fc.array(fc.tuple(fc.nat(2000), fc.integer({ min: 1, max: 1500 })), { maxLength: 20 });
	fc.assert(
		fc.property(ranges, fc.nat(), (list, seed) => {
			const frames = new Frames();
			const backing = new ArrayBacking("a", new Uint8Array(0));
			const naive = new Map<number, number>();
			const held: [number, number][] = [];
			for (const [i, [page, count]] of list.entries()) {
				frames.pin(backing, page, count);
				held.push([page, count]);
				for (let p = page; p < page + count; p++) naive.set(p, (naive.get(p) ?? 0) + 1);
				if ((seed + i) % 3 !== 0) continue;
				const [first, length] = held.splice((seed + i) % held.length, 1)[0];
				frames.unpin(backing, first, length);
				for (let p = first; p < first + length; p++) naive.set(p, naive.get(p)! - 1);
			}
			for (let p = 0; p < 3600; p += 13) expect(frames.pins(backing, p)).toBe(naive.get(p) ?? 0);
			for (const [page, count] of held) frames.unpin(backing, page, count);
			expect([frames.pinned, frames.blocks]).toEqual([0, 0]);
		}),
	);
});

test("a device's memory is where it was put, and pages are put beside it", () => {
	const frames = new Frames();
	const registers = Object.assign(new ArrayBacking("registers", new Uint8Array(0)), { isDeviceMemory: true as const });
	const first = FIRST_FRAME + 2 * GIB + 5;
	frames.addDevice(registers, first, 3);
	frames.pin(registers, 1, 2);
	expect(runsOf(frames, registers, 1, 2)).toEqual([[first + 1, 2]]);
	expect([frames.frameOf(registers, 2), frames.pinned]).toEqual([first + 2, 2]);
	expect(frames.locate(first + 1)).toMatchObject({ backing: registers, page: 1, count: 2 });
	expect([frames.locate(first - 1), frames.locate(first + 3)]).toEqual([undefined, undefined]);
	const memory = new ArrayBacking("memory", new Uint8Array(0));
	frames.pin(memory, 0, 3 * GIB);
	expect(frames.frameOf(memory, 2 * GIB)).toBe(FIRST_FRAME + 3 * GIB);
	expect(frames.blocks).toBe(3);
	frames.unpin(memory, 0, 3 * GIB);
	frames.unpin(registers, 1, 2);
	expect([frames.blocks, frames.pinned]).toEqual([0, 0]);
});
