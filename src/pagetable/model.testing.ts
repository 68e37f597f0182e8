// For tests: a page table so naive that it can't be wrong, and a property that any real one must share with it.

import fc from "fast-check";
import { expect } from "vitest";
import { Errno } from "../uapi/errno.js";
import { type Format, PageTable, type PageTableConfig, READ, WRITE } from "./pagetable.js";
import { TableMemory } from "./table-memory.js";

/** Addresses in bytes, as they are in the specifications. */
export interface ModelLeaf {
	va: bigint;
	pa: bigint;
	bytes: bigint;
	protection: number;
	dirty: boolean;
}

/** A list of leaves. Every operation looks at all of them. */
export class Model {
	leaves: ModelLeaf[] = [];

	/** The largest page that fits, then the next: no page may stick out, and both of its addresses are multiples of its size. */
	static split(
		va: bigint,
		pa: bigint,
		length: bigint,
		sizes: bigint,
		atMost: number,
	): Pick<ModelLeaf, "va" | "pa" | "bytes">[] {
		const leaves = [];
		for (let done = 0n; done < length && leaves.length < atMost; ) {
			let bytes = 1n << 62n;
			while (
				bytes > 0n &&
				!(sizes & bytes && (va + done) % bytes === 0n && (pa + done) % bytes === 0n && done + bytes <= length)
			)
				bytes >>= 1n;
			if (bytes === 0n) break;
			leaves.push({ va: va + done, pa: pa + done, bytes });
			done += bytes;
		}
		return leaves;
	}

	overlaps(va: bigint, length: bigint): boolean {
		return this.leaves.some((leaf) => leaf.va < va + length && va < leaf.va + leaf.bytes);
	}

	at(va: bigint): ModelLeaf | undefined {
		return this.leaves.find((leaf) => leaf.va <= va && va < leaf.va + leaf.bytes);
	}

	/** Whole leaves, up to the first hole; returns how many bytes. */
	unmap(va: bigint, length: bigint): bigint {
		let next = va;
		while (next < va + length) {
			const leaf = this.at(next);
			if (leaf === undefined || leaf.va !== next) break;
			this.leaves.splice(this.leaves.indexOf(leaf), 1);
			next += leaf.bytes;
		}
		return next - va;
	}

	sorted(): ModelLeaf[] {
		return [...this.leaves].sort((a, b) => (a.va < b.va ? -1 : 1));
	}
}

/** Reads table memory by itself, from the words and the specification, without the format's code. */
export type Decoder = (memory: TableMemory, topAddress: bigint, topLevel: number) => ModelLeaf[];

/** What a specification says about an entry, for a decoder. */
export interface Specification {
	/** By level, from 0: how many bits of the address index a table. */
	indexBits: readonly bigint[];
	granuleLg2: bigint;
	isPresent(entry: bigint, level: number): boolean;
	/** The table that an entry points to; undefined for a leaf. */
	table(entry: bigint, level: number): bigint | undefined;
	leaf(entry: bigint, itemBytes: bigint): Pick<ModelLeaf, "pa" | "bytes" | "protection" | "dirty">;
	/** The bit of an address that is repeated above it. */
	signBit?: bigint;
}

export function decoder(specification: Specification): Decoder {
	const { indexBits, granuleLg2, signBit } = specification;
	return (memory, topAddress, topLevel) => {
		const leaves: ModelLeaf[] = [];
		const walk = (address: bigint, level: number, base: bigint) => {
			const itemBytes = 1n << indexBits.slice(0, level).reduce((sum, bits) => sum + bits, granuleLg2);
			const words = memory.tableAt(Number(address >> 12n));
			const zeroIsPresent = specification.isPresent(0n, level);
			for (let index = 0; index < words.length / 2; index++) {
				// Most are zero, and to make a number of each takes time.
				if (!zeroIsPresent && words[2 * index] === 0 && words[2 * index + 1] === 0) continue;
				const entry = (BigInt(words[2 * index + 1]!) << 32n) | BigInt(words[2 * index]!);
				if (!specification.isPresent(entry, level)) continue;
				let va = base + BigInt(index) * itemBytes;
				const table = level > 0 ? specification.table(entry, level) : undefined;
				if (table !== undefined) {
					walk(table, level - 1, va);
					continue;
				}
				if (signBit !== undefined && va >> signBit) va += (1n << 64n) - (2n << signBit);
				const leaf = { va, ...specification.leaf(entry, itemBytes) };
				const before = leaves.at(-1);
				if (before === undefined || before.va + before.bytes <= va) {
					leaves.push(leaf);
					continue;
				}
				// A further item of the same leaf says the same; any of them may be dirty.
				check(leaf.pa === before.pa && leaf.bytes === before.bytes && leaf.protection === before.protection, entry);
				before.dirty ||= leaf.dirty;
			}
		};
		walk(topAddress, topLevel, 0n);
		return leaves;
	};
}

