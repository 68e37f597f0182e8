// Rounds of random calls on one machine: several clients at once, all of whose files are closed at the end of each round. Then
// nothing may be left: no object, no pinned page, no page table, and no memory of ours that grows from round to round.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { parseMachineDescription } from "../../src/machine/description.js";
import { Machine } from "../../src/machine/machine.js";
import { Random } from "./random.js";
import { RandomClient, Trouble } from "./random-client.js";

const CLIENTS = 3;
const CALLS_A_ROUND = 2000;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

export interface Result {
	readonly calls: number;
	/** How often each call was answered with each errno. */
	readonly answers: ReadonlyMap<string, number>;
	readonly slowest: { readonly milliseconds: number; readonly what: string };
	/** Bytes of our own memory after the first tenth of the rounds, and at the end. */
	readonly heap: readonly [early: number, late: number];
}

/** @throws Trouble that says which seed and which call it was */
export class Rounds {
	readonly #name: string;
	readonly #machine: Machine;
	readonly #answers = new Map<string, number>();
	#slowest = { milliseconds: 0, what: "" };
	#calls = 0;

	/** @param name of a machine that ships */
	constructor(name: string) {
		const path = fileURLToPath(new URL(`machines/${name}.json`, checkout()));
		this.#name = name;
		this.#machine = new Machine(parseMachineDescription(readFileSync(path, "utf8"), name));
	}

	/** Runs seeds first, first + 1, ... until so many calls are made or so many milliseconds are over. */
	run(first: number, calls: number, milliseconds = Number.POSITIVE_INFINITY): Result {
		const end = performance.now() + milliseconds;
		let early = 0;
		for (let seed = first; this.#calls < calls && performance.now() < end; seed++) {
			this.#round(seed);
			if (early === 0 && (this.#calls > calls / 10 || performance.now() > end - 0.9 * milliseconds)) early = heap();
		}
		return { calls: this.#calls, answers: this.#answers, slowest: this.#slowest, heap: [early, heap()] };
	}

	#round(seed: number): void {
		const random = new Random(seed);
		const clients = Array.from({ length: CLIENTS }, (_, i) => new RandomClient(i + 1, this.#machine, random));
		for (let call = 0; call < CALLS_A_ROUND; call++) {
			try {
				random.pick(clients).step();
			} catch (error) {
				throw new Trouble(`machine ${this.#name}, seed ${seed}, call ${call}: ${(error as Error).message}`);
			}
		}
		try {
			for (const client of clients) client.exit();
		} catch (error) {
			throw new Trouble(`machine ${this.#name}, seed ${seed}, at its end: ${(error as Error).stack}`);
		}
		this.#calls += CALLS_A_ROUND;
		for (const client of clients) this.#add(client);
		const left = this.#machine.leftovers().filter((line) => !line.endsWith(" was closed"));
		if (left.length > 0) throw new Trouble(`machine ${this.#name}, seed ${seed}: left behind: ${left.join("; ")}`);
	}

	#add({ answers, slowest }: RandomClient): void {
		for (const [answer, count] of answers) this.#answers.set(answer, (this.#answers.get(answer) ?? 0) + count);
		if (slowest.milliseconds > this.#slowest.milliseconds) this.#slowest = slowest;
	}
}

function heap(): number {
	collectGarbage();
	const { heapUsed, arrayBuffers } = process.memoryUsage();
	return heapUsed + arrayBuffers;
}

/** The checkout's directory, from here or from a bundle in .cache/fuzz/. */
function checkout(): URL {
	return new URL("../..", import.meta.url);
}
