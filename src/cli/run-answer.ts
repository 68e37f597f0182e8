// What the supervisor's thread says to a question from outside.

import * as v from "valibot";
import { inventoryOf } from "../machine/inventory.js";
import type { Machine } from "../machine/machine.js";
import { fileText } from "./objects-text.js";
import type { Answer, Question } from "./run-socket.js";
import { answerWalk, packedQuestion } from "./walk-answer.js";

/** Who asks may be of another version. */
const known = v.variant("about", [packedQuestion, v.object({ about: v.literal("objects") })]) satisfies v.GenericSchema<
	unknown,
	Question
>;

export function answerQuestion(machine: Machine, asked: unknown): Answer {
	const { success, output: question } = v.safeParse(known, asked);
	if (!success) return { problem: "what is asked isn't understood: the run is of another version of ioasis" };
	return question.about === "walk" ? answerWalk(machine, question) : { shown: inventoryOf(machine).map(fileText) };
}
