// What the engine takes to fill page tables and to empty them, in this process.

import { CACHE, type PageTable, READ, WRITE } from "../../../src/pagetable/pagetable.js";
import { type Figure, type Measurement, noGoal, once, ratio, type Setting } from "../figure.js";
import { FORMATS, newTable } from "../formats.js";

const RUN = 256;
const PROTECTION = READ | WRITE | CACHE;
const ONLY_4K = 4096n;
/** A table of 512 entries for each run: 2 MiB of address apart. */
const STRIDE = 512;
/** In frames: physical addresses that aren't multiples of anything. */
const MEMORY = 2 ** 24 + 3;

/** Nanoseconds a run of 256 entries: mapping each, then unmapping each. */
function turn(table: PageTable, runs: number): { map: number; unmap: number } {
	const map = once(() => {
		for (let run = 0; run < runs; run++) table.map(run * STRIDE, MEMORY + run * RUN, RUN, PROTECTION, ONLY_4K);
	});
	const unmap = once(() => {
		for (let run = 0; run < runs; run++) table.unmap(run * STRIDE, RUN);
	});
	return { map: map / runs, unmap: unmap / runs };
}

/** The best of some turns. */
function turns(table: PageTable, runs: number, times: number): { map: number; unmap: number } {
	const result = { map: Number.POSITIVE_INFINITY, unmap: Number.POSITIVE_INFINITY };
	for (let time = 0; time < times; time++) {
		const { map, unmap } = turn(table, runs);
		result.map = Math.min(result.map, map);
		result.unmap = Math.min(result.unmap, unmap);
	}
	return result;
}

/** Tables that are there already, and stay: each has an entry that isn't unmapped. */
function tableWithTables(format: string, runs: number): PageTable {
	const table = newTable(format);
	for (let run = 0; run < runs; run++) table.map(run * STRIDE + STRIDE - 1, 1, 1, PROTECTION, ONLY_4K);
	return table;
}

/** The very first run of a process. */
function firstTime(format: string): { map: number; unmap: number } {
	return turn(newTable(format), 1);
}

/** As many tables as stay in the processor's second cache. */
const RUNS = 128;

function fill(format: string, { floors, rounds }: Setting): Measurement {
	const cold = firstTime(format).map;
	const table = tableWithTables(format, RUNS);
	const fresh = newTable(format);
	turns(table, RUNS, 200);
	turns(fresh, RUNS, 200);
	const result = { figure: [] as number[], floor: [] as number[], cold, note: "" };
	let withTables = Number.POSITIVE_INFINITY;
	for (let round = 0; round < rounds; round++) {
		result.floor.push(floors.number("table", "fill"));
		result.figure.push(turns(table, RUNS, 50).map);
		withTables = Math.min(withTables, turns(fresh, RUNS, 50).map);
	}
	result.note = `${Math.round(withTables)} ns where a table has to be made for them`;
	return result;
}

function empty(format: string, { rounds }: Setting): Measurement {
	const cold = firstTime(format).unmap;
	const table = newTable(format);
	turns(table, RUNS, 200);
	const result = { figure: [] as number[], floor: [] as number[], cold };
	for (let round = 0; round < rounds; round++) {
		const { map, unmap } = turns(table, RUNS, 50);
		result.figure.push(unmap);
		result.floor.push(map);
	}
	return result;
}

/** Pages of 4 KiB, one call each, as a program maps them that has no larger pieces. */
function single({ floors, rounds }: Setting): Measurement {
	const table = tableWithTables("amdv1", 8);
	const each = () => {
		const time = once(() => {
			for (let page = 0; page < 511; page++) table.map(page, MEMORY + page, 1, PROTECTION, ONLY_4K);
		});
		for (let page = 0; page < 511; page++) table.unmap(page, 1);
		return time / 511;
	};
	for (let time = 0; time < 200; time++) each();
	const result = { figure: [] as number[], floor: [] as number[] };
	for (let round = 0; round < rounds; round++) {
		result.floor.push(floors.number("table", "fill") / RUN);
		let best = Number.POSITIVE_INFINITY;
		for (let time = 0; time < 50; time++) best = Math.min(best, each());
		result.figure.push(best);
	}
	return result;
}

const formats = Object.keys(FORMATS);

export const pageFigures: readonly Figure[] = [
	...formats.map(
		(format): Figure => ({
			name: `pages/fill-${format}`,
			what: "mapping 256 pages of 4 KiB, in tables that are there already",
			against: "storing 256 entries in C",
			unit: "ns",
			goal: ratio(8),
			measure: (setting) => fill(format, setting),
		}),
	),
	...formats.map(
		(format): Figure => ({
			name: `pages/unmap-${format}`,
			what: "unmapping 256 pages of 4 KiB, and their table with them",
			against: "mapping them",
			unit: "ns",
			goal: ratio(1.2),
			measure: (setting) => empty(format, setting),
		}),
	),
	{
		name: "pages/single",
		what: "mapping one page of 4 KiB (AMDv1)",
		against: "storing one entry in C",
		unit: "ns",
		goal: noGoal,
		measure: single,
	},
];
