// npm run bench: how long things take, beside the least that they could take. docs/performance.md says what each figure means.

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { join } from "node:path";
import { Command, Option } from "commander";
import { drawCurves } from "./curves.js";
import { type Figure, type Setting, Skipped } from "./figure.js";
import { dirtyFigures } from "./figures/dirty.js";
import { intervalFigures } from "./figures/intervals.js";
import { memoryFigures } from "./figures/memory.js";
import { nvmeFigures } from "./figures/nvme.js";
import { pageFigures } from "./figures/pages.js";
import { registerFigures } from "./figures/registers.js";
import { selftestFigures } from "./figures/selftests.js";
import { startFigures } from "./figures/start.js";
import { toldFigures } from "./figures/told.js";
import { translationFigures } from "./figures/translation.js";
import { trappedFigures } from "./figures/trapped.js";
import { Floors } from "./floors.js";
import { profile } from "./profile.js";
import { best, type Row, ratioOf, reaches, tableOf } from "./report.js";

const FIGURES: readonly Figure[] = [
	...trappedFigures,
	...toldFigures,
	...registerFigures,
	...pageFigures,
	...dirtyFigures,
	...translationFigures,
	...memoryFigures,
	...nvmeFigures,
	...startFigures,
	...selftestFigures,
	...intervalFigures,
];

interface Options {
	short?: true;
	rounds: string;
	json?: string;
	list?: true;
	answer?: true;
}

export async function main(checkout: string, parameters: string[]): Promise<number> {
	const command = new Command("npm run bench --")
		.description("Measures Ioasis beside the least that each thing could take.")
		.argument(
			"[names...]",
			"only figures whose names have one of these in them; `curves` draws docs/*.svg; `profile` tells where the time of a trapped call goes",
		)
		.option("--short", "less of everything, in under a minute")
		.option("--rounds <number>", "how often figure and floor take turns", "7")
		.option("--json <file>", "write every round's numbers there")
		.option("--list", "say which figures there are")
		.addOption(new Option("--answer", "measure one figure in this very process, and print its numbers").hideHelp())
		.addHelpText("after", "\nExample: npm run bench -- pages/fill --rounds 20");
	command.parse(parameters, { from: "user" });
	const options = command.opts<Options>();
	const names = command.args;
	const floors = new Floors(checkout);
	const rounds = options.short ? 2 : Number(options.rounds);
	const setting = { checkout, floors, short: options.short ?? false, rounds };

	if (options.answer) return answer(FIGURES.find(({ name }) => name === names[0])!, setting);
	if (names[0] === "curves") return drawCurves(setting);
	if (names[0] === "profile") return profile(setting);
	const chosen = FIGURES.filter(({ name }) => names.length === 0 || names.some((part) => name.includes(part)));
	if (options.list) for (const { name, what, against } of chosen) console.log(`${name}: ${what}; against ${against}`);
	if (options.list) return 0;
	if (chosen.length === 0) {
		console.error(`bench: no figure has "${names.join('" or "')}" in its name; --list shows them`);
		return 2;
	}
	const rows: Row[] = [];
	for (const [at, figure] of chosen.entries()) {
		showProgress(`${at + 1} of ${chosen.length}: ${figure.name}`);
		rows.push(measured(figure, setting));
	}
	showProgress("");
	for (const line of tableOf(rows)) console.log(line);
	if (options.json) writeFileSync(options.json, `${JSON.stringify(reportOf(rows), null, "\t")}\n`);
	return 0;
}

/** Measures it in a process of its own: what another figure has warmed up, or spoilt, must not count. */
function measured(figure: Figure, { checkout, short, rounds }: Setting): Row {
	if (figure.isLong && short) return { figure, skipped: "takes too long for the short form" };
	const { status, signal, stdout, stderr } = spawnSync(
		process.execPath,
		[
			...["--expose-gc", "--max-old-space-size=6000", join(checkout, "test", "bench", "run.mjs")],
			...["--answer", figure.name, "--rounds", String(rounds), ...(short ? ["--short"] : [])],
		],
		{ encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] },
	);
	if (status !== 0) return { figure, skipped: `it broke (${signal ?? status}): ${failureOf(stderr)}` };
	return { figure, ...JSON.parse(stdout) };
}

/** The line that says what was thrown; Node prints its own version last. */
function failureOf(stderr: string): string {
	const lines = stderr.trim().split("\n");
	return lines.find((line) => /^\w*(Error|Fault)\b/.test(line)) ?? lines[0];
}

async function answer(figure: Figure, setting: Setting): Promise<number> {
	try {
		console.log(JSON.stringify({ measured: await figure.measure(setting) }));
	} catch (error) {
		if (!(error instanceof Skipped)) throw error;
		console.log(JSON.stringify({ skipped: error.message }));
	}
	return 0;
}

function reportOf(rows: readonly Row[]): object {
	const figures = rows.map(({ figure: { name, what, against, unit, goal }, measured, skipped }) => {
		if (measured === undefined) return { name, what, against, skipped };
		const summary = { figure: best(measured.figure), floor: best(measured.floor), ratio: ratioOf(measured) };
		return { name, what, against, unit, goal, ...summary, reached: reaches(goal, measured), rounds: measured };
	});
	const machine = { cpu: cpus()[0]?.model, cpus: cpus().length, kernel: release(), node: process.version };
	return { machine, figures };
}

function showProgress(text: string): void {
	if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${text}`);
}
