// Signals that come to `ioasis run`: whom they mean depends on how far the run is.
//
// Each has one listener from beginning to end. To take a listener away and add another would lose a signal that libuv has received and
// not delivered yet.

import { constants } from "node:os";
import { isatty } from "node:tty";
import { KILLED_BY } from "./exit-codes.js";

/** These mean the program, not us. */
const FORWARDED = ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCONT", "SIGWINCH"] as const;
/** A terminal sends these to the program too, so there they are not sent on. */
const FROM_TERMINAL: readonly NodeJS.Signals[] = ["SIGINT", "SIGQUIT"];
/** These end us when there is no program: not yet, or not any more. */
const ENDING: readonly NodeJS.Signals[] = ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP"];
/** How long we wait for the program to start once a signal has come, in milliseconds. */
const PATIENCE = 1000;

type State =
	| { readonly kind: "starting"; readonly signals: NodeJS.Signals[] }
	| { readonly kind: "running"; readonly pid: number }
	| { readonly kind: "over"; readonly end: () => void };

export class Signals {
	#state: State = { kind: "starting", signals: [] };
	#timer: NodeJS.Timeout | undefined;
	// Not process.stdin and so on: to look at them makes pipes non-blocking, which the program has, too.
	readonly #hasTerminal = [0, 1, 2].some((fd) => isatty(fd));
	readonly #end: (code: number) => void;

	/** @param end ends us, when a signal comes and there is no program for long */
	constructor(end: (code: number) => void) {
		this.#end = end;
		for (const signal of [...FORWARDED, ...FROM_TERMINAL]) process.on(signal, () => this.#came(signal));
	}

	/** There is a program: signals are its own from now on, those that came before, too. */
	running(pid: number): void {
		clearTimeout(this.#timer);
		const early = this.#state.kind === "starting" ? this.#state.signals : [];
		this.#state = { kind: "running", pid };
		for (const signal of early) forward(pid, signal);
	}

	/** The program has ended: who sends a signal now means us. */
	over(end: () => void): void {
		this.#state = { kind: "over", end };
	}

	#came(signal: NodeJS.Signals): void {
		const state = this.#state;
		const isEnding = ENDING.includes(signal);
		switch (state.kind) {
			case "starting":
				state.signals.push(signal);
				if (isEnding) this.#timer ??= setTimeout(() => this.#end(KILLED_BY + constants.signals[signal]), PATIENCE);
				break;
			case "running":
				if (!(this.#hasTerminal && FROM_TERMINAL.includes(signal))) forward(state.pid, signal);
				break;
			case "over":
				if (isEnding) state.end();
		}
	}
}

function forward(pid: number, signal: NodeJS.Signals): void {
	try {
		process.kill(pid, signal);
	} catch {
		// It has ended, and only what it started goes on.
	}
}
