import { expect, test } from "vitest";
import { type Backing, Extents, PAGE_SIZE } from "../../memory/address-space.js";
import { KeptMemory } from "./kept-memory.js";

const backing: Backing = { name: "test", read: () => 0, write: () => 0 };

/** Memory in which each page is full of its number, but for those that can't be read. */
function keep(pages: readonly (readonly [page: number, count: number])[], missing: readonly number[] = []): KeptMemory {
	const pinned = new Extents();
	for (const [page, count] of pages) pinned.add(backing, page, count);
	return new KeptMemory(pinned, (address, into) => {
		let done = 0;
		for (; done < into.length; done += PAGE_SIZE) {
			const page = (address + done) / PAGE_SIZE;
			if (missing.includes(page)) break;
			into.fill(page, done, done + PAGE_SIZE);
		}
		return done;
	});
}

function read(kept: KeptMemory, address: number, length: number): number[] {
	const into = new Uint8Array(length);
	return [...into.subarray(0, kept.read(address, into))];
}

test("what was pinned can be read and written, across stretches that lie side by side", () => {
	const kept = keep([
		[5, 1],
		[3, 2],
	]);
	expect(read(kept, 4 * PAGE_SIZE - 1, 2)).toEqual([3, 4]);
	expect(read(kept, 5 * PAGE_SIZE - 1, 2)).toEqual([4, 5]);
	expect(kept.write(5 * PAGE_SIZE - 1, new Uint8Array([8, 9]))).toBe(2);
	expect(read(kept, 5 * PAGE_SIZE - 2, 4)).toEqual([4, 8, 9, 5]);
});

test("what was not pinned, or could not be read, isn't there", () => {
	const kept = keep([[3, 4]], [4]);
	expect(read(kept, 4 * PAGE_SIZE - 1, 2)).toEqual([3]);
	expect(read(kept, 4 * PAGE_SIZE, 1)).toEqual([]);
	expect(read(kept, 5 * PAGE_SIZE, 1)).toEqual([5]);
	expect(read(kept, 2 * PAGE_SIZE, 1)).toEqual([]);
	expect(read(kept, 7 * PAGE_SIZE - 1, 9)).toEqual([6]);
});
