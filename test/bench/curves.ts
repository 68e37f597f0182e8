// npm run bench curves: how the cost of a trapped call grows with the work, as a picture for docs/performance.md.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Setting, Skipped } from "./figure.js";
import { ioasis } from "./figures/trapped.js";
import { numbersOf } from "./floors.js";
import { type Chart, drawCharts } from "./svg.js";

const PICTURE = join("docs", "performance.svg");

/** Draws it. @returns the exit code */
export function drawCurves(setting: Setting): number {
	try {
		const charts = [areas(setting), pages(setting), domains(setting)];
		writeFileSync(join(setting.checkout, PICTURE), drawCharts(charts));
		for (const { title, lines } of charts)
			for (const { name, points } of lines)
				console.log(`${title}, ${name}: ${points.map(([x, y]) => `${x}: ${y.toFixed(1)}`).join(", ")}`);
		console.log(`drawn in ${PICTURE}`);
		return 0;
	} catch (error) {
		if (!(error instanceof Skipped)) throw error;
		console.error(`bench: the curves can't be measured here: ${error.message}`);
		return 1;
	}
}

const NAMES = ["Ioasis", "floor"] as const;

/** Microseconds a call, of Ioasis and of trap-echo. */
function measured({ checkout, floors }: Setting, mode: string, count: number, value: number): [number, number] {
	const parameters = [mode, 5_000, count, 5, value].map(String);
	const best = (before: readonly string[]): number => {
		const lines = numbersOf([...before, floors.path("calls"), ...parameters]);
		return Math.min(...lines.map(([, each]) => each));
	};
	return [best(ioasis(checkout)), best([floors.path("trap-echo")])];
}

function chart(title: string, axis: string, setting: Setting, mode: string, values: readonly number[]): Chart {
	const both = values.map((value) => measured(setting, mode, value > 1_000 ? 500 : 10_000, value));
	const lines = NAMES.map((name, which) => ({
		name,
		points: values.map((value, at) => [value, both[at][which]] as const),
	}));
	return { title, axis, lines };
}

function areas(setting: Setting): Chart {
	const values = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];
	const points = values.map((value) => {
		const parameters = ["areas", 5_000, 10_000, 5, 1, value].map(String);
		const lines = numbersOf([...ioasis(setting.checkout), setting.floors.path("calls"), ...parameters]);
		return [value, Math.min(...lines.map(([, , many]) => many))] as const;
	});
	const [, floor] = measured(setting, "sizes", 10_000, 1);
	return {
		title: "areas in the IOAS",
		axis: "areas",
		lines: [
			{ name: "Ioasis", points },
			{ name: "floor", points: values.map((value) => [value, floor] as const) },
		],
	};
}

const pages = (setting: Setting): Chart =>
	chart("pages of 4 KiB in a mapping", "pages", setting, "pages", [1, 4, 16, 64, 256, 1024, 4096]);

const domains = (setting: Setting): Chart =>
	chart("domains of the IOAS", "domains", setting, "domains", [1, 2, 4, 8, 16, 32, 64]);
