// What the supervisor's thread says to a question of `ioasis walk`. Both go through a socket as JSON, which has no bigints.

import type { Machine } from "../machine/machine.js";
import { NothingToWalk, type WalkQuestion, walkMachine } from "../machine/walk.js";
import { hex } from "../uapi/errno.js";
import { type WalkText, walkText } from "./walk-text.js";

export type PackedWalkQuestion = Omit<WalkQuestion, "iovas"> & { readonly iovas: readonly string[] };

export type WalkAnswer =
	| { readonly walks: readonly WalkText[] }
	/** There is nothing to walk, and why. */
	| { readonly problem: string; readonly advice?: string | undefined };

export function packQuestion(question: WalkQuestion): PackedWalkQuestion {
	return { ...question, iovas: question.iovas.map(hex) };
}

export function answerWalk(machine: Machine, question: PackedWalkQuestion): WalkAnswer {
	try {
		return { walks: walkMachine(machine, { ...question, iovas: question.iovas.map(BigInt) }).map(walkText) };
	} catch (error) {
		if (!(error instanceof NothingToWalk)) throw error;
		return { problem: error.message, advice: error.advice };
	}
}
