// What the supervisor's thread says to a question of `ioasis walk`. Both go through a socket as JSON, which has no bigints.

import * as v from "valibot";
import type { Machine } from "../machine/machine.js";
import { NothingToWalk, type WalkQuestion, walkMachine } from "../machine/walk.js";
import { hex } from "../uapi/errno.js";
import { type WalkText, walkText } from "./walk-text.js";

export type PackedWalkQuestion = Omit<WalkQuestion, "iovas"> & { readonly iovas: readonly string[] };

/** Who asks may be of another version. */
const packedQuestion = v.object({
	iovas: v.array(v.pipe(v.string(), v.regex(/^0x[0-9a-f]{1,16}$/))),
	hwpt: v.optional(v.number()),
	device: v.optional(v.string()),
	pasid: v.optional(v.number()),
}) satisfies v.GenericSchema<unknown, PackedWalkQuestion>;

export type WalkAnswer =
	| { readonly walks: readonly WalkText[] }
	/** There is nothing to walk, and why. */
	| { readonly problem: string; readonly advice?: readonly string[] };

export function packQuestion(question: WalkQuestion): PackedWalkQuestion {
	return { ...question, iovas: question.iovas.map(hex) };
}

export function answerWalk(machine: Machine, asked: unknown): WalkAnswer {
	const { success, output: question } = v.safeParse(packedQuestion, asked);
	if (!success) return { problem: "what is asked isn't understood: the run is of another version of ioasis" };
	try {
		return { walks: walkMachine(machine, { ...question, iovas: question.iovas.map(BigInt) }).map(walkText) };
	} catch (error) {
		if (!(error instanceof NothingToWalk)) throw error;
		return { problem: error.message, advice: error.advice };
	}
}
