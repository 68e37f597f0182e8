// --walk IOVA: prints how it is translated, by each page table, whenever a call has changed that.

import type { OpenFile } from "../files/open-file.js";
import type { Tracer } from "../host/supervisor.js";
import type { Hwpt } from "../iommufd/hwpt.js";
import { type HwptWalk, walkHead, walkInWords } from "../iommufd/hwpt-walk.js";
import type { Machine } from "../machine/machine.js";
import { NothingToShow } from "../machine/nothing-to-show.js";
import { walkMachine } from "../machine/walk.js";
import { commandOf } from "../trace/commands.js";
import type { TransferEvent } from "../trace/event.js";
import { printNumber } from "../trace/print.js";
import { printable } from "../trace/printable.js";
import type { Errno } from "../uapi/errno.js";
import type { TraceSink } from "./trace-sink.js";

export class WalkTracer implements Tracer {
	readonly #machine: Machine;
	readonly #iovas: readonly bigint[];
	readonly #lines: Pick<TraceSink, "write">;
	readonly #inner: Tracer | undefined;
	/** What was printed last, by its head. */
	#shown: ReadonlyMap<Hwpt, ReadonlyMap<string, string>> = new Map();

	/**
	 * @param lines where they go
	 * @param inner another one who wants to know of each call
	 */
	constructor(machine: Machine, iovas: readonly bigint[], lines: Pick<TraceSink, "write">, inner: Tracer | undefined) {
		this.#machine = machine;
		this.#iovas = iovas;
		this.#lines = lines;
		this.#inner = inner;
	}

	get isToldOfAll(): boolean {
		return this.#inner?.isToldOfAll ?? false;
	}

	received(): void {
		this.#inner?.received?.();
	}

	ioctl(file: OpenFile, thread: Parameters<Tracer["ioctl"]>[1], fd: number, number: number, argument: number): number {
		try {
			return this.#inner?.ioctl(file, thread, fd, number, argument) ?? file.ioctl(thread, number, argument);
		} finally {
			this.#show(printNumber({ command: commandOf(file.path, number), number }));
		}
	}

	opened(thread: number, path: string, flags: number, result: number | Errno): void {
		this.#inner?.opened(thread, path, flags, result);
	}

	missed(thread: number, path: string, flags: number, error: Errno): void {
		this.#inner?.missed(thread, path, flags, error);
	}

	transferred(event: TransferEvent): void {
		this.#inner?.transferred(event);
	}

	/** @param after the call that may have changed something */
	#show(after: string): void {
		const shown = new Map<Hwpt, Map<string, string>>();
		for (const walk of this.#walks()) {
			const head = walkHead(walk);
			const now = walkInWords(walk).map(printable).join("\n  ");
			const ofHwpt = shown.get(walk.hwpt) ?? new Map<string, string>();
			shown.set(walk.hwpt, ofHwpt.set(head, now));
			if (this.#shown.get(walk.hwpt)?.get(head) !== now)
				this.#lines.write(`${printable(`${head}, after ${after}`)}:\n  ${now}`);
		}
		this.#shown = shown;
	}

	#walks(): readonly HwptWalk[] {
		try {
			return walkMachine(this.#machine, { iovas: this.#iovas });
		} catch (error) {
			if (error instanceof NothingToShow) return [];
			throw error;
		}
	}
}
