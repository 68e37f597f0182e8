// --trace: a line for each call, written as it happens.

import type { Caller } from "../files/caller.js";
import type { OpenFile } from "../files/open-file.js";
import type { Tracer } from "../host/supervisor.js";
import type { Machine } from "../machine/machine.js";
import { commandOf } from "../trace/commands.js";
import type { TransferEvent } from "../trace/event.js";
import {
	printCall,
	printDevice,
	printDma,
	printInterrupt,
	printOpen,
	printRemark,
	printTransfer,
} from "../trace/print.js";
import type { Errno } from "../uapi/errno.js";
import { Errno as ErrnoClass } from "../uapi/errno.js";
import { Later } from "../uapi/later.js";
import type { LineFile } from "./line-file.js";

export class LineTracer implements Tracer {
	readonly isToldOfAll = true;
	readonly #lines: LineFile;

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
		this.#lines.write(
			printCall({ thread: caller.thread, fd, path: file.path, number, argument, command, before, after, result }),
		);
		if (thrown !== undefined) throw thrown;
		return result as number;
	}

	opened(thread: number, path: string, flags: number, result: number | Errno): void {
		this.#lines.write(printOpen({ thread, path, flags, result }));
	}

	missed(thread: number, path: string, flags: number, error: Errno): void {
		this.opened(thread, path, flags, error);
	}

	transferred(event: TransferEvent): void {
		this.#lines.write(printTransfer(event));
	}
}

/** Lines for what no call's answer says: what goes wrong with devices' DMA, their interrupts, what they and the engine say themselves. */
export function traceDevices(machine: Machine, lines: LineFile): void {
	const { dma, vfioDevices } = machine;
	machine.remark = (text) => lines.write(printRemark(text));
	machine.report = (event) => lines.write(printDevice(event));
	dma.report = (event) => lines.write(printDma(event));
	for (const { interrupts } of vfioDevices) interrupts.report = (event) => lines.write(printInterrupt(event));
}

/** What the caller has at an address, as much of it as there is. */
function read(caller: Caller, address: number, size: number): Uint8Array | undefined {
	if (size === 0) return undefined;
	const bytes = new Uint8Array(size);
	try {
		const length = caller.memory.read(address, bytes);
		return length === 0 ? undefined : bytes.subarray(0, length);
	} catch (error) {
		if (error instanceof Later) return undefined; // Nobody waits for the trace.
		throw error;
	}
}

function same(one: Uint8Array | undefined, other: Uint8Array | undefined): boolean {
	return one?.length === other?.length && (one?.every((byte, i) => byte === other?.[i]) ?? true);
}
