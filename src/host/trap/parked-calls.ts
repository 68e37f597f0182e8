// The calls that were put aside because their answers come later: uapi/later.ts.
//
// What a call is stands in the 80 bytes of its struct seccomp_notif. They are copied aside, and the supervisor goes on; the caller stays
// stopped in the kernel. To make the call again is to put them back, and to do as if it had just come. seccomp_unotify(2)
//
// Some steps of a call are done elsewhere, and can't be done twice. So a call keeps what came of those that have been done: when it is
// made again it comes by the same steps in the same order, and each is answered from there.

import type { Errno } from "../../uapi/errno.js";
import type { Later, ParkedCall } from "../../uapi/later.js";
import { NOTIF_WORDS, type Notification } from "./seccomp.js";

/** Thrown when the call has been given to another thread of ours, which answers it: nobody here must touch it any more. */
export const handedOver = Symbol("handed over");

/** What came of a step, and of whose. */
interface Done {
	readonly by: object;
	readonly outcome: unknown;
}

class Parked implements ParkedCall {
	/** Its struct seccomp_notif. */
	readonly words: Uint32Array;
	onDropped: (() => void) | undefined;
	/** The steps that have been done, in their order. */
	readonly done: Done[];
	/** Of one that has been made, and isn't answered yet. */
	readonly answer: number | Errno | undefined;
	readonly #due: (call: Parked) => void;
	#isWaiting = true;

	constructor(words: Uint32Array, done: Done[], due: (call: Parked) => void, answer?: number | Errno) {
		this.answer = answer;
		this.words = words;
		this.done = done;
		this.#due = due;
	}

	makeAgain(): void {
		if (!this.#isWaiting) return;
		this.#isWaiting = false;
		this.onDropped = undefined;
		this.#due(this);
	}

	drop(): void {
		this.#isWaiting = false;
		this.onDropped?.();
		this.onDropped = undefined;
	}
}

export class ParkedCalls {
	readonly #notification: Notification;
	readonly #dropped: (thread: number) => void;
	readonly #all = new Set<Parked>();
	/** Those that are to be made again. */
	#due: Parked[] = [];
	/** What has been done of the call that is under way, and how much of that it has come by. */
	#done: Done[] = [];
	#passed = 0;

	/**
	 * Whether who does the next step may answer the whole call by that, and throw `handedOver`: then the step is all of it, and nobody here
	 * wants to know what comes of it.
	 */
	mayBeHandedOver = false;

	/** @param dropped is told of the thread of each call that is given up */
	constructor(notification: Notification, dropped: (thread: number) => void) {
		this.#notification = notification;
		this.#dropped = dropped;
	}

	/** How many wait, or are due. */
	get count(): number {
		return this.#all.size;
	}

	/** Whether some can be made again. */
	get areDue(): boolean {
		return this.#due.length > 0;
	}

	/** Puts the call aside that is under way. It isn't any more, from now on. */
	park(later: Later): void {
		const call = new Parked(this.#notification.copy(), this.#done, (due) => this.#due.push(due));
		this.#forgetSteps();
		this.#all.add(call);
		later.park(call);
	}

	/** Keeps the answer to the call that is under way, which has been made: it is given when the call would be made again. */
	keepAnswer(answer: number | Errno): ParkedCall {
		const call = new Parked(this.#notification.copy(), [], (due) => this.#due.push(due), answer);
		this.#all.add(call);
		return call;
	}

	/** Has a call made again that was handed over, with what came of its step. */
	takeBack(words: Int32Array, at: number, by: object, outcome: unknown): void {
		const call = new Parked(Uint32Array.from(words.subarray(at, at + NOTIF_WORDS)), [{ by, outcome }], (due) =>
			this.#due.push(due),
		);
		this.#all.add(call);
		call.makeAgain();
	}

	/** Makes each that is due now again: `answer` finds it in the notification. Those that become due meanwhile are left for the next time. */
	makeDueAgain(answer: () => void): void {
		for (let left = this.#due.length; left > 0; left--) {
			const call = this.#due.shift();
			if (call === undefined) return; // Others were made on top of one that takes long.
			this.#all.delete(call);
			if (!this.#notification.isAlive(call.words)) {
				this.#dropped(this.#notification.threadOf(call.words));
				continue;
			}
			this.#notification.resume(call.words);
			if (call.answer !== undefined) {
				this.#notification.answer(call.answer);
				continue;
			}
			this.#done = call.done;
			answer();
			this.#forgetSteps();
		}
	}

	/** Answers others on top of the call that is under way: what has been done of that stays noted. */
	apart(answerOthers: () => void): void {
		const [done, passed, mayBeHandedOver] = [this.#done, this.#passed, this.mayBeHandedOver];
		this.#forgetSteps();
		this.mayBeHandedOver = false;
		try {
			answerOthers();
		} finally {
			this.#done = done;
			this.#passed = passed;
			this.mayBeHandedOver = mayBeHandedOver;
		}
	}

	/** Gives up those whose callers have been killed. */
	dropDead(): void {
		for (const call of this.#all) if (!this.#notification.isAlive(call.words)) this.#drop(call);
	}

	/** Gives up all. */
	dropAll(): void {
		for (const call of this.#all) this.#drop(call);
	}

	#drop(call: Parked): void {
		this.#all.delete(call);
		this.#due = this.#due.filter((other) => other !== call);
		call.drop();
		this.#dropped(this.#notification.threadOf(call.words));
	}

	// --- Steps that are done elsewhere ---

	/**
	 * What came of the next step of the call that is under way, if that has been done.
	 * @param by whose step it is
	 * @returns undefined when it is still to be done
	 */
	outcomeOf(by: object): unknown {
		const done = this.#done[this.#passed];
		if (done?.by === by) {
			this.#passed++;
			return done.outcome;
		}
		// The call has taken another way this time.
		this.#done.length = this.#passed;
		return undefined;
	}

	/** What came of all steps of somebody's that have been done of the call that is under way, in whatever order it comes by them. */
	*outcomesBy(by: object): Iterable<unknown> {
		for (const done of this.#done) if (done.by === by) yield done.outcome;
	}

	/** Notes what came of a step of a call that was put aside for it. It can be made again then. @param outcome not undefined */
	noteOutcome(call: ParkedCall, by: object, outcome: unknown): void {
		(call as Parked).done.push({ by, outcome });
	}

	#forgetSteps(): void {
		this.#done = [];
		this.#passed = 0;
	}
}
