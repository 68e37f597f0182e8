// Writes the calls that fail into the report, and the place that was made to fail.

import type { FailNth } from "../faults/fail-nth.js";
import type { Caller } from "../files/caller.js";
import type { OpenFile } from "../files/open-file.js";
import type { Tracer } from "../host/supervisor.js";
import { commandOf } from "../trace/commands.js";
import type { TransferEvent } from "../trace/event.js";
import { printNumber } from "../trace/print.js";
import { Errno } from "../uapi/errno.js";
import { Later } from "../uapi/later.js";
import type { ReportFile } from "./report-file.js";

export class FailureRecorder implements Tracer {
	readonly #report: ReportFile;
	readonly #inner: Tracer | undefined;
	/** What is to fail, until it has. */
	#plan: FailNth | undefined;
	/** Whether it has, and no call was made since. */
	#hasJustFailed = false;

	/** @param inner another one who wants to know of each call */
	constructor(report: ReportFile, inner: Tracer | undefined, plan: FailNth | undefined) {
		this.#report = report;
		this.#inner = inner;
		this.#plan = plan;
	}

	get isToldOfAll(): boolean {
		return this.#inner?.isToldOfAll ?? false;
	}

	received(): void {
		this.#inner?.received?.();
	}

	ioctl(file: OpenFile, caller: Parameters<Tracer["ioctl"]>[1], fd: number, number: number, argument: number): number {
		const name = () => printNumber({ command: commandOf(file.path, number), number });
		try {
			const result = this.#inner?.ioctl(file, caller, fd, number, argument) ?? file.ioctl(caller, number, argument);
			this.#recordFault(caller, file.path, name, result);
			return result;
		} catch (error) {
			if (error instanceof Later) throw error; // It is told of when it is answered.
			this.#recordFault(caller, file.path, name, error);
			this.#record(caller, file.path, name(), error);
			throw error;
		}
	}

	opened(thread: number, path: string, flags: number, result: number | Errno): void {
		this.#inner?.opened(thread, path, flags, result);
		this.#recordFault({ thread }, path, () => "open", result);
		if (result instanceof Errno) this.#record({ thread }, path, "open", result);
	}

	/** Programs look for many a file in /sys that may be there or not; a device that isn't is a failure. */
	missed(thread: number, path: string, flags: number, error: Errno): void {
		this.#inner?.missed(thread, path, flags, error);
		if (path.startsWith("/dev/")) this.#record({ thread }, path, "open", error);
	}

	transferred(event: TransferEvent): void {
		this.#inner?.transferred(event);
		this.#recordFault(event, event.path, () => event.call, event.result);
		if (event.result instanceof Errno) this.#record(event, event.path, event.call, event.result);
	}

	#recordFault({ thread }: Pick<Caller, "thread">, path: string, call: () => string, result: unknown): void {
		if (this.#hasJustFailed) this.#report.wentOn({ thread, path, call: call() });
		this.#hasJustFailed = false;
		const failed = this.#plan?.failed;
		if (failed === undefined) return;
		this.#plan = undefined;
		this.#hasJustFailed = true;
		const errno = result instanceof Errno ? { errno: result.code } : {};
		this.#report.fault({ thread, path, call: call(), what: failed.what, ...errno });
	}

	#record({ thread }: Pick<Caller, "thread">, path: string, call: string, error: unknown): void {
		// The supervisor answers EIO to what isn't an Errno, and says more on stderr.
		const { code, reason } = error instanceof Errno ? error : { code: "EIO", reason: "a bug in ioasis" };
		this.#report.failure({ thread, path, call, errno: code, reason });
	}
}
