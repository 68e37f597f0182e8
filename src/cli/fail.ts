// The end for a reason of our own: this system doesn't have what we need, or there is a bug. A stack is for bugs only.

import { type Failure, failureOf } from "../host/failure.js";
import { sayOnStderr } from "../host/say.js";
import { complain } from "./complain.js";
import { FAILED } from "./exit-codes.js";

export function complainOf({ reason, advice, stack }: Failure): void {
	if (stack === undefined) complain(reason, advice);
	else {
		sayOnStderr("ioasis: internal error:", ...stack.split("\n"), `ioasis: ${advice}`);
	}
}

let end: (code: number) => void = process.exit;

/** How to end this process then: process.exit() isn't enough for who has threads that wait. */
export function endBy(action: (code: number) => void): void {
	end = action;
}

/** Has nothing end with a stack of Node's, whatever is thrown and not caught. */
export function catchTheRest(): void {
	process.on("uncaughtException", (error) => {
		complainOf(failureOf(error));
		end(FAILED);
	});
}
