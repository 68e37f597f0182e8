// When a completion queue interrupts. What becomes of it, a message or a pin, the function's configuration says; so both are served
// here: a message for each time that entries are added, and a pin that is asserted as long as some haven't been taken.
// NVM Express Base Specification 1.4, 7.5 "Interrupts"; 3.1.3 INTMS and 3.1.4 INTMC.

import type { EndpointPort } from "../endpoint.js";
import type { CompletionQueue, Queues } from "./queues.js";

/** So many vectors can be masked by INTMS. */
const MASKABLE = 32;

export class Interrupts {
	readonly #port: EndpointPort;
	readonly #queues: Queues;
	/** INTMS and INTMC both read as this. */
	mask = 0;
	/** Whether the pin may be asserted. */
	isAsserted = false;

	constructor(port: EndpointPort, queues: Queues) {
		this.#port = port;
		this.#queues = queues;
	}

	/** Entries have been added to a queue. */
	posted(queue: CompletionQueue): void {
		if (queue.hasInterrupts && !this.#isMasked(queue.vector)) this.#raise(queue.vector);
	}

	/** The host has taken entries of a queue, or it is gone. */
	taken(queue: CompletionQueue): void {
		if (this.isAsserted && queue.hasInterrupts && queue.used === 0) this.#settle();
	}

	/** INTMS is written. */
	setMask(bits: number): void {
		this.mask = (this.mask | bits) >>> 0;
		if (this.isAsserted) this.#settle();
	}

	/** INTMC is written: what is unmasked, and has entries that wait, interrupts now. */
	clearMask(bits: number): void {
		const changed = this.mask & bits;
		this.mask = (this.mask & ~bits) >>> 0;
		if (changed === 0) return;
		let raised = 0;
		for (const queue of this.#queues.completion) {
			if (queue === undefined || queue.vector >= MASKABLE || !this.#wants(queue)) continue;
			const bit = 1 << queue.vector;
			if (changed & bit & ~raised) this.#raise(queue.vector);
			raised |= bit;
		}
	}

	/** The state has been restored: what waits interrupts again, since nobody knows whether it has been heard. */
	resume(): void {
		for (const queue of this.#queues.completion)
			if (queue !== undefined && this.#wants(queue)) this.#raise(queue.vector);
	}

	reset(): void {
		this.mask = 0;
		this.#deassert();
	}

	#raise(vector: number): void {
		this.isAsserted = true;
		this.#port.interrupt(vector);
	}

	/** The pin goes when no queue wants it any more. */
	#settle(): void {
		if (!this.#queues.completion.some((queue) => queue !== undefined && this.#wants(queue))) this.#deassert();
	}

	#deassert(): void {
		if (!this.isAsserted) return;
		this.isAsserted = false;
		this.#port.deassert();
	}

	#wants(queue: CompletionQueue): boolean {
		return queue.hasInterrupts && queue.used > 0 && !this.#isMasked(queue.vector);
	}

	#isMasked(vector: number): boolean {
		return vector < MASKABLE && (this.mask & (1 << vector)) !== 0;
	}
}
