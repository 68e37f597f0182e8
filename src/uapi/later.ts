// An answer that comes later: thrown where an Errno would be thrown that says no, by whoever can't go on now.
//
// A call that throws it has done nothing: `Undo` takes back what it had begun. It is put aside, the supervisor answers others, and
// when what it waits for has come it is made again from its start, as a call is that returns ERESTARTNOINTR in the kernel. So
// nothing may be thrown after what can't be taken back, a register that was written or an fd that was handed out.

/** A call that was put aside. */
export interface ParkedCall {
	/** Has it made again, from its start, as soon as no other is under way. Once; nothing happens if its caller is gone by then. */
	makeAgain(): void;
	/** Called when it is given up, because its caller was killed or the program has ended. makeAgain() means nothing from then on. */
	onDropped: (() => void) | undefined;
}

/** Like an Errno it is an ordinary answer, and captures no stack. */
export class Later {
	/** What it waits for, for people: "vfio0 is being reset". */
	readonly reason: string;
	/** Is given the call, once nothing of it is under way any more. */
	readonly park: (call: ParkedCall) => void;

	constructor(reason: string, park: (call: ParkedCall) => void) {
		this.reason = reason;
		this.park = park;
	}

	/** Named as in Error, for those who print whatever they catch. */
	get message(): string {
		return `a call that waits was not put aside: ${this.reason}`;
	}
}

/** Calls that wait for the same, in the order in which they came: a wait queue, in the kernel's words. */
export class WaitQueue {
	readonly #calls = new Set<ParkedCall>();

	/** To be thrown by a call that is to wait until wakeAll(). */
	later(reason: string): Later {
		return new Later(reason, (call) => {
			this.#calls.add(call);
			call.onDropped = () => this.#calls.delete(call);
		});
	}

	/** How many wait. */
	get length(): number {
		return this.#calls.size;
	}

	/** Has all of them made again, in their order. Those who still can't go on wait again. */
	wakeAll(): void {
		const calls = [...this.#calls];
		this.#calls.clear();
		for (const call of calls) call.makeAgain();
	}
}
