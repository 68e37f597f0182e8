// Our index of intervals beside two from npm: is it worth having one of our own?

import { IntervalTree as FlattenTree } from "@flatten-js/interval-tree";
import sortedBTree from "sorted-btree";
import { Area } from "../../../src/iommufd/io-pagetable/area.js";
import { AreaTree } from "../../../src/iommufd/io-pagetable/area-tree.js";
import type { Interval } from "../../../src/iommufd/io-pagetable/iova-ranges.js";
import type { Pages } from "../../../src/iommufd/io-pagetable/pages.js";
import { type Figure, type Measurement, once, ratio, type Setting, Skipped } from "../figure.js";

/** An interval that shows a page. */
interface Shown extends Interval {
	readonly page: number;
	/** The same for ours. */
	readonly area: Area;
}

/** What the map of an IOAS asks of an index. */
interface Index {
	insert(interval: Shown): void;
	/** The page that is shown at an address. */
	find(address: bigint): number | undefined;
	remove(interval: Shown): void;
}

function ours(): Index {
	const tree = new AreaTree();
	return {
		insert: ({ area }) => tree.insert(area),
		find: (address) => tree.firstIn(address, address)?.index,
		remove: ({ area }) => tree.remove(area),
	};
}

/** A red-black tree with the largest end of each subtree. */
function flatten(): Index {
	const tree = new FlattenTree<Shown>();
	return {
		insert: (interval) => tree.insert([interval.first, interval.last], interval),
		find: (address) => (tree.search([address, address])[0] as Shown | undefined)?.page,
		remove: (interval) => tree.remove([interval.first, interval.last], interval),
	};
}

/** A B+ tree of keys; intervals that don't overlap are found by the last that begins at or before an address. */
function sorted(): Index {
	const byAddress = (one: bigint, other: bigint): number => (one < other ? -1 : one > other ? 1 : 0);
	const tree = new sortedBTree.default<bigint, Shown>(undefined, byAddress);
	return {
		insert: (interval) => void tree.set(interval.first, interval),
		find: (address) => {
			const found = tree.getPairOrNextLower(address)?.[1];
			return found !== undefined && found.last >= address ? found.page : undefined;
		},
		remove: (interval) => void tree.delete(interval.first),
	};
}

/** Intervals of 4 KiB with holes between them, in an order without order. */
function intervals(count: number): Shown[] {
	const pages = {} as Pages;
	const all = Array.from({ length: count }, (_, page) => {
		const first = BigInt(page) * 8192n;
		return { first, last: first + 4095n, page, area: Area.of(first, 4096n, pages, BigInt(page) * 4096n, 0) };
	});
	let state = 1;
	for (let n = count - 1; n > 0; n--) {
		state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
		const other = state % (n + 1);
		[all[n], all[other]] = [all[other], all[n]];
	}
	return all;
}

/** Nanoseconds for each of all: to insert it, to find it, to remove it. */
type Times = readonly [insert: number, find: number, remove: number];

function turn(make: () => Index, all: readonly Shown[]): Times {
	const index = make();
	const insert = once(() => {
		for (const interval of all) index.insert(interval);
	});
	let found = 0;
	const find = once(() => {
		for (const interval of all) if (index.find(interval.first + 100n) === interval.page) found++;
	});
	if (found !== all.length) throw new Skipped(`it finds ${found} of ${all.length}`);
	const remove = once(() => {
		for (const interval of all) index.remove(interval);
	});
	return [insert / all.length, find / all.length, remove / all.length];
}

const sum = ([insert, find, remove]: Times): number => insert + find + remove;
const inWords = (name: string, times: Times): string => `${name} ${times.map((ns) => Math.round(ns)).join("/")}`;

/** Against the faster of the two. */
function measure(count: number, { rounds, short }: Setting): Measurement {
	const all = intervals(count);
	const isLarge = count > 100_000;
	const best = (make: () => Index): Times => {
		globalThis.gc?.(); // Of what the one before has left.
		let least = turn(make, all);
		for (let time = 0; !isLarge && time < (short ? 50 : 300); time++) {
			const times = turn(make, all);
			if (sum(times) < sum(least)) least = times;
		}
		return least;
	};
	const result = { figure: [] as number[], floor: [] as number[], note: "" };
	for (let round = 0; round < (short || isLarge ? 1 : rounds); round++) {
		const times = [best(ours), best(flatten), best(sorted)] as const;
		result.figure.push(sum(times[0]));
		result.floor.push(Math.min(sum(times[1]), sum(times[2])));
		result.note = `ns to insert/find/remove: ${["ours", "@flatten-js/interval-tree", "sorted-btree"]
			.map((name, at) => inWords(name, times[at]))
			.join(", ")}`;
	}
	return result;
}

export const intervalFigures: readonly Figure[] = [1_000, 1_000_000].map(
	(count): Figure => ({
		name: `intervals/${count}`,
		what: `our index of IOVA intervals: inserting, finding and removing each of ${count}`,
		against: "the faster of @flatten-js/interval-tree and sorted-btree",
		unit: "ns",
		goal: ratio(1),
		...(count > 100_000 && { isLong: true }),
		measure: (setting) => measure(count, setting),
	}),
);
