import { expect, test } from "vitest";
import { ArrayBacking } from "./array-space.js";
import { MovableMemory } from "./movable-memory.js";

test("the bytes stay the same wherever they are", () => {
	const memory = new MovableMemory("registers", 4);
	const read = () => {
		const bytes = new Uint8Array(4);
		memory.read(0, bytes);
		return [...bytes];
	};
	memory.write(0, Uint8Array.of(1, 2, 3));
	const elsewhere = new ArrayBacking("elsewhere", new Uint8Array(8));
	memory.moveTo(elsewhere);
	expect(read()).toEqual([1, 2, 3, 0]);
	elsewhere.bytes[3] = 4;
	memory.write(0, Uint8Array.of(5));
	expect([...elsewhere.bytes]).toEqual([5, 2, 3, 4, 0, 0, 0, 0]);
	memory.moveHome();
	elsewhere.bytes.fill(0);
	expect(read()).toEqual([5, 2, 3, 4]);
});
