// What a figure is: something that Ioasis does, beside the least that it could take.

import type { Floors } from "./floors.js";

/** What a figure is to reach. */
export type Goal =
	| { readonly kind: "ratio"; readonly most: number }
	| { readonly kind: "figure"; readonly most: number }
	/** Worth knowing, without a goal. */
	| { readonly kind: "none" };

export type Unit = "ns" | "us" | "ms" | "s" | "bytes";

/** How much is to be measured. */
export interface Setting {
	/** The checkout's directory. */
	readonly checkout: string;
	readonly floors: Floors;
	/** For CI: less of everything, and nothing that takes long. */
	readonly short: boolean;
	/** How often figure and floor take turns. */
	readonly rounds: number;
}

/** What was measured, by turns: the first of `figure` beside the first of `floor`. */
export interface Measurement {
	readonly figure: readonly number[];
	/** Empty where there is no floor. */
	readonly floor: readonly number[];
	/** The first time in a process, with nothing warm. */
	readonly cold?: number;
	/** What one would ask next. */
	readonly note?: string;
}

export interface Figure {
	/** "pages/fill-amdv1": a family, and a name in it. */
	readonly name: string;
	readonly what: string;
	/** What the floor is. */
	readonly against: string;
	readonly unit: Unit;
	readonly goal: Goal;
	/** Left out of the short form, because it takes long. */
	readonly isLong?: boolean;
	/** @throws Skipped when it can't be measured here */
	measure(setting: Setting): Measurement | Promise<Measurement>;
}

/** Something is missing that a figure needs. */
export class Skipped extends Error {}

export const ratio = (most: number): Goal => ({ kind: "ratio", most });
export const atMost = (most: number): Goal => ({ kind: "figure", most });
export const noGoal: Goal = { kind: "none" };

/** Measures figure and floor in turns, so that what else the computer does meets both. */
export function inTurns(
	rounds: number,
	figure: () => number,
	floor: () => number,
): { figure: number[]; floor: number[] } {
	const result = { figure: [] as number[], floor: [] as number[] };
	for (let round = 0; round < rounds; round++) {
		result.floor.push(floor());
		result.figure.push(figure());
	}
	return result;
}

/** How long something takes in nanoseconds: the best of several times that take some milliseconds each. */
export function nanoseconds(action: () => void, { calls, times = 5 }: { calls: number; times?: number }): number {
	let best = Number.POSITIVE_INFINITY;
	for (let time = 0; time < times; time++) {
		const start = process.hrtime.bigint();
		for (let call = 0; call < calls; call++) action();
		best = Math.min(best, Number(process.hrtime.bigint() - start) / calls);
	}
	return best;
}

/** How long it takes once, in nanoseconds. */
export function once(action: () => void): number {
	const start = process.hrtime.bigint();
	action();
	return Number(process.hrtime.bigint() - start);
}
