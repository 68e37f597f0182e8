// --walk IOVA: prints how it is translated, by each page table, whenever a call has changed that.

import type { Tracer } from "../host/supervisor.js";
import type { OpenFile } from "../iommufd/caller.js";
import type { PagingHwpt } from "../iommufd/hwpt.js";
import { walkInWords } from "../iommufd/hwpt-walk.js";
import type { Machine } from "../machine/machine.js";
import { commandOf } from "../trace/commands.js";
import type { TransferEvent } from "../trace/event.js";
import { printNumber } from "../trace/print.js";
import { type Errno, hex } from "../uapi/errno.js";
import type { LineFile } from "./line-file.js";

export class WalkTracer implements Tracer {
	readonly #machine: Machine;
	readonly #iovas: readonly bigint[];
	readonly #lines: LineFile;
	readonly #inner: Tracer | undefined;
	/** What was printed last, for each IOVA. */
	readonly #shown = new WeakMap<PagingHwpt, string[]>();

	/**
	 * @param lines where they go
	 * @param inner another one who wants to know of each call
	 */
	constructor(machine: Machine, iovas: readonly bigint[], lines: LineFile, inner: Tracer | undefined) {
		this.#machine = machine;
		this.#iovas = iovas;
		this.#lines = lines;
		this.#inner = inner;
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

	transferred(event: TransferEvent): void {
		this.#inner?.transferred(event);
	}

	/** @param after the call that may have changed something */
	#show(after: string): void {
		for (const hwpt of this.#machine.pagingHwpts()) {
			const before = this.#shown.get(hwpt);
			const now = this.#iovas.map((iova) => walkInWords(hwpt, iova).join("\n  "));
			this.#shown.set(hwpt, now);
			for (const [i, walk] of now.entries()) {
				if (walk === before?.[i]) continue;
				const { driver } = hwpt.domain;
				const head = `IOVA ${hex(this.#iovas[i])} in ${hwpt} (${driver.name}), after ${after}:`;
				this.#lines.write(`${head}\n  ${walk}`);
			}
		}
	}
}
