// --trace: a line for each call, written as it happens; and --trace-totals, which counts them.

import type { Caller } from "../files/caller.js";
import type { OpenFile } from "../files/open-file.js";
import { sayOnStderr } from "../host/say.js";
import type { Tracer } from "../host/supervisor.js";
import type { Machine } from "../machine/machine.js";
import type { Watcher } from "../machine/watch.js";
import { WatchedStruct } from "../memory/watched-struct.js";
import { commandOf } from "../trace/commands.js";
import type { DeviceEvent, DmaEvent, InterruptEvent, TraceEvent, TransferEvent } from "../trace/event.js";
import { TraceFilter } from "../trace/filter.js";
import { Totals } from "../trace/totals.js";
import { Errno } from "../uapi/errno.js";
import { Later } from "../uapi/later.js";
import type { TraceSettings } from "./trace-settings.js";
import { sinkOf, type TraceSink } from "./trace-sink.js";

export class LineTracer implements Tracer, Watcher {
	readonly isToldOfAll = true;
	/** Where the lines go; undefined where only totals are wanted. */
	readonly sink: TraceSink | undefined;
	readonly #filter: TraceFilter | undefined;
	readonly #totals: Totals | undefined;
	readonly #structs: WatchedStruct[] = [];
	/** When the call came that is answered now, in milliseconds as performance.now() counts them. */
	#received = 0;

	constructor(machine: Machine, settings: TraceSettings) {
		const { filter, hasTotals } = settings;
		this.sink = sinkOf(settings);
		const addressOf = (name: string) => machine.vfioDevices.find(({ cdevName }) => cdevName === name)?.name ?? name;
		this.#filter = filter === undefined ? undefined : new TraceFilter(filter, addressOf);
		this.#totals = hasTotals ? new Totals() : undefined;
	}

	received(): void {
		this.#received = performance.now();
	}

	ioctl(file: OpenFile, caller: Caller, fd: number, number: number, argument: number): number {
		const started = performance.now();
		const { memory, thread } = caller;
		const { path } = file;
		const command = commandOf(path, number);
		const size = command !== undefined && "size" in command ? command.size : 0;
		// Another call may be answered in the middle of this one.
		const struct = this.#structs.pop() ?? new WatchedStruct();
		struct.begin(memory, argument, size);
		const outer = memory.watcher;
		memory.watcher = struct;
		let result: number | Errno;
		try {
			result = file.ioctl(caller, number, argument);
		} catch (error) {
			if (!(error instanceof Errno)) throw error;
			result = error;
		} finally {
			memory.watcher = outer;
			struct.end();
			this.#structs.push(struct);
		}
		// What the engine didn't come to read nobody has written, either.
		const before = struct.before ?? read(caller, argument, size);
		// After an error nothing was written back, as a rule; what has changed all the same is shown.
		const after = struct.after ?? (typeof result === "number" ? before : undefined);
		this.#tell(
			{ kind: "ioctl", event: { thread, fd, path, number, argument, command, before, after, result } },
			started,
		);
		if (typeof result !== "number") throw result;
		return result;
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
		this.sink?.event(event, { at: performance.timeOrigin + now, seconds });
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
