// The engine: takes descriptors from the queues in turn and does what they ask for, one at a time.
// DSA specification 5.4 "Descriptor processing", 8.3.2 "Batch", 5.7 "Completion".

import type { EndpointPort } from "../endpoint.js";
import { DESCRIPTOR_SIZE, Descriptor, Flag } from "./descriptor.js";
import { findProblem } from "./descriptor-check.js";
import { OPERATIONS, type Run } from "./operations.js";
import type { ErrorPlace, SoftwareErrors } from "./software-errors.js";
import { type Outcome, recordOf, Status } from "./status.js";
import type { WorkQueue } from "./work-queue.js";

/** Descriptors of a batch that are read at a time. */
const BATCH_PIECE = 32;
/** What a descriptor costs beside its bytes, so that there is an end to many small ones. */
const PRICE = 32 * 1024;

/** What is being done, and for which queue. */
interface Task {
	readonly queue: WorkQueue;
	readonly run: Generator<number, boolean>;
}

export class Engine {
	readonly #port: EndpointPort;
	readonly #errors: SoftwareErrors;
	readonly #queues: readonly WorkQueue[];
	readonly #serves: (queue: number) => boolean;
	#current: Task | undefined;
	#turn = 0;

	/** @param serves whether it works for a queue */
	constructor(
		port: EndpointPort,
		errors: SoftwareErrors,
		queues: readonly WorkQueue[],
		serves: (queue: number) => boolean,
	) {
		this.#port = port;
		this.#errors = errors;
		this.#queues = queues;
		this.#serves = serves;
	}

	/**
	 * @param budget bytes to be moved, more or less
	 * @returns whether there is more to do
	 */
	work(budget: number): boolean {
		let left = budget;
		while (left > 0) {
			this.#current ??= this.#next();
			if (this.#current === undefined) return false;
			const { done, value } = this.#current.run.next();
			if (done) this.#current = undefined;
			else left -= value;
		}
		return this.#current !== undefined || this.#queues.some((queue) => this.#canServe(queue));
	}

	/** Whether nothing of the queue is left to do. */
	isDone(queue: WorkQueue): boolean {
		return queue.isEmpty && this.#current?.queue !== queue;
	}

	/** Leaves off what it is doing for the queue. */
	abort(queue: WorkQueue): void {
		if (this.#current?.queue === queue) this.#current = undefined;
	}

	#canServe(queue: WorkQueue): boolean {
		return !queue.isEmpty && this.#serves(queue.index);
	}

	/** The first descriptor of the next queue that has one. */
	#next(): Task | undefined {
		for (let i = 0; i < this.#queues.length; i++) {
			const queue = this.#queues[(this.#turn + i) % this.#queues.length];
			if (!this.#canServe(queue)) continue;
			this.#turn = (queue.index + 1) % this.#queues.length;
			return { queue, run: this.#process(queue.take()!, queue) };
		}
		return undefined;
	}

	/** @param index in a batch @returns whether it was done with success */
	*#process(descriptor: Descriptor, queue: WorkQueue, index?: number): Generator<number, boolean> {
		const outcome =
			findProblem(descriptor, queue.limits, index !== undefined) ??
			(yield* OPERATIONS.get(descriptor.operation)!.run?.(this.#port, descriptor) ?? this.#batch(descriptor, queue));
		yield PRICE;
		this.#complete(descriptor, outcome, { queue: queue.index, operation: descriptor.operation, index });
		return outcome.status === Status.SUCCESS;
	}

	/** All of its descriptors, unless one has a fence and one before it has failed. */
	*#batch({ source, size }: Descriptor, queue: WorkQueue): Run {
		let hasFailed = false;
		for (let index = 0; index < size; index += BATCH_PIECE) {
			const bytes = new Uint8Array(Math.min(BATCH_PIECE, size - index) * DESCRIPTOR_SIZE);
			const address = BigInt.asUintN(64, source + BigInt(index * DESCRIPTOR_SIZE));
			if (this.#port.readMemory(address, bytes) !== undefined)
				return { status: Status.BATCH_LIST_FAULT, completed: index, faultAddress: address };
			for (let at = 0; at < bytes.length; at += DESCRIPTOR_SIZE) {
				const child = new Descriptor(bytes.subarray(at, at + DESCRIPTOR_SIZE));
				const place = index + at / DESCRIPTOR_SIZE;
				if (hasFailed && child.has(Flag.FENCE)) return { status: Status.BATCH_FAILED, completed: place };
				if (!(yield* this.#process(child, queue, place))) hasFailed = true;
			}
		}
		return { status: hasFailed ? Status.BATCH_FAILED : Status.SUCCESS, completed: size };
	}

	/** The record comes before the interrupt. What can't be told in a record is in SWERROR. */
	#complete(descriptor: Descriptor, outcome: Outcome, place: ErrorPlace): void {
		const isError = outcome.status > Status.SUCCESS_WITH_FALSE_PREDICATE;
		if (descriptor.hasCompletionAddress) {
			const isWanted = descriptor.has(Flag.REQUEST_COMPLETION) || outcome.status !== Status.SUCCESS;
			if (isWanted) this.#writeRecord(descriptor.completionAddress, outcome, place);
		} else if (isError) this.#errors.report(outcome, place);
		if (descriptor.has(Flag.REQUEST_INTERRUPT) && outcome.status !== Status.INVALID_INTERRUPT_HANDLE)
			this.#port.interrupt(descriptor.vector);
	}

	#writeRecord(address: bigint, outcome: Outcome, place: ErrorPlace): void {
		if (this.#port.writeMemory(address, recordOf(outcome)) === undefined) return;
		this.#errors.report({ status: Status.COMPLETION_ADDRESS_FAULT, faultAddress: address, isFaultWrite: true }, place);
	}
}
