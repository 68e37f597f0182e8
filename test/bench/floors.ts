// The floors: small C programs that do the least that could be done. They are built when they are first asked for.

import { spawnSync } from "node:child_process";
import { mkdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { Skipped } from "./figure.js";

export type Floor = "trap-echo" | "calls" | "table";

export class Floors {
	readonly #sources: string;
	readonly #cache: string;
	readonly #compiler = process.env.CC ?? "cc";
	readonly #built = new Map<Floor, string>();

	constructor(checkout: string) {
		this.#sources = join(checkout, "test", "bench", "floors");
		this.#cache = join(checkout, ".cache", "bench");
	}

	/** The path of the program. @throws Skipped when there is no C compiler */
	path(floor: Floor): string {
		const known = this.#built.get(floor);
		if (known !== undefined) return known;
		const source = join(this.#sources, `${floor}.c`);
		const program = join(this.#cache, floor);
		if (modified(program) < modified(source)) this.#build(source, program);
		this.#built.set(floor, program);
		return program;
	}

	/** Runs it to its end; the numbers that it prints, a line each. @throws Skipped */
	run(floor: Floor, ...parameters: readonly (string | number)[]): number[][] {
		return numbersOf([this.path(floor), ...parameters.map(String)]);
	}

	/** The only number that it prints. @throws Skipped */
	number(floor: Floor, ...parameters: readonly (string | number)[]): number {
		return this.run(floor, ...parameters)[0][0];
	}

	#build(source: string, program: string): void {
		mkdirSync(this.#cache, { recursive: true });
		// Another process may build it at the same time.
		const unfinished = `${program}.${process.pid}`;
		const { error, status, stderr } = spawnSync(this.#compiler, ["-O2", "-o", unfinished, source], {
			encoding: "utf8",
		});
		if (error) throw new Skipped(`needs a C compiler, and there is no ${this.#compiler}`);
		if (status !== 0) throw new Skipped(`${source} can't be compiled: ${stderr.split("\n")[0]}`);
		renameSync(unfinished, program);
	}
}

/** What a program prints, as numbers. @throws Skipped when it fails */
export function numbersOf([program, ...parameters]: readonly string[]): number[][] {
	const { error, status, stdout, stderr } = spawnSync(program, parameters, {
		encoding: "utf8",
		stdio: ["ignore", "pipe", "pipe"],
	});
	if (error || status !== 0) {
		const why = error?.message ?? (stderr.trim().split("\n").at(-1) || `it ended with ${status}`);
		throw new Skipped(`${program.split("/").at(-1)} ${parameters.join(" ")}: ${why}`);
	}
	return stdout
		.trim()
		.split("\n")
		.map((line) => line.split(" ").map(Number));
}

function modified(path: string): number {
	return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
