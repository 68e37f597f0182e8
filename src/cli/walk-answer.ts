// What a question of `ioasis walk` is on its way to the supervisor's thread, and the answer. Both go through a socket as JSON, which has no
// bigints.

import * as v from "valibot";
import type { Machine } from "../machine/machine.js";
import { NothingToShow } from "../machine/nothing-to-show.js";
import { type WalkQuestion, walkMachine } from "../machine/walk.js";
import { hex } from "../uapi/errno.js";
import type { Answer } from "./run-socket.js";
import { walkText } from "./walk-text.js";

export type PackedWalkQuestion = Omit<WalkQuestion, "iovas"> & {
	readonly about: "walk";
	readonly iovas: readonly string[];
};

export const packedQuestion = v.object({
	about: v.literal("walk"),
	iovas: v.array(v.pipe(v.string(), v.regex(/^0x[0-9a-f]{1,16}$/))),
	hwpt: v.optional(v.number()),
	device: v.optional(v.string()),
	pasid: v.optional(v.number()),
}) satisfies v.GenericSchema<unknown, PackedWalkQuestion>;

export function packQuestion(question: WalkQuestion): PackedWalkQuestion {
	return { ...question, about: "walk", iovas: question.iovas.map(hex) };
}

export function answerWalk(machine: Machine, question: PackedWalkQuestion): Answer {
	try {
		return { shown: walkMachine(machine, { ...question, iovas: question.iovas.map(BigInt) }).map(walkText) };
	} catch (error) {
		if (!(error instanceof NothingToShow)) throw error;
		return { problem: error.message, advice: error.advice };
	}
}
