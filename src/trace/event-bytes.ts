// An event of a trace as bytes, on its way to the thread that prints it. Both sides are of the same build, so nothing here is checked.

import { Errno, type ErrnoCode, errnoNumbers } from "../uapi/errno.js";
import type { HintName } from "../uapi/hints.js";
import { ByteReader, ByteWriter, TextsReceived, TextsSent } from "./bytes.js";
import { commandOf } from "./commands.js";
import type { CallEvent, RegisterAccess, Timing, TraceEvent, TransferEvent } from "./event.js";

/** What is printed: an event with its time, or text that somebody else has made. */
export type Printed = { readonly event: TraceEvent; readonly timing: Timing } | { readonly text: string };

const TEXT = 0;
const KINDS = ["ioctl", "open", "transfer", "dma", "interrupt", "device", "note"] as const;
/** In the first byte, beside the kind counted from 1. */
const HAS_SECONDS = 0x80;

/** What result there is. */
const NUMBER = 0;
const ERROR = 1;
const NO_RESULT = 2;

const codes = Object.keys(errnoNumbers) as ErrnoCode[];
const codeNumbers = new Map(codes.map((code, number) => [code, number]));

export class EventWriter {
	readonly #bytes = new ByteWriter();
	readonly #texts = new TextsSent();
	readonly #seconds = new Float64Array(2);
	readonly #secondsBytes = new Uint8Array(this.#seconds.buffer);
	readonly #put: (bytes: Uint8Array, length: number) => void;

	/** @param put gets each event's bytes, the first `length`, which are ours again afterwards */
	constructor(put: (bytes: Uint8Array, length: number) => void) {
		this.#put = put;
	}

	/** Lines that come among the events. */
	text(text: string): void {
		const bytes = this.#bytes;
		bytes.clear();
		bytes.u8(TEXT);
		bytes.text(text);
		this.#put(bytes.bytes, bytes.length);
	}

	event({ kind, event }: TraceEvent, { at, seconds }: Timing): void {
		const bytes = this.#bytes;
		bytes.clear();
		bytes.u8((KINDS.indexOf(kind) + 1) | (seconds === undefined ? 0 : HAS_SECONDS));
		this.#seconds[0] = at;
		this.#seconds[1] = seconds ?? 0;
		bytes.raw(this.#secondsBytes);
		switch (kind) {
			case "ioctl":
				this.#ioctl(event);
				break;
			case "open":
				bytes.number(event.thread);
				bytes.text(event.path);
				bytes.number(event.flags);
				this.#result(event.result);
				break;
			case "transfer":
				this.#transfer(event);
				break;
			case "dma":
				bytes.u8(event.kind === "stale" ? 1 : 0);
				bytes.text(event.device);
				bytes.number(event.pasid);
				bytes.u64(event.iova);
				bytes.text(event.message);
				break;
			case "interrupt":
			case "device":
				bytes.text(event.device);
				bytes.text(event.message);
				break;
			default:
				bytes.text(event.message);
		}
		this.#put(bytes.bytes, bytes.length);
	}

	#ioctl({ thread, fd, path, number, argument, before, after, result }: CallEvent): void {
		const bytes = this.#bytes;
		bytes.number(thread);
		bytes.number(fd);
		this.#texts.write(bytes, path);
		bytes.number(number);
		bytes.number(argument);
		this.#optional(before);
		this.#optional(after);
		this.#result(result);
	}

