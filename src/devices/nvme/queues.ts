// Submission and completion queues: rings in the host's memory (or in the controller's own).
// NVM Express Base Specification 1.4, 4.1 "Submission Queue & Completion Queue Definition", 4.6 "Completion Queue Entry".

import type { DmaFault } from "../../iommu/translation/dma-fault.js";
import { COMMAND_SIZE } from "./command.js";
import type { HostMemory } from "./host-memory.js";
import { statusField } from "./status.js";

export const COMPLETION_SIZE = 16;
/** Completions that are written together at most: the host works on them while the next ones are made. */
const MOST_STAGED = 8;

/** Where a ring is. */
export interface Ring {
	/** Of 4096 bytes, which it begins at the start of. */
	readonly page: number;
	/** In entries. */
	readonly size: number;
}

export class SubmissionQueue {
	readonly id: number;
	readonly page: number;
	readonly size: number;
	readonly completions: CompletionQueue;
	/** The next entry that is fetched. */
	head = 0;
	/** The first one that the host hasn't filled. */
	tail = 0;

	constructor(id: number, { page, size }: Ring, completions: CompletionQueue) {
		this.id = id;
		this.page = page;
		this.size = size;
		this.completions = completions;
	}

	/** How many entries wait. */
	get waiting(): number {
		const count = this.tail - this.head;
		return count < 0 ? count + this.size : count;
	}

	/** Fetches some from the head on, which must not reach beyond the end of the ring. The head stays. */
	fetch(memory: HostMemory, into: Uint8Array): DmaFault | undefined {
		const at = this.head * COMMAND_SIZE;
		return memory.read(this.page + Math.floor(at / 4096), at % 4096, into);
	}

	/** The entry at the head is taken. */
	advance(): void {
		this.head = this.head + 1 === this.size ? 0 : this.head + 1;
	}
}

export class CompletionQueue {
	readonly id: number;
	readonly page: number;
	readonly size: number;
	readonly vector: number;
	/** IEN */
	readonly hasInterrupts: boolean;
	/** The first entry that the host hasn't taken. */
	head = 0;
	/** Where the next one goes. */
	tail = 0;
	/** Phase Tag of the next one: it changes each time the ring begins anew, so that the host sees what is new. */
	phase = 1;
	/** Entries before the tail that aren't in memory yet. */
	#staged = 0;
	readonly #bytes = new Uint8Array(MOST_STAGED * COMPLETION_SIZE);
	readonly #view = new DataView(this.#bytes.buffer);
	readonly #first = this.#bytes.subarray(0, COMPLETION_SIZE);

	constructor(id: number, { page, size }: Ring, vector: number, hasInterrupts: boolean) {
		this.id = id;
		this.page = page;
		this.size = size;
		this.vector = vector;
		this.hasInterrupts = hasInterrupts;
	}

	/** How many entries the host hasn't taken. */
	get used(): number {
		const count = this.tail - this.head;
		return count < 0 ? count + this.size : count;
	}

	/** How many more there is room for: a ring with one entry left is full. */
	get room(): number {
		return this.size - 1 - this.used;
	}

	/** Whether a flush has something to do. */
	get isStaging(): boolean {
		return this.#staged > 0;
	}

	/** Whether the next one has to wait until those before it are in memory. */
	get isStagingFull(): boolean {
		return this.#staged === MOST_STAGED;
	}

	/** Adds an entry, for which there must be room. It is in memory after the next flush. */
	post(result: number, submissionHead: number, submissionId: number, commandId: number, status: number): void {
		const at = this.#staged++ * COMPLETION_SIZE;
		const view = this.#view;
		view.setUint32(at, result, true);
		view.setUint32(at + 4, 0, true);
		view.setUint16(at + 8, submissionHead, true);
		view.setUint16(at + 10, submissionId, true);
		view.setUint16(at + 12, commandId, true);
		view.setUint16(at + 14, (statusField(status) << 1) | this.phase, true);
		if (++this.tail < this.size) return;
		this.tail = 0;
		this.phase ^= 1;
	}

	/** Writes what has been added: the oldest last, because the host looks at that one, and takes those after it for complete. */
	flush(memory: HostMemory): DmaFault | undefined {
		const count = this.#staged;
		if (count === 0) return undefined;
		this.#staged = 0;
		const first = (this.tail - count + this.size) % this.size;
		const beforeEnd = Math.min(count, this.size - first);
		let fault: DmaFault | undefined;
		if (beforeEnd < count) fault = this.#write(memory, 0, beforeEnd, count);
		if (beforeEnd > 1) fault ??= this.#write(memory, first + 1, 1, beforeEnd);
		const at = first * COMPLETION_SIZE;
		return fault ?? memory.write(this.page + Math.floor(at / 4096), at % 4096, this.#first);
	}

	/** Writes staged entries from `start` to `end`, to `index` of the ring and on. */
	#write(memory: HostMemory, index: number, start: number, end: number): DmaFault | undefined {
		const at = index * COMPLETION_SIZE;
		const entries = this.#bytes.subarray(start * COMPLETION_SIZE, end * COMPLETION_SIZE);
		return memory.write(this.page + Math.floor(at / 4096), at % 4096, entries);
	}
}

/** All queues of a controller by their identifiers; 0 are the admin queues. */
export class Queues {
	/** How many I/O queues of each kind there can be. */
	readonly most: number;
	readonly submission: (SubmissionQueue | undefined)[];
	readonly completion: (CompletionQueue | undefined)[];
	/** How many the host has been given: Set Features, Number of Queues. */
	allocatedSubmission: number;
	allocatedCompletion: number;

	constructor(most: number) {
		this.most = most;
		this.submission = new Array<undefined>(most + 1).fill(undefined);
		this.completion = new Array<undefined>(most + 1).fill(undefined);
		this.allocatedSubmission = most;
		this.allocatedCompletion = most;
	}

	/** Whether there are I/O queues. */
	get hasAny(): boolean {
		return this.completion.some((queue) => queue !== undefined && queue.id !== 0);
	}

	clear(): void {
		this.submission.fill(undefined);
		this.completion.fill(undefined);
		this.allocatedSubmission = this.most;
		this.allocatedCompletion = this.most;
	}
}
