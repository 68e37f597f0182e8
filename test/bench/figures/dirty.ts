// Reading, and clearing, which of 64 GiB a device has written: 16 million entries, 128 MiB of table.

import { IovaBitmap } from "../../../src/iommufd/iova-bitmap.js";
import { Engine, space } from "../engine.js";
import { type Figure, type Measurement, once, ratio, type Setting } from "../figure.js";

const START = 2n ** 30n;

/** @param written makes pages dirty, in frames from 0 on */
function measure(setting: Setting, written: (pages: number, mark: (page: number) => void) => void): Measurement {
	const gibibytes = setting.short ? 16 : 64;
	const pages = gibibytes * 2 ** 18;
	const engine = new Engine({ smallPages: true });
	engine.mapMemory(START, BigInt(gibibytes) << 30n);
	const { table } = engine.domain;
	const first = Number(START >> 12n);
	const readAndClear = (): number =>
		once(() => {
			const bitmap = new IovaBitmap(space, 0, pages);
			table.readDirty(first, pages, true, (va, frames) => bitmap.set(va - first, va - first + frames - 1));
			bitmap.flush();
		}) / 1e6;
	const mark = (): void => written(pages, (page) => table.setDirty(first + page));
	mark();
	const cold = readAndClear();
	for (let time = 0; time < 3; time++) {
		mark();
		readAndClear();
	}
	const result = { figure: [] as number[], floor: [] as number[], cold };
	for (let round = 0; round < setting.rounds; round++) {
		mark();
		result.figure.push(readAndClear());
		result.floor.push(setting.floors.number("table", "pass", pages) / 1e6);
	}
	return result;
}

export const dirtyFigures: readonly Figure[] = [
	{
		name: "dirty/sparse",
		what: "reading and clearing the dirty bitmap of 64 GiB in pages of 4 KiB, of which one in 100 was written",
		against: "one pass over the entries in C, which clears the bit",
		unit: "ms",
		goal: ratio(10),
		measure: (setting) =>
			measure(setting, (pages, mark) => {
				for (let page = 0; page < pages; page += 100) mark(page);
			}),
	},
	{
		name: "dirty/clean",
		what: "the same, and none was written",
		against: "the same pass",
		unit: "ms",
		goal: ratio(10),
		measure: (setting) => measure(setting, () => {}),
	},
	{
		name: "dirty/all",
		what: "the same, and all were written",
		against: "the same pass",
		unit: "ms",
		goal: ratio(10),
		measure: (setting) =>
			measure(setting, (pages, mark) => {
				for (let page = 0; page < pages; page++) mark(page);
			}),
	},
];