/** Bits `last` down to `first` of an entry, in place. */
export function bitsIn(entry: bigint, last: number, first: number): bigint {
	return entry & ((1n << BigInt(last + 1)) - (1n << BigInt(first)));
}

/** For decoders: what an entry must be. expect() is too slow for millions of them. */
export function check(condition: boolean, entry: bigint): void {
	if (!condition) throw new Error(`entry 0x${entry.toString(16)} is not as it should be`);
}

interface Operation {
	kind: "map" | "unmap" | "dirty" | "readDirty" | "translate";
	region: number;
	unit: number;
	va: number;
	pa: number;
	count: number;
	odd: number;
	protection: number;
	clear: boolean;
}

const operation: fc.Arbitrary<Operation> = fc.record({
	kind: fc.constantFrom("map", "map", "map", "unmap", "unmap", "dirty", "readDirty", "translate"),
	region: fc.nat(255),
	unit: fc.nat(255),
	va: fc.nat(20),
	pa: fc.nat(20),
	count: fc.integer({ min: 1, max: 40 }),
	odd: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: -2, max: 2 }) }),
	protection: fc.constantFrom(READ, WRITE, READ | WRITE),
	clear: fc.boolean(),
});

/** For tests with many random operations, on a machine that has other things to do as well. */
export const PATIENCE = 60_000;

/** So that no single mapping takes forever in the model. */
const MOST_LEAVES = 200;

export interface Subject {
	format: Format;
	config: PageTableConfig;
	decode: Decoder;
	/** How a format changes what a caller asked for: RISC-V can't write without reading. */
	permits?: (protection: number) => number;
	/** A page that may be written is dirty from the start. */
	bornDirty?: boolean;
	runs?: number;
}

/** Thousands of random operations on a table and on the model: both answer the same, and hold the same in the end. */
export function checkAgainstModel(subject: Subject): void {
	const { format, config, decode, runs = 40 } = subject;
	fc.assert(
		fc.property(fc.array(operation, { minLength: 1, maxLength: 80 }), (operations) => {
			const memory = new TableMemory();
			const table = new PageTable(format, config, memory);
			const model = new Model();
			for (const step of operations) apply(step, table, model, subject);
			expect(decode(memory, table.topAddress, table.topLevel)).toEqual(model.sorted());
			table.free();
			expect(memory.tablesInUse).toBe(0);
			expect(memory.bytesInUse).toBe(0);
		}),
		{ numRuns: runs },
	);
}

function apply(step: Operation, table: PageTable, model: Model, subject: Subject): void {
	const granule = 1n << BigInt(table.format.granuleLg2);
	const sizes = bitsOf(table.pageSizes);
	const unit = sizes[step.unit % sizes.length]!;
	const regions = regionsOf(table);
	const region = regions[step.region % regions.length]!;
	const odd = BigInt(step.odd) * granule;
	const va = clamp(region + (BigInt(step.va) - 10n) * unit + (step.region & 64 ? odd : 0n));
	const pa = clamp(BigInt(step.pa) * unit + (step.region & 128 ? odd : 0n));
	let length = BigInt(step.count) * unit + odd;
	if (length <= 0n) length = granule;
	const frames = (bytes: bigint) => Number(bytes / granule);

	switch (step.kind) {
		case "map": {
			const split = Model.split(va, pa, length, table.pageSizes, MOST_LEAVES);
			if (split.length > 0) length = split.at(-1)!.va + split.at(-1)!.bytes - va;
			const expected =
				va + length > 1n << 64n
					? "EOVERFLOW"
					: !inRange(table, va, length) || !fits(table, pa + length)
						? table.format.outOfRange
						: model.overlaps(va, length)
							? table.format.alreadyMapped
							: "mapped";
			expect(answer(() => table.map(frames(va), frames(pa), frames(length), step.protection))).toBe(
				fits(table, pa + length) ? expected : "ERANGE",
			);
			if (expected === "mapped" && fits(table, pa + length))
				for (const leaf of split) model.leaves.push({ ...leaf, ...born(step.protection, subject) });
			break;
		}
		case "unmap": {
			const reachable = va + length <= 1n << 64n && reaches(table, va, length);
			expect(BigInt(table.unmap(frames(va), frames(length))) * granule).toBe(reachable ? model.unmap(va, length) : 0n);
			break;
		}
		case "dirty": {
			const leaf = model.at(va);
			const tracked = table.format.dirty !== undefined && leaf !== undefined;
			// A leaf that may not be written is never asked for by hardware.
			if (leaf !== undefined && !(leaf.protection & WRITE)) break;
			expect(table.setDirty(frames(va))).toBe(tracked);
			if (tracked) leaf.dirty = true;
			break;
		}
		case "readDirty": {
			if (table.format.dirty === undefined || va + length > 1n << 64n || !reaches(table, va, length)) break;
			const reported: bigint[] = [];
			table.readDirty(frames(va), frames(length), step.clear, (first, count) => {
				reported.push(BigInt(first) * granule, BigInt(first + count) * granule);
			});
			const beginsInside = (model.at(va)?.va ?? va) !== va;
			const looked: Looked[] =
				table.format.dirty.shiftsLeaves && beginsInside
					? lookedAtFromInside(table, model, va, va + length)
					: model
							.sorted()
							.filter((leaf) => leaf.va < va + length && va < leaf.va + leaf.bytes)
							.map((leaf) => ({ leaf, saidToBegin: leaf.va }));
			const stretches: bigint[] = [];
			for (const { leaf, saidToBegin } of looked) {
				if (!leaf.dirty) continue;
				if (stretches.at(-1) === saidToBegin) stretches.pop();
				else stretches.push(saidToBegin);
				stretches.push(saidToBegin + leaf.bytes);
				if (step.clear) leaf.dirty = false;
			}
			expect(reported).toEqual(stretches);
			break;
		}
		case "translate": {
			if (va >= 1n << 64n) break;
			const leaf = model.at(va);
			expect(table.translate(frames(va))).toBe(leaf === undefined ? -1 : frames(leaf.pa + (va - leaf.va)));
			expect(table.protectionOf(frames(va))).toBe(leaf?.protection ?? 0);
			break;
		}
	}
}

