// What mappings take in memory, and how long the largest of them take.

import { Engine, memoryInUse } from "../engine.js";
import { atMost, type Figure, type Measurement, once, type Setting } from "../figure.js";

const START = 2n ** 30n;
/** Where programs have theirs. */
const MEMORY = 0x7f00_0000_0000n;
const TEBIBYTE = 2n ** 40n;
const ENTRY_BYTES = 8;

function perPage({ short }: Setting): Measurement {
	const gibibytes = short ? 4n : 32n;
	new Engine({ smallPages: true }).mapMemory(START, START); // Warm, so that what the compiler takes isn't counted.
	const before = memoryInUse();
	const engine = new Engine({ smallPages: true });
	engine.mapMemory(START, gibibytes << 30n);
	const bytes = memoryInUse() - before;
	return { figure: [bytes / Number(gibibytes << 18n)], floor: [ENTRY_BYTES], note: held(engine) };
}

/** Without their entries in the page table, which perPage() counts. */
function perArea({ short }: Setting): Measurement {
	const count = short ? 100_000 : 1_000_000;
	const map = (engine: Engine, areas: number): void => {
		for (let n = 0; n < areas; n++) engine.mapMemory(START + BigInt(n) * 4096n, 4096n, MEMORY + BigInt(n) * 4096n);
	};
	map(new Engine(), 10_000);
	const before = memoryInUse();
	const engine = new Engine();
	map(engine, count);
	const bytes = memoryInUse() - before - engine.tables.bytesInUse;
	return { figure: [bytes / count], floor: [], note: `${count} areas; ${held(engine)}` };
}

/** Keeps it alive until here. */
function held(engine: Engine): string {
	return `${engine.tables.tablesInUse} tables`;
}

/** Mapping a tebibyte in pages of 1 GiB, and unmapping it. */
function terabyte({ rounds }: Setting): Measurement {
	// With neighbouring gibibytes apart in physical memory, the table can't take larger pages.
	const engine = new Engine({ contiguity: "1G" });
	const turn = (): number => {
		const map = once(() => engine.mapMemory(START, TEBIBYTE));
		return (map + once(() => engine.unmap(START, TEBIBYTE))) / 1e6;
	};
	const cold = turn();
	engine.mapMemory(START, TEBIBYTE);
	let leaves = 0;
	for (const _ of engine.domain.table.entries()) leaves++;
	engine.unmap(START, TEBIBYTE);
	return { figure: Array.from({ length: 10 * rounds }, turn), floor: [], cold, note: `${leaves} leaves` };
}

export const memoryFigures: readonly Figure[] = [
	{
		name: "pages/terabyte",
		what: "IOAS_MAP of 1 TiB in pages of 1 GiB, and unmapping it, in process",
		against: "",
		unit: "ms",
		goal: atMost(5),
		measure: terabyte,
	},
	{
		name: "memory/page",
		what: "memory for each page of 4 KiB that is mapped",
		against: "its entry",
		unit: "bytes",
		goal: atMost(10),
		measure: perPage,
	},
	{
		name: "memory/area",
		what: "memory for each area, beside its entries in page tables",
		against: "",
		unit: "bytes",
		goal: atMost(200),
		measure: perArea,
	},
];
