// --trace: a line for each call, written as it happens.

import type { Tracer } from "../host/supervisor.js";
import type { Caller, OpenFile } from "../iommufd/caller.js";
import { commandOf } from "../trace/commands.js";
import type { DmaEvent, TransferEvent } from "../trace/event.js";
import { printCall, printDma, printOpen, printTransfer } from "../trace/print.js";
import type { Errno } from "../uapi/errno.js";
import { Errno as ErrnoClass } from "../uapi/errno.js";
import type { LineFile } from "./line-file.js";

export class LineTracer implements Tracer {
	readonly #lines: LineFile;
	/** What devices did in the call that is being answered. */
	#dma: string[] = [];

	constructor(lines: LineFile) {
		this.#lines = lines;
	}

	ioctl(file: OpenFile, caller: Caller, fd: number, number: number, argument: number): number {
		const command = commandOf(file.path, number);
		const size = command !== undefined && "size" in command ? command.size : 0;
		const before = read(caller, argument, size);
		let result: number | Errno;
		let thrown: unknown;
		try {
			result = file.ioctl(caller, number, argument);
		} catch (error) {
			if (!(error instanceof ErrnoClass)) throw error;
			result = error;
			thrown = error;
		}
		const now = read(caller, argument, size);
		// After an error nothing was written back, as a rule; what has changed all the same is shown.
		const after = thrown === undefined || !same(before, now) ? now : undefined;
		this.#write(
			printCall({ thread: caller.thread, fd, path: file.path, number, argument, command, before, after, result }),
		);
		if (thrown !== undefined) throw thrown;
		return result as number;
	}

	opened(thread: number, path: string, flags: number, result: number | Errno): void {
		this.#write(printOpen({ thread, path, flags, result }));
	}

	transferred(event: TransferEvent): void {
		this.#write(printTransfer(event));
	}

	/** Something to be known of a DMA: it stands below the call that made the device do it. */
	dma(event: DmaEvent): void {
		this.#dma.push(printDma(event));
	}

	#write(line: string): void {
		this.#lines.write([line, ...this.#dma].join("\n"));
		this.#dma = [];
	}
}

/** What the caller has at an address, as much of it as there is. */
function read(caller: Caller, address: number, size: number): Uint8Array | undefined {
	if (size === 0) return undefined;
	const bytes = new Uint8Array(size);
	const length = caller.memory.read(address, bytes);
	return length === 0 ? undefined : bytes.subarray(0, length);
}

function same(one: Uint8Array | undefined, other: Uint8Array | undefined): boolean {
	return one?.length === other?.length && (one?.every((byte, i) => byte === other?.[i]) ?? true);
}
