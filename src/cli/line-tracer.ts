// --trace: a line for each call, written as it happens; and --trace-totals, which counts them.

import { styleText } from "node:util";
import type { Caller } from "../files/caller.js";
import type { OpenFile } from "../files/open-file.js";
import { sayOnStderr } from "../host/say.js";
import type { Tracer } from "../host/supervisor.js";
import type { Machine } from "../machine/machine.js";
import type { Watcher } from "../machine/watch.js";
import { commandOf } from "../trace/commands.js";
import type { DeviceEvent, DmaEvent, InterruptEvent, TraceEvent, TransferEvent } from "../trace/event.js";
import { TraceFilter } from "../trace/filter.js";
import { jsonOf } from "../trace/json.js";
import { plain, printEvent, type Style } from "../trace/print.js";
import { Totals } from "../trace/totals.js";
import type { Errno } from "../uapi/errno.js";
import { Errno as ErrnoClass } from "../uapi/errno.js";
import { Later } from "../uapi/later.js";
import { LineFile } from "./line-file.js";
import type { TraceSettings } from "./trace-settings.js";

const coloured: Style = {
	errno: (text) => styleText(["bold", "red"], text, { validateStream: false }),
	reason: (text) => styleText("yellow", text, { validateStream: false }),
	advice: (text) => styleText("dim", text, { validateStream: false }),
};

export class LineTracer implements Tracer, Watcher {
	readonly isToldOfAll = true;
	readonly #lines: LineFile | undefined;
	readonly #filter: TraceFilter | undefined;
	readonly #totals: Totals | undefined;
	readonly #isJson: boolean;
	readonly #hasTimes: boolean;
	readonly #style: Style;
	/** When the call came that is answered now, in milliseconds as performance.now() counts them. */
	#received = 0;

	constructor(machine: Machine, { fd, filter, isJson, hasTimes, hasTotals, hasColours }: TraceSettings) {
		this.#lines = fd === undefined ? undefined : new LineFile(fd, "trace");
		const addressOf = (name: string) => machine.vfioDevices.find(({ cdevName }) => cdevName === name)?.name ?? name;
		this.#filter = filter === undefined ? undefined : new TraceFilter(filter, addressOf);
		this.#totals = hasTotals ? new Totals() : undefined;
		this.#isJson = isJson;
		this.#hasTimes = hasTimes;
		this.#style = hasColours ? coloured : plain;
	}

	received(): void {
		this.#received = performance.now();
	}

	ioctl(file: OpenFile, caller: Caller, fd: number, number: number, argument: number): number {
		const started = performance.now();
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
		const event = { thread: caller.thread, fd, path: file.path, number, argument, command, before, after, result };
		this.#tell({ kind: "ioctl", event }, started);
		if (thrown !== undefined) throw thrown;
		return result as number;
	}

	opened(thread: number, path: string, flags: number, result: number | Errno): void {
		this.#tell({ kind: "open", event: { thread, path, flags, result } }, this.#received);
	}

	missed(thread: number, path: string, flags: number, error: Errno): void {
		this.opened(thread, path, flags, error);
	}

	transferred(event: TransferEvent): void {
		this.#tell({ kind: "transfer", event }, this.#received);
	}

	/** Prints the totals. */
	end(): void {
		if (this.#totals !== undefined) sayOnStderr(...this.#totals.inLines());
	}

	// What no call's answer says: what goes wrong with devices' DMA, their interrupts, what they and the engine say themselves.

	dma(event: DmaEvent): void {
		this.#tell({ kind: "dma", event });
	}

	interrupt(event: InterruptEvent): void {
		this.#tell({ kind: "interrupt", event });
	}

	device(event: DeviceEvent): void {
		this.#tell({ kind: "device", event });
	}

	remark(message: string): void {
		this.#tell({ kind: "note", event: { message } });
	}

	/** @param started when it came, of a call */
	#tell(event: TraceEvent, started?: number): void {
		if (this.#filter?.wants(event) === false) return;
		const now = performance.now();
		const seconds = started === undefined ? undefined : (now - started) / 1000;
		if (seconds !== undefined) this.#totals?.add(event, seconds);
		if (this.#lines === undefined) return;
		const timing = { at: performance.timeOrigin + now, seconds };
		const line = this.#isJson
			? jsonOf(event, timing)
			: printEvent(event, this.#style, this.#hasTimes ? timing : undefined);
		this.#lines.write(line);
	}
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
