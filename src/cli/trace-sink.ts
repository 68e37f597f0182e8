// Where a trace goes: to a line as soon as it happens, where somebody watches, or to the thread that prints it into a file.

import { styleText } from "node:util";
import { RingWriter } from "../host/writing/ring.js";
import type { Timing, TraceEvent } from "../trace/event.js";
import { EventReader, EventWriter } from "../trace/event-bytes.js";
import { jsonOf } from "../trace/json.js";
import { plain, printEvent, type Style } from "../trace/print.js";
import { LineFile } from "./line-file.js";
import type { TraceSettings } from "./trace-settings.js";

export interface TraceSink {
	/** One that is wanted. */
	event(event: TraceEvent, timing: Timing): void;
	/** Lines that stand among the events; what is somebody else's in them is printable(). */
	write(text: string): void;
}

const coloured: Style = {
	errno: (text) => styleText(["bold", "red"], text, { validateStream: false }),
	reason: (text) => styleText("yellow", text, { validateStream: false }),
	advice: (text) => styleText("dim", text, { validateStream: false }),
};

/** How events are printed. */
export type TraceForm = Pick<TraceSettings, "isJson" | "hasTimes" | "hasColours">;

/** @returns undefined where nothing is to be printed */
export function sinkOf(settings: TraceSettings): TraceSink | undefined {
	const { ring, fd } = settings;
	if (ring !== undefined) return toThread(ring);
	return fd === undefined ? undefined : new PrintedTrace(new LineFile(fd, "trace"), settings);
}

function toThread(memory: SharedArrayBuffer): TraceSink {
	const ring = new RingWriter(memory);
	const events = new EventWriter((bytes, length) => ring.put(bytes, length));
	return { event: (event, timing) => events.event(event, timing), write: (text) => events.text(text) };
}

/** The other end of that. */
export class TraceFromRing {
	readonly #reader = new EventReader();
	readonly #printed: PrintedTrace;
	/** Lines that are printed, and not written yet. */
	#lines: string[] = [];

	constructor(fd: number, form: TraceForm) {
		const file = new LineFile(fd, "trace");
		this.flush = () => {
			if (this.#lines.length > 0) file.write(this.#lines.join("\n"));
			this.#lines = [];
		};
		this.#printed = new PrintedTrace({ write: (line) => this.#lines.push(line) }, form);
	}

	frame(bytes: Uint8Array): void {
		const printed = this.#reader.read(bytes);
		if ("text" in printed) this.#printed.write(printed.text);
		else this.#printed.event(printed.event, printed.timing);
	}

	/** Writes what there is. */
	readonly flush: () => void;
}

class PrintedTrace implements TraceSink {
	readonly #lines: Pick<LineFile, "write">;
	readonly #isJson: boolean;
	readonly #hasTimes: boolean;
	readonly #style: Style;

	constructor(lines: Pick<LineFile, "write">, { isJson, hasTimes, hasColours }: TraceForm) {
		this.#lines = lines;
		this.#isJson = isJson;
		this.#hasTimes = hasTimes;
		this.#style = hasColours ? coloured : plain;
	}

	event(event: TraceEvent, timing: Timing): void {
		this.write(
			this.#isJson ? jsonOf(event, timing) : printEvent(event, this.#style, this.#hasTimes ? timing : undefined),
		);
	}

	write(text: string): void {
		this.#lines.write(text);
	}
}
