// Doorbells: how far the host has filled a submission queue, or emptied a completion queue. The host may keep them in its memory instead
// (shadow doorbells), and ring only when the controller asks for it (event indexes).
// NVM Express Base Specification 1.4, 3.1.24 and 3.1.25 "Queue y Tail/Head Doorbell"; 5.7 "Doorbell Buffer Config command", 7.13.

import type { EndpointPort } from "../endpoint.js";
import type { HostMemory } from "./host-memory.js";
import type { Interrupts } from "./interrupts.js";
import type { CompletionQueue, Queues, SubmissionQueue } from "./queues.js";
import { FIRST_DOORBELL } from "./registers.js";

/** What is wrong with a write to a doorbell. */
export interface BadDoorbell {
	readonly kind: "register" | "value";
	readonly message: string;
}

export class Doorbells {
	readonly #port: EndpointPort;
	readonly #memory: HostMemory;
	readonly #queues: Queues;
	readonly #interrupts: Interrupts;
	/** In bytes: from one doorbell to the next. */
	readonly stride: number;
	/** What was last written to each. */
	readonly words: Uint32Array;
	/** Pages of the shadow doorbells and of the event indexes. */
	shadow: { readonly doorbells: number; readonly eventIndexes: number } | undefined;
	/** The host has been seen to keep shadows of the admin queues' doorbells. */
	#isAdminShadowKept = false;
	readonly #word = new Uint8Array(4);
	readonly #wordView = new DataView(this.#word.buffer);

	constructor(port: EndpointPort, memory: HostMemory, queues: Queues, interrupts: Interrupts, stride: number) {
		this.#port = port;
		this.#memory = memory;
		this.#queues = queues;
		this.#interrupts = interrupts;
		this.stride = stride;
		this.words = new Uint32Array(2 * (queues.most + 1));
	}

	/** @param offset in BAR 0, a multiple of 4 */
	read(offset: number): number {
		const at = offset - FIRST_DOORBELL;
		return at % this.stride === 0 ? (this.words[at / this.stride] ?? 0) : 0;
	}

	/** @param offset in BAR 0, a multiple of 4 @returns undefined when all is well */
	write(offset: number, value: number): BadDoorbell | undefined {
		const at = offset - FIRST_DOORBELL;
		const index = at / this.stride;
		const id = index >>> 1;
		const isCompletion = (index & 1) === 1;
		const queue = at % this.stride === 0 ? this.#find(id, isCompletion) : undefined;
		if (at % this.stride === 0 && index < this.words.length) this.words[index] = value;
		if (queue === undefined)
			return {
				kind: "register",
				message: `the doorbell at 0x${offset.toString(16)} is written with ${value}, and ${isCompletion ? "completion" : "submission"} queue ${id} doesn't exist`,
			};
		if (this.shadow === undefined) return this.#set(queue, isCompletion, value);
		if (id !== 0 || this.#isShadowKept(queue, isCompletion)) return this.update(queue, isCompletion);
		const problem = this.#set(queue, isCompletion, value);
		if (problem === undefined) this.#store(this.shadow.doorbells, id, isCompletion, value);
		return problem;
	}

	/**
	 * Not all hosts keep a shadow of the admin queues' doorbells: those that don't leave there what we have put there. Of those that do
	 * the shadow is right, and a ring that we hear late may be older.
	 */
	#isShadowKept(queue: SubmissionQueue | CompletionQueue, isCompletion: boolean): boolean {
		const known = isCompletion ? (queue as CompletionQueue).head : (queue as SubmissionQueue).tail;
		const shadow = this.#readShadow(queue, isCompletion);
		if (shadow !== undefined && shadow !== known) this.#isAdminShadowKept = true;
		return this.#isAdminShadowKept;
	}

	/** A queue is created: both sides begin at 0. */
	begin(queue: SubmissionQueue | CompletionQueue, isCompletion: boolean): void {
		const index = 2 * queue.id + (isCompletion ? 1 : 0);
		this.words[index] = 0;
		this.#port.setDoorbell(0, FIRST_DOORBELL + index * this.stride, 0);
		if (this.shadow !== undefined) this.#shadow(queue, isCompletion, 0);
	}

