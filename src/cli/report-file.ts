// --report FILE: what happened in a run, for programs that want to know. docs/matrix.md describes it.
//
// JSON Lines: a line for each call that failed and each DMA that went wrong, written as it happens, so that a run that is killed has told what it knew; then
// one with how it ended. The supervisor's thread writes the former, the main thread the latter, when the other has finished.

import { constants, existsSync, openSync, readFileSync } from "node:fs";
import * as v from "valibot";
import type { DmaErrorKind } from "../machine/dma-checker.js";
import { LineFile } from "./line-file.js";

/** A call that was answered with an error. */
export interface Failure {
	readonly event: "failure";
	readonly thread: number;
	/** What was opened, or what the fd is an open of: "/dev/iommu". */
	readonly path: string;
	/** "open", or the ioctl's name as in the trace: "IOMMU_HWPT_ALLOC". */
	readonly call: string;
	/** "EOPNOTSUPP" */
	readonly errno: string;
	/** The rule that was broken, in words. For people: it changes between versions. */
	readonly reason: string;
}

/** A DMA that went wrong: docs/dma-errors.md. Other programs read it; nothing here does. IOVAs are in hexadecimal. */
export interface DmaFailure {
	readonly event: "dma error";
	readonly kind: DmaErrorKind;
	readonly device: string;
	/** 0 for none. */
	readonly pasid: number;
	readonly isWrite: boolean;
	readonly start: string | undefined;
	/** In bytes. */
	readonly length: number | undefined;
	readonly iova: string;
	readonly reason: string;
	/** "IOAS 2" */
	readonly map: string | undefined;
	readonly below: Ends | undefined;
	readonly above: Ends | undefined;
	readonly mapped: (Ends & CallThatMapped) | undefined;
	readonly unmapped: CallThatMapped | undefined;
}

interface Ends {
	readonly first: string;
	readonly last: string;
}

/** The call by which something was mapped, or unmapped; none of this where it was no call. */
export interface CallThatMapped {
	readonly call?: number;
	readonly thread?: number;
	readonly ioctl?: string;
}

/** A place that was made to fail: --fail-nth. */
export interface Fault {
	readonly event: "fault";
	readonly thread: number;
	readonly path: string;
	/** The call that came by the place, as Failure has it. */
	readonly call: string;
	/** What there was no memory for, or what was not done: "an area". */
	readonly what: string;
	/** What the call answered; absent when it succeeded all the same. */
	readonly errno?: string;
}

/** A call was made after the one that the fault was in: the program went on. */
export interface WentOn {
	readonly event: "went on";
	readonly thread: number;
	readonly path: string;
	readonly call: string;
}

/** How it ended: the last line, and absent when the run was killed or the program couldn't be started. */
export interface End {
	readonly event: "end";
	/** The program's exit code, or the number of the signal that killed it. */
	readonly code?: number;
	readonly signal?: number;
	readonly calls: number;
	/** How often each errno was the answer. */
	readonly errors: Readonly<Record<string, number>>;
	/** What the program left allocated, a line each. */
	readonly leftovers: readonly string[];
	/** Paths of files that are open in processes which don't run under us. */
	readonly stillOpen: readonly string[];
	/** With --fail-nth: how many places were come by. */
	readonly places?: number;
}

const number = v.pipe(v.number(), v.integer(), v.minValue(0));
const place = { thread: number, path: v.string(), call: v.string() };
const event = v.variant("event", [
	v.object({ event: v.literal("failure"), ...place, errno: v.string(), reason: v.string() }),
	v.object({ event: v.literal("fault"), ...place, what: v.string(), errno: v.exactOptional(v.string()) }),
	v.object({ event: v.literal("went on"), ...place }),
	v.object({
		event: v.literal("end"),
		code: v.exactOptional(number),
		signal: v.exactOptional(number),
		calls: number,
		errors: v.record(v.string(), number),
		leftovers: v.array(v.string()),
		stillOpen: v.array(v.string()),
		places: v.exactOptional(number),
	}),
] satisfies v.GenericSchema<unknown, Line>[]);

type Line = Failure | DmaFailure | Fault | WentOn | End;

export interface Report {
	readonly failures: readonly Failure[];
	readonly fault: Fault | undefined;
	/** The first call after it. */
	readonly wentOn: WentOn | undefined;
	readonly end: End | undefined;
}

/** A program that fails for ever must not fill a disk, nor a device. So many calls, and so many DMAs; `errors` counts all calls. */
const MOST_FAILURES = 1000;

export class ReportFile {
	/** Open from its start to its end: the program may put another file where it was. */
	readonly fd: number;
	readonly #lines: LineFile;
	#failures = 0;
	#dmaFailures = 0;

	/** @param fd of a report that start() has begun, perhaps in another thread */
	constructor(fd: number) {
		this.fd = fd;
		this.#lines = new LineFile(fd, "report");
	}

	/** Begins a new one. @throws what node:fs throws where it can't be written */
	static start(path: string): ReportFile {
		const { O_WRONLY, O_CREAT, O_TRUNC, O_APPEND } = constants;
		return new ReportFile(openSync(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0o666));
	}

	failure(failure: Omit<Failure, "event">): void {
		if (++this.#failures <= MOST_FAILURES) this.#write({ event: "failure", ...failure });
	}

	fault(fault: Omit<Fault, "event">): void {
		this.#write({ event: "fault", ...fault });
	}

	wentOn(call: Omit<WentOn, "event">): void {
		this.#write({ event: "went on", ...call });
	}

	dma(failure: DmaFailure): void {
		if (++this.#dmaFailures <= MOST_FAILURES) this.#write(failure);
	}

	end(end: Omit<End, "event">): void {
		this.#write({ event: "end", ...end });
	}

	#write(event: Line): void {
		this.#lines.write(JSON.stringify(event));
	}
}

/** Reads a report; of one that was interrupted, the lines that are complete. The program may have written to it, so what is none is left out. */
export function readReport(path: string): Report {
	const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : [];
	const events = lines.flatMap(eventsIn);
	return {
		failures: events.filter((event) => event.event === "failure"),
		fault: events.find((event) => event.event === "fault"),
		wentOn: events.find((event) => event.event === "went on"),
		end: events.find((event) => event.event === "end"),
	};
}

/** One, or none. */
function eventsIn(line: string): Line[] {
	try {
		return [v.parse(event, JSON.parse(line))];
	} catch {
		return [];
	}
}
