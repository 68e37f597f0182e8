// The floors: small C programs that do the least that could be done. They are built when they are first asked for.

import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { Skipped } from "./figure.js";

export type Floor = "trap-echo" | "calls" | "table" | "doorbell" | "registers";

export class Floors {
	readonly #checkout: string;
	readonly #sources: string;
	readonly #cache: string;
	readonly #compiler = process.env.CC ?? "cc";
	readonly #built = new Map<string, string>();

	constructor(checkout: string) {
		this.#checkout = checkout;
		this.#sources = join(checkout, "test", "bench", "floors");
		this.#cache = join(checkout, ".cache", "bench");
	}

	/** The path of the program. @throws Skipped when there is no C compiler */
	path(floor: Floor): string {
		return this.#pathOf(floor, () => [join(this.#sources, `${floor}.c`)]);
	}

	/** The path of a program whose sources are in a directory of examples/. @throws Skipped when there is no C compiler */
	example(name: string): string {
		const directory = join(this.#checkout, "examples", name);
		return this.#pathOf(`example-${name}`, () => readdirSync(directory).map((file) => join(directory, file)));
	}

	#pathOf(name: string, sourcesOf: () => string[]): string {
		const known = this.#built.get(name);
		if (known !== undefined) return known;
		const sources = sourcesOf();
		const program = join(this.#cache, name);
		if (modified(program) < Math.max(...sources.map(modified))) this.#build(sources, program);
		this.#built.set(name, program);
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

	#build(sources: readonly string[], program: string): void {
		mkdirSync(this.#cache, { recursive: true });
		// Another process may build it at the same time.
		const unfinished = `${program}.${process.pid}`;
		const files = sources.filter((file) => file.endsWith(".c"));
		const words = ["-O2", "-pthread", "-o", unfinished, ...files];
		const { error, status, stderr } = spawnSync(this.#compiler, words, { encoding: "utf8" });
		if (error) throw new Skipped(`needs a C compiler, and there is no ${this.#compiler}`);
		if (status !== 0) throw new Skipped(`${files[0]} can't be compiled: ${stderr.split("\n")[0]}`);
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
