// Writes the calls that fail into the report.

import type { Tracer } from "../host/supervisor.js";
import type { Caller, OpenFile } from "../iommufd/caller.js";
import { commandOf } from "../trace/commands.js";
import type { TransferEvent } from "../trace/event.js";
import { printNumber } from "../trace/print.js";
import { Errno } from "../uapi/errno.js";
import type { ReportFile } from "./report-file.js";

export class FailureRecorder implements Tracer {
	readonly #report: ReportFile;
	readonly #inner: Tracer | undefined;

	/** @param inner another one who wants to know of each call */
	constructor(report: ReportFile, inner: Tracer | undefined) {
		this.#report = report;
		this.#inner = inner;
	}

	ioctl(file: OpenFile, caller: Parameters<Tracer["ioctl"]>[1], fd: number, number: number, argument: number): number {
		try {
			return this.#inner?.ioctl(file, caller, fd, number, argument) ?? file.ioctl(caller, number, argument);
		} catch (error) {
			this.#record(caller, file.path, printNumber({ command: commandOf(file.path, number), number }), error);
			throw error;
		}
	}

	opened(thread: number, path: string, flags: number, result: number | Errno): void {
		this.#inner?.opened(thread, path, flags, result);
		if (result instanceof Errno) this.#record({ thread }, path, "open", result);
	}

	transferred(event: TransferEvent): void {
		this.#inner?.transferred(event);
		if (event.result instanceof Errno) this.#record(event, event.path, event.call, event.result);
	}

	#record({ thread }: Pick<Caller, "thread">, path: string, call: string, error: unknown): void {
		// The supervisor answers EIO to what isn't an Errno, and says more on stderr.
		const { code, reason } = error instanceof Errno ? error : { code: "EIO", reason: "a bug in ioasis" };
		this.#report.failure({ thread, path, call, errno: code, reason });
	}
}
