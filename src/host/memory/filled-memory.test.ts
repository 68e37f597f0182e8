import { expect, test } from "vitest";
import { Later } from "../../uapi/later.js";
import type { ParkedCalls } from "../trap/parked-calls.js";
import { type Copy, type CopyThreads, MOST_COPIED } from "./copy-threads.js";
import { FilledMemory } from "./filled-memory.js";

const THREAD = 17;

/** Memory of as many bytes, and the copies that are to be made of it. */
function memoryOf(bytes: Uint8Array) {
	const known: unknown[] = [];
	const copies: Copy[] = [];
	const parked = {
		outcomesBy: () => known,
		noteOutcome: (_call: unknown, _by: unknown, outcome: unknown) => known.push(outcome),
	};
	const threads = { add: (copy: Copy) => copies.push(copy) };
	const filled = new FilledMemory(parked as unknown as ParkedCalls, threads as unknown as CopyThreads);
	/** Makes a call until it isn't put aside. @returns how often it was made */
	const make = (call: () => void): number => {
		for (let made = 1; ; made++) {
			try {
				call();
				return made;
			} catch (error) {
				if (!(error instanceof Later)) throw error;
				let again = 0;
				error.park({ makeAgain: () => again++, onDropped: undefined });
				const { thread, address, length, done } = copies.shift()!;
				expect(thread).toBe(THREAD);
				const found = bytes.subarray(address, address + length);
				done(found.length, found);
				expect(again).toBe(1);
			}
		}
	};
	return { filled, make, copies };
}

test("a call is made once more for each piece that it reads, and gets what was read", () => {
	const bytes = new Uint8Array(2 * MOST_COPIED).map((_, i) => i % 251);
	const { filled, make } = memoryOf(bytes);
	const into = new Uint8Array(MOST_COPIED + 10);
	expect(make(() => expect(filled.read(THREAD, 5, into)).toBe(into.length))).toBe(3);
	expect(into).toEqual(bytes.subarray(5, 5 + into.length));
});

test("a read ends where the memory does", () => {
	const { filled, make } = memoryOf(Uint8Array.of(1, 2, 3));
	const into = new Uint8Array(8);
	make(() => expect(filled.read(THREAD, 1, into)).toBe(2));
	expect([...into]).toEqual([2, 3, 0, 0, 0, 0, 0, 0]);
});

test("what a call writes is what it reads after that, and is written in its order before it is answered", () => {
	const { filled, make, copies } = memoryOf(Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7));
	const into = new Uint8Array(4);
	make(() => {
		filled.takeWrites();
		filled.write(1, Uint8Array.of(90, 91, 92));
		filled.write(3, Uint8Array.of(93));
		filled.read(THREAD, 2, into);
	});
	expect([...into]).toEqual([91, 93, 4, 5]);
	let isDone = false;
	filled.carryOut(THREAD, filled.takeWrites(), () => {
		isDone = true;
	});
	for (const expected of [
		[1, 90, 91, 92],
		[3, 93],
	]) {
		const { address, bytes, done } = copies.shift()!;
		expect([address, ...bytes!]).toEqual(expected);
		expect(isDone).toBe(false);
		done(bytes!.length, bytes!);
	}
	expect(isDone).toBe(true);
	expect(filled.takeWrites()).toEqual([]);
});
