// One line of a trace as JSON, for programs: the same that print.ts says, in fields. docs/cli.md describes them.

import { Errno, hex } from "../uapi/errno.js";
import { flagsIn, nameIn } from "../uapi/field.js";
import { hints } from "../uapi/hints.js";
import type { FieldValue, PlacedField } from "../uapi/view.js";
import type { CallEvent, OpenEvent, Timing, TraceEvent, TransferEvent } from "./event.js";
import { inputsOf, openFlagsOf, outputsOf, printNumber, printValueOf, type ShownField } from "./print.js";
import { printableJson } from "./printable.js";

/** No newline at the end. */
export function jsonOf(event: TraceEvent, timing: Timing): string {
	const micros = String(Math.floor((timing.at * 1000) % 1000)).padStart(3, "0");
	const time = new Date(timing.at).toISOString().replace("Z", `${micros}Z`);
	return printableJson({ time, ...contentOf(event), seconds: timing.seconds && Number(timing.seconds.toFixed(7)) });
}

function contentOf({ kind, event }: TraceEvent): object {
	switch (kind) {
		case "ioctl":
			return ofIoctl(event);
		case "open":
			return ofOpen(event);
		case "transfer":
			return ofTransfer(event);
		case "dma": {
			const { kind: fault, device, pasid, iova, message } = event;
			return { event: "dma", kind: fault, device, pasid, iova: hex(iova), message };
		}
		default:
			return { event: kind, ...event };
	}
}

function ofIoctl(event: CallEvent): object {
	const { thread, fd, path, argument, command, before, result } = event;
	const hasStruct = command !== undefined && "fields" in command && before !== undefined;
	const given = hasStruct ? { in: fieldsOf(inputsOf(event)) } : { argument: hex(argument) };
	const written = outputsOf(event);
	const out = written.length === 0 ? {} : { out: fieldsOf(written) };
	return {
		event: "call",
		thread,
		call: "ioctl",
		fd,
		path,
		command: printNumber(event),
		...given,
		...answer(result),
		...out,
	};
}

function ofOpen({ thread, path, flags, result }: OpenEvent): object {
	return { event: "call", thread, call: "open", path, flags: openFlagsOf(flags), ...answer(result) };
}

function ofTransfer({ thread, call, fd, path, arguments: given, result, access }: TransferEvent): object {
	const common = { event: "call", thread, call, fd, path };
	if (access === undefined) return { ...common, arguments: given.map(hex), ...answer(result) };
	const { place, length, bytes } = access;
	const value = bytes === undefined ? {} : { value: printValueOf(bytes) };
	return { ...common, place, length, ...value, ...answer(result) };
}

function answer(result: number | Errno | undefined): object {
	if (!(result instanceof Errno)) return { result };
	const { code, reason, hint } = result;
	return { errno: code, reason, ...(hint && { hint, advice: hints[hint].advice }) };
}

function fieldsOf(shown: readonly ShownField[]): Record<string, unknown> {
	return Object.fromEntries(shown.map(({ field, value }) => [field.cName, asJson(field, value)]));
}

function asJson(field: PlacedField, value: FieldValue): unknown {
	if (typeof value !== "object") return one(field, value);
	return Array.from<number | bigint, unknown>(value, (element) => one(field, element));
}

/** JSON's numbers lose digits above 2^53: what may be an address or a register is a string. */
function one(field: PlacedField, value: number | bigint): unknown {
	if (field.print === "flags") {
		const names = flagsIn(field.names, value);
		return names === "0" ? [] : names.split("|");
	}
	if (field.print === "enum") return nameIn(field.names, Number(value));
	if (field.print === "hexadecimal" || field.scalar === "pointer" || value > Number.MAX_SAFE_INTEGER) return hex(value);
	return Number(value);
}
