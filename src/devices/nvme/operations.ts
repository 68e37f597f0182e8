// What takes longer than a turn of the controller: ranges to be read or emptied, piece by piece, while other commands go on.

import { PENDING } from "./command.js";
import type { Controller } from "./controller.js";
import { EventType, NoticeEvent } from "./events.js";
import { NAMESPACE_NOTICES } from "./features.js";
import { LogPage } from "./log-pages.js";
import type { Namespace } from "./namespace.js";
import { Status } from "./status.js";
import { MAX_TRANSFER } from "./transfer.js";

/** Blocks: the first, and the one after the last. */
export type BlockRange = [first: number, end: number];

export interface Operation {
	/** verify: read; deallocate: make it read as zeroes; format: the same for a whole namespace, which has other blocks afterwards. */
	readonly kind: "verify" | "deallocate" | "format";
	readonly submissionId: number;
	readonly commandId: number;
	/** What is left to be done. */
	readonly rest: { readonly namespaceId: number; readonly ranges: BlockRange[] }[];
	/** Of a format: the new LBA format. */
	readonly format?: number | undefined;
	/** Whether it ends with what it has changed on the medium. */
	readonly isDurable?: boolean | undefined;
}

/** In bytes: of a turn. */
const EMPTIED_AT_ONCE = 64 * 1024 * 1024;
const READ_AT_ONCE = MAX_TRANSFER;

export class Operations {
	readonly #controller: Controller;
	/** In the order in which they have their turns. */
	readonly all: Operation[] = [];
	/** Why the last one that failed did. */
	#reason = "";

	constructor(controller: Controller) {
		this.#controller = controller;
	}

	/** Begins one, and ends it if it is short. @returns the status, or PENDING */
	start(operation: Operation): number {
		if (operation.kind === "format") this.#setFormatting(operation, true);
		const status = this.#turn(operation);
		if (status === PENDING) this.all.push(operation);
		return status;
	}

	/** Why `start` returned an error. */
	get reason(): string {
		return this.#reason;
	}

	/** Goes on with the first one. */
	work(): void {
		const operation = this.all.shift();
		if (operation === undefined) return;
		this.#reason = "";
		const status = this.#turn(operation);
		if (status === PENDING) this.all.push(operation);
		else this.#complete(operation, status, this.#reason);
	}

	find(submissionId: number, commandId: number): Operation | undefined {
		return this.all.find((one) => one.submissionId === submissionId && one.commandId === commandId);
	}

	/** Ends one early. What it has done so far stays. */
	abort(operation: Operation, status: number, reason: string): void {
		this.all.splice(this.all.indexOf(operation), 1);
		if (operation.kind === "format") this.#setFormatting(operation, false);
		this.#complete(operation, status, reason);
	}

	/** Ends those of a queue that is deleted. */
	abortOf(submissionId: number): void {
		for (const operation of this.all.filter((one) => one.submissionId === submissionId))
			this.abort(operation, Status.ABORTED_SQ_DELETION, `submission queue ${submissionId} is deleted`);
	}

	/** The controller is reset: they end without a completion. */
	reset(): void {
		for (const operation of this.all) if (operation.kind === "format") this.#setFormatting(operation, false);
		this.all.length = 0;
	}

	#complete({ submissionId, commandId }: Operation, status: number, reason: string): void {
		this.#controller.completeLater(submissionId, commandId, status, 0, reason);
	}

	#setFormatting({ rest }: Operation, isFormatting: boolean): void {
		for (const { namespaceId } of rest) this.#namespace(namespaceId).isFormatting = isFormatting;
	}

	#namespace(id: number): Namespace {
		return this.#controller.namespaces.get(id)!;
	}

	/** Does pieces, until it is another one's turn. */
	#turn(operation: Operation): number {
		const isReading = operation.kind === "verify";
		for (let left = isReading ? READ_AT_ONCE : EMPTIED_AT_ONCE; left > 0; ) {
			const [part] = operation.rest;
			if (part === undefined) return Status.SUCCESS;
			const namespace = this.#namespace(part.namespaceId);
			const [range] = part.ranges;
			if (range === undefined) {
				const problem = operation.isDurable ? this.#controller.media.flush(namespace) : undefined;
				if (problem !== undefined) return this.#fail(operation, problem);
				operation.rest.shift();
				if (operation.format !== undefined) this.#finishFormat(namespace, operation.format);
				continue;
			}
			const count = Math.min(left >>> namespace.shift, range[1] - range[0]);
			const problem = isReading ? this.#read(namespace, range[0], count) : this.#empty(namespace, range[0], count);
			if (problem !== undefined) return this.#fail(operation, problem);
			range[0] += count;
			// Also a range of no blocks takes time.
			left -= Math.max(count << namespace.shift, 4096);
			if (range[0] === range[1]) part.ranges.shift();
		}
		return operation.rest.length > 0 ? PENDING : Status.SUCCESS;
	}

	#fail(operation: Operation, problem: string): number {
		if (operation.kind === "format") this.#setFormatting(operation, false);
		this.#reason = problem;
		return operation.kind === "verify" ? Status.UNRECOVERED_READ_ERROR : Status.WRITE_FAULT;
	}

	#read(namespace: Namespace, first: number, count: number): string | undefined {
		const { transfer, media } = this.#controller;
		const bytes = transfer.bytes(count << namespace.shift);
		transfer.moved += bytes.length;
		return media.read(namespace, first, count, bytes);
	}

	#empty(namespace: Namespace, first: number, count: number): string | undefined {
		return this.#controller.media.empty(namespace, first, count);
	}

	#finishFormat(namespace: Namespace, format: number): void {
		const { namespaces, events, features } = this.#controller;
		namespace.isFormatting = false;
		namespace.uncorrectable.clear();
		if (namespace.format === format) return;
		namespace.format = format;
		namespaces.changed.add(namespace.id);
		if (features.events & NAMESPACE_NOTICES)
			events.report(EventType.NOTICE, NoticeEvent.NAMESPACE_ATTRIBUTE_CHANGED, LogPage.CHANGED_NAMESPACES);
	}
}