	#transfer({ thread, call, fd, path, arguments: given, result, access }: TransferEvent): void {
		const bytes = this.#bytes;
		bytes.number(thread);
		this.#texts.write(bytes, call);
		// Of what is written to /sys there is none.
		bytes.signed(fd);
		this.#texts.write(bytes, path);
		bytes.number(given.length);
		for (const one of given) bytes.number(one);
		this.#result(result);
		bytes.u8(access === undefined ? 0 : 1);
		if (access === undefined) return;
		bytes.text(access.place);
		bytes.number(access.length);
		bytes.u8(access.isWrite ? 1 : 0);
		this.#optional(access.bytes);
	}

	#optional(some: Uint8Array | undefined): void {
		this.#bytes.u8(some === undefined ? 0 : 1);
		if (some !== undefined) this.#bytes.block(some);
	}

	#result(result: number | Errno | undefined): void {
		const bytes = this.#bytes;
		if (typeof result === "number") {
			bytes.u8(NUMBER);
			bytes.signed(result);
		} else if (result === undefined) bytes.u8(NO_RESULT);
		else {
			bytes.u8(ERROR);
			bytes.number(codeNumbers.get(result.code)!);
			bytes.text(result.reason);
			bytes.text(result.hint ?? "");
		}
	}
}

export class EventReader {
	readonly #texts = new TextsReceived();
	#bytes!: ByteReader;

	/** @param frame what EventWriter put. What is read of it is good as long as the frame is */
	read(frame: Uint8Array): Printed {
		const bytes = new ByteReader(frame);
		this.#bytes = bytes;
		const first = bytes.u8();
		if (first === TEXT) return { text: bytes.text() };
		// Not aligned in the frame.
		const [at, seconds] = new Float64Array(bytes.raw(16).slice().buffer);
		const timing = { at, seconds: (first & HAS_SECONDS) === 0 ? undefined : seconds };
		return { event: this.#event(KINDS[(first & ~HAS_SECONDS) - 1]), timing };
	}

	#event(kind: TraceEvent["kind"]): TraceEvent {
		const bytes = this.#bytes;
		switch (kind) {
			case "ioctl":
				return { kind, event: this.#ioctl() };
			case "open": {
				const [thread, path, flags] = [bytes.number(), bytes.text(), bytes.number()];
				return { kind, event: { thread, path, flags, result: this.#result()! } };
			}
			case "transfer":
				return { kind, event: this.#transfer() };
			case "dma": {
				const fault = bytes.u8() === 1 ? "stale" : "fault";
				const [device, pasid, iova] = [bytes.text(), bytes.number(), bytes.u64()];
				return { kind, event: { kind: fault, device, pasid, iova, message: bytes.text() } };
			}
			case "interrupt":
			case "device": {
				const device = bytes.text();
				return { kind, event: { device, message: bytes.text() } };
			}
			default:
				return { kind, event: { message: bytes.text() } };
		}
	}

	#ioctl(): CallEvent {
		const bytes = this.#bytes;
		const [thread, fd, path] = [bytes.number(), bytes.number(), this.#texts.read(bytes)];
		const [number, argument] = [bytes.number(), bytes.number()];
		const [before, after] = [this.#optional(), this.#optional()];
		const command = commandOf(path, number);
		return { thread, fd, path, number, argument, command, before, after, result: this.#result()! };
	}

	#transfer(): TransferEvent {
		const bytes = this.#bytes;
		const [thread, call, fd, path] = [bytes.number(), this.#texts.read(bytes), bytes.signed(), this.#texts.read(bytes)];
		const given = Array.from({ length: bytes.number() }, () => bytes.number());
		const result = this.#result();
		const event = { thread, call, fd, path, arguments: given, result };
		return bytes.u8() === 0 ? event : { ...event, access: this.#access() };
	}

	#access(): RegisterAccess {
		const bytes = this.#bytes;
		const [place, length, isWrite] = [bytes.text(), bytes.number(), bytes.u8() === 1];
		return { place, length, isWrite, bytes: this.#optional() };
	}

	#optional(): Uint8Array | undefined {
		return this.#bytes.u8() === 0 ? undefined : this.#bytes.block();
	}

	#result(): number | Errno | undefined {
		const bytes = this.#bytes;
		const kind = bytes.u8();
		if (kind === NO_RESULT) return undefined;
		if (kind === NUMBER) return bytes.signed();
		const [code, reason, hint] = [codes[bytes.number()], bytes.text(), bytes.text()];
		return Errno.again({ code, reason, hint: hint === "" ? undefined : (hint as HintName) });
	}
}