	/** Takes a queue's shadow doorbell for what it says. */
	update(queue: SubmissionQueue | CompletionQueue, isCompletion: boolean): BadDoorbell | undefined {
		if (queue.id === 0 && !this.#isShadowKept(queue, isCompletion)) return undefined;
		const value = this.#readShadow(queue, isCompletion);
		return value === undefined ? undefined : this.#set(queue, isCompletion, value);
	}

	/** @returns undefined for what can't be read, which rings no bell */
	#readShadow({ id }: SubmissionQueue | CompletionQueue, isCompletion: boolean): number | undefined {
		if (this.shadow === undefined) return undefined;
		const { page, offset } = this.#placeOf(this.shadow.doorbells, id, isCompletion);
		if (this.#memory.read(page, offset, this.#word) !== undefined) return undefined;
		return this.#wordView.getUint32(0, true);
	}

	/** Asks to be rung when the host goes beyond a place in a queue. */
	askFor(queue: SubmissionQueue | CompletionQueue, isCompletion: boolean, place: number): void {
		if (this.shadow !== undefined) this.#store(this.shadow.eventIndexes, queue.id, isCompletion, place);
	}

	/** Doorbell Buffer Config: from now on they are in these pages, beginning with what the registers said. */
	useShadow(doorbells: number, eventIndexes: number): void {
		this.shadow = { doorbells, eventIndexes };
		this.#isAdminShadowKept = false;
		for (const queue of this.#queues.submission) if (queue !== undefined) this.#shadow(queue, false, queue.tail);
		for (const queue of this.#queues.completion) if (queue !== undefined) this.#shadow(queue, true, queue.head);
	}

	#shadow(queue: SubmissionQueue | CompletionQueue, isCompletion: boolean, value: number): void {
		this.#store(this.shadow!.doorbells, queue.id, isCompletion, value);
		this.#store(this.shadow!.eventIndexes, queue.id, isCompletion, value);
	}

	/** Has the words seen that have been restored. */
	show(): void {
		for (const [index, word] of this.words.entries())
			this.#port.setDoorbell(0, FIRST_DOORBELL + index * this.stride, word);
	}

	reset(): void {
		this.words.fill(0);
		this.shadow = undefined;
		this.#isAdminShadowKept = false;
	}

	#find(id: number, isCompletion: boolean): SubmissionQueue | CompletionQueue | undefined {
		return isCompletion ? this.#queues.completion[id] : this.#queues.submission[id];
	}

	#set(queue: SubmissionQueue | CompletionQueue, isCompletion: boolean, value: number): BadDoorbell | undefined {
		if (isCompletion) return this.#setHead(queue as CompletionQueue, value);
		return this.#setTail(queue as SubmissionQueue, value);
	}

	/** The host has added commands: no more than there was room for. */
	#setTail(queue: SubmissionQueue, value: number): BadDoorbell | undefined {
		if (value >= queue.size)
			return badValue(`the tail of submission queue ${queue.id} is set to ${value}: it has ${queue.size} entries`);
		const added = (value - queue.tail + queue.size) % queue.size;
		const room = queue.size - 1 - queue.waiting;
		if (added > room)
			return badValue(
				`the tail of submission queue ${queue.id} is set from ${queue.tail} to ${value}, ${added} more commands: there is room for ${room}`,
			);
		queue.tail = value;
		return undefined;
	}

	/** The host has taken completions: no more than there were. */
	#setHead(queue: CompletionQueue, value: number): BadDoorbell | undefined {
		if (value >= queue.size)
			return badValue(`the head of completion queue ${queue.id} is set to ${value}: it has ${queue.size} entries`);
		const taken = (value - queue.head + queue.size) % queue.size;
		if (taken > queue.used)
			return badValue(
				`the head of completion queue ${queue.id} is set from ${queue.head} to ${value}, ${taken} entries on: there are ${queue.used}`,
			);
		queue.head = value;
		this.#interrupts.taken(queue);
		return undefined;
	}

	#store(page: number, id: number, isCompletion: boolean, value: number): void {
		const place = this.#placeOf(page, id, isCompletion);
		this.#wordView.setUint32(0, value, true);
		// A host that took the page away hears of its commands by no bell.
		this.#memory.write(place.page, place.offset, this.#word);
	}

	#placeOf(page: number, id: number, isCompletion: boolean): { page: number; offset: number } {
		const at = (2 * id + (isCompletion ? 1 : 0)) * this.stride;
		return { page: page + Math.floor(at / 4096), offset: at % 4096 };
	}
}

function badValue(message: string): BadDoorbell {
	return { kind: "value", message };
}