interface Looked {
	leaf: ModelLeaf;
	saidToBegin: bigint;
}

/** io-pgtable-arm.c, for a range that begins inside of a leaf: which leaves it looks at, and where it believes that they begin. */
function lookedAtFromInside(table: PageTable, model: Model, va: bigint, end: bigint): Looked[] {
	const itemBytes = table.format.levels.map(({ itemLg2 }) => 1n << BigInt(itemLg2));
	const looked: Looked[] = [];
	// The item that is looked at begins at `at`, and is of this level.
	let level = table.topLevel;
	let at = va - (va % itemBytes[level]!);
	for (let address = va; address < end; ) {
		const leaf = model.at(at);
		const hasMore = model.overlaps(at, itemBytes[level]!);
		if (leaf?.bytes === itemBytes[level]) {
			looked.push({ leaf, saidToBegin: address });
			address += leaf.bytes;
			at += leaf.bytes;
			while (level < table.topLevel && at % itemBytes[level + 1]! === 0n) level++;
		} else if (level > 0 && hasMore) {
			level--;
			at = address - (address % itemBytes[level]!);
		} else break;
	}
	return looked;
}

function born(asked: number, { permits, bornDirty = false }: Subject): Pick<ModelLeaf, "protection" | "dirty"> {
	const protection = permits === undefined ? asked : permits(asked);
	return { protection, dirty: bornDirty && (protection & WRITE) !== 0 };
}

function answer(action: () => void): string {
	try {
		action();
	} catch (error) {
		if (error instanceof Errno) return error.code;
		throw error;
	}
	return "mapped";
}

function bitsOf(bitmap: bigint): bigint[] {
	return Array.from({ length: 64 }, (_, n) => 1n << BigInt(n)).filter((bit) => bitmap & bit);
}

function clamp(address: bigint): bigint {
	return address < 0n ? 0n : address;
}

/** Around these addresses things happen: the ends of the space, and of what a table of each level covers. */
function regionsOf(table: PageTable): bigint[] {
	const corners = table.format.levels.map((level) => 1n << BigInt(level.itemLg2));
	return [
		0n,
		0n,
		...corners,
		table.lastAddress + 1n,
		(table.lastAddress + 1n) / 2n,
		(1n << 64n) - table.lastAddress - 1n,
	];
}

/** Within the bits that the table can ever translate. */
function inRange(table: PageTable, va: bigint, length: bigint): boolean {
	return va + length - 1n <= table.lastAddress || (table.signExtend && va >= (1n << 64n) - table.lastAddress - 1n);
}

/** Within the bits that the table translates with the top that it has now. */
function reaches(table: PageTable, va: bigint, length: bigint): boolean {
	const top = table.format.levels[table.topLevel]!;
	const grown = !table.growsTop || va + length <= 1n << BigInt(top.itemLg2 + top.indexBits);
	return grown && inRange(table, va, length);
}

function fits(table: PageTable, end: bigint): boolean {
	return end <= 1n << BigInt(table.paBits);
}
