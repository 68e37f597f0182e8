// Whose turn it is. A long call is made in slices (slices.ts), between which other calls are answered. What must not be worked on by two of
// them at a time, a context or a container, has a Turn. It is a lock for which nobody waits: a call that can't have it is put aside.

import { WaitQueue } from "./later.js";

let made = 0;

export class Turn {
	/** In the order in which they were made. Who takes several of a kind takes them in that order. */
	readonly number = ++made;
	/** For people: "another call of this context is under way". */
	readonly #why: string;
	readonly #waiting = new WaitQueue();
	/** What goes on when it is free, before those who wait. */
	#postponed: (() => void)[] = [];
	#isTaken = false;

	/** @param why what those wait for who can't have it */
	constructor(why: string) {
		this.#why = why;
	}

	get isTaken(): boolean {
		return this.#isTaken;
	}

	/** @throws Later while somebody has it */
	take(): void {
		this.requireFree();
		this.#isTaken = true;
	}

	/** @throws Later while somebody has it */
	requireFree(): void {
		if (this.#isTaken) throw this.#waiting.later(this.#why);
	}

	/** Who has taken it is done with it. */
	give(): void {
		this.#isTaken = false;
		if (this.#postponed.length > 0) {
			const postponed = this.#postponed;
			this.#postponed = [];
			for (const action of postponed) action();
		}
		if (this.#waiting.length > 0) this.#waiting.wakeAll();
	}

	/** Has something tried again when it is given. */
	postpone(action: () => void): void {
		this.#postponed.push(action);
	}
}

/**
 * Which turns something takes, each looked up when those before it have been taken. All who take several take them in this order, so
 * that no two of them have what the other one lacks: group, container, device, context.
 */
export type TurnsNeeded = readonly (() => Turn | undefined)[];

/**
 * Does something that can't be put aside, as the release of a file, when it can have all turns: at once, as a rule. Those that it can
 * have it keeps meanwhile.
 */
export function whenFree(needed: TurnsNeeded, action: () => void): void {
	goOn(needed, [], action);
}

function goOn(needed: TurnsNeeded, taken: readonly Turn[], action: () => void): void {
	if (needed.length === 0) {
		try {
			action();
		} finally {
			for (const turn of taken.toReversed()) turn.give();
		}
		return;
	}
	const [find, ...others] = needed;
	const turn = find();
	if (turn === undefined || taken.includes(turn)) goOn(others, taken, action);
	else if (turn.isTaken) turn.postpone(() => goOn(needed, taken, action));
	else {
		turn.take();
		goOn(others, [...taken, turn], action);
	}
}

/** The turns of a call, given back with its scope. */
export class Turns implements Disposable {
	readonly #taken: Turn[] = [];

	/** @throws Later while somebody has it */
	static take(turn: Turn): Turns {
		const turns = new Turns();
		turns.take(turn);
		return turns;
	}

	/** One more: nothing may be done by then that can't be undone. @throws Later while somebody has it */
	take(turn: Turn | undefined): void {
		if (turn === undefined || this.#taken.includes(turn)) return;
		turn.take();
		this.#taken.push(turn);
	}

	[Symbol.dispose](): void {
		for (let turn = this.#taken.pop(); turn !== undefined; turn = this.#taken.pop()) turn.give();
	}
}
