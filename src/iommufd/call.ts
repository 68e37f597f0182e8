// One ioctl under way: who makes it, in which context, and the way back for its answer.

import type { Caller } from "../files/caller.js";
import { respond, respondField } from "../uapi/rules.js";
import type { AnyCommand } from "../uapi/struct.js";
import type { Context } from "./context.js";

export class Call {
	readonly context: Context;
	caller!: Caller;
	/** What the ioctl returns: 0 but for a few test commands. */
	result = 0;
	#command!: AnyCommand;
	#address = 0;
	#callerSize = 0;

	constructor(context: Context) {
		this.context = context;
	}

	/** Makes this object the call that is under way now. There is one per context, reused. */
	begin(caller: Caller, command: AnyCommand, address: number, callerSize: number): void {
		this.caller = caller;
		this.result = 0;
		this.#command = command;
		this.#address = address;
		this.#callerSize = callerSize;
	}

	/**
	 * Writes the struct back to the caller.
	 * @throws EFAULT when the caller's struct can be read but not written
	 */
	respond(): void {
		respond(this.caller.memory, this.#address, this.#command, this.#callerSize);
	}

	/**
	 * Writes the struct back as it came. Who is about to do what can't be taken back, as handing out an fd, calls it
	 * before any output is set.
	 * @throws EFAULT when respond() would
	 */
	checkRespond(): void {
		this.respond();
	}

	/** Writes one field of it back. */
	respondField(name: string): void {
		respondField(this.caller.memory, this.#address, this.#command, name);
	}
}
