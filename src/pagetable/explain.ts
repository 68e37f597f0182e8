// A page table for people and for tests: one walk level by level, and all the leaves there are.

import { hex } from "../uapi/errno.js";
import { READ, WRITE } from "./format.js";
import { firstInUse, indexOf, isEmpty, isTable, tableFrame } from "./table-level.js";
import { TABLE_FRAME_LG2 } from "./table-memory.js";
import type { Tree } from "./tree.js";

/** One table on the way from the top to the leaf. */
export interface WalkStep {
	/** As the engine counts: 0 is the lowest. */
	readonly level: number;
	/** The entry's name in the specification's words. */
	readonly name: string;
	readonly tableAddress: bigint;
	readonly index: number;
	readonly entry: bigint;
	/** "next table at 0x100001000 (PR NextLevel=2 IR IW)", "nothing is mapped here", ... */
	readonly meaning: string;
}

/** The steps of the walk for `va`; none where the address is out of range. */
export function explain(tree: Tree, va: number): WalkStep[] {
	const steps: WalkStep[] = [];
	if (!tree.inRange(va, va)) return steps;
	let frame = tree.topFrame;
	for (let level = tree.topLevel; ; level--) {
		const words = tree.memory.tableAt(frame);
		const index = indexOf(tree.levels[level]!, va);
		steps.push({
			level,
			name: tree.format.levels[level]!.entryName,
			tableAddress: BigInt(frame) << BigInt(TABLE_FRAME_LG2),
			index,
			entry: (BigInt(words[2 * index + 1]!) << 32n) | BigInt(words[2 * index]!),
			meaning: meaningOf(tree, level, words, index),
		});
		if (!isTable(tree.levels[level]!, words, index)) return steps;
		frame = tableFrame(tree.levels[level]!, words, index);
	}
}

function meaningOf(tree: Tree, number: number, words: Uint32Array, index: number): string {
	const { format } = tree;
	const level = tree.levels[number]!;
	if (isEmpty(level, words, index)) return "nothing is mapped here";
	const low = words[2 * index]!;
	const high = words[2 * index + 1]!;
	const bits = format.describe(number, low, high);
	if (isTable(level, words, index)) {
		const next = BigInt(tableFrame(level, words, index)) << BigInt(TABLE_FRAME_LG2);
		return `next table at ${hex(next)} (${bits})`;
	}
	const size = tree.leafSize(number, low, high);
	const address = tree.address(tree.leafFrame(size, low, high));
	return `${byteSize(size + format.granuleLg2)} page at ${address}, ${permissionInWords(format.leafProtection(number, low, high))} (${bits})`;
}

/** "4K", "512G" */
export function byteSize(lg2: number): string {
	return `${2 ** (lg2 % 10)}${["", "K", "M", "G", "T", "P", "E"][Math.floor(lg2 / 10)]}`;
}

/** "read and write" */
export function permissionInWords(protection: number): string {
	const permitted = [protection & READ ? "read" : "", protection & WRITE ? "write" : ""].filter((word) => word !== "");
	return permitted.length > 0 ? permitted.join(" and ") : "no access";
}

/** One leaf: `frames` frames from `va` on lead to those from `frame` on. */
export interface Leaf {
	readonly va: number;
	readonly frame: number;
	readonly frames: number;
	readonly level: number;
	readonly protection: number;
}

/** All leaves in the order of their addresses. */
export function* leaves(tree: Tree): Generator<Leaf> {
	yield* leavesBelow(tree, tree.topLevel, tree.topWords, 0);
}

function* leavesBelow(tree: Tree, number: number, words: Uint32Array, tableVa: number): Generator<Leaf> {
	const level = tree.levels[number]!;
	let index = firstInUse(level, words, 0, level.items);
	while (index < level.items) {
		const va = tableVa + index * level.itemFrames;
		if (isTable(level, words, index)) {
			yield* leavesBelow(tree, number - 1, tree.tableBelow(number, words, index), va);
			index++;
		} else {
			const low = words[2 * index]!;
			const high = words[2 * index + 1]!;
			const size = tree.leafSize(number, low, high);
			yield {
				va: tree.signExtended(va),
				frame: tree.leafFrame(size, low, high),
				frames: 2 ** size,
				level: number,
				protection: tree.format.leafProtection(number, low, high),
			};
			index += 1 << (size - level.itemSize);
		}
		index = firstInUse(level, words, index, level.items);
	}
}
