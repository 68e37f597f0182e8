// --memory SIZE: how much of our own memory clients may have us use, and what that is where nobody says it.

import { totalmem } from "node:os";
import { inWords } from "../faults/memory-budget.js";
import { refuse } from "./complain.js";

const MIB = 2 ** 20;
/** With less there would be no page table. */
const LEAST = 16 * MIB;
const MOST = 2 ** 50;

const UNITS: { readonly [unit: string]: number } = { "": 1, k: 2 ** 10, m: MIB, g: 2 ** 30, t: 2 ** 40 };

/** "4G", "512M", "1.5GiB", or a number of bytes. @returns bytes; ends the command where it is none */
export function parseMemory(text: string): number {
	const [, number, unit = ""] = text.match(/^(\d{1,15}(?:\.\d{1,3})?)\s?([kmgt]?)(?:i?b)?$/i) ?? [];
	if (number === undefined) refuse(`--memory ${text}: not a size`, "give it as in --memory 4G, or --memory 512M");
	const bytes = Math.floor(Number(number) * UNITS[unit.toLowerCase()]);
	if (bytes < LEAST || bytes > MOST)
		refuse(
			`--memory ${text}: not from ${inWords(LEAST)} to ${inWords(MOST)}`,
			"without it a quarter of the memory is used",
		);
	return bytes;
}

/** A quarter of what this computer has, or this container may have, in bytes. @param runs as many as there are at a time */
export function usualMemory(runs = 1): number {
	// Where there is no limit, what Node says is beyond all memory.
	const all = Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);
	return Math.max(LEAST, Math.floor(all / 4 / runs));
}

/**
 * The heap that takes, in MiB. Much of what is charged is outside of it; but it needs room for what nobody has collected yet, and for
 * what is there without any client.
 */
export function heapFor(memory: number): number {
	return Math.ceil((1.5 * memory) / MIB) + 512;
}
