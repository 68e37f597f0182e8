// One ioctl as a line that people can read and grep, in the manner of strace(1). The names, and whether a value is an
// address, flags or an id, come from the descriptions in uapi/.
// What the caller gave stands before the result, what we answered after it, and the reason of an error below it. What somebody else
// has named, a file for one, is printable().

import { Errno, hex } from "../uapi/errno.js";
import { flagsIn, type Names, nameIn } from "../uapi/field.js";
import { hints } from "../uapi/hints.js";
import { ioctlsOf } from "../uapi/ioctl-names.js";
import { type AnyCommand, type AnyStruct, ioctlNumber, isSizeField, type PlainCommand } from "../uapi/struct.js";
import { type AnyView, type FieldValue, type PlacedField, readField } from "../uapi/view.js";
import type {
	CallEvent,
	DeviceEvent,
	DmaEvent,
	InterruptEvent,
	OpenEvent,
	RegisterAccess,
	Timing,
	TraceEvent,
	TransferEvent,
} from "./event.js";
import { printable } from "./printable.js";

/** How the parts of an error stand out: on a terminal by colours. */
export interface Style {
	errno(text: string): string;
	reason(text: string): string;
	advice(text: string): string;
}

const asItIs = (text: string) => text;
export const plain: Style = { errno: asItIs, reason: asItIs, advice: asItIs };

/** Whatever happened, with the time before it and how long it took after it, if that is wanted. */
export function printEvent(event: TraceEvent, style: Style, timing?: Timing): string {
	const text = printUntimed(event, style);
	if (timing === undefined) return text;
	const [line, ...below] = text.split("\n");
	const took = timing.seconds === undefined ? "" : ` <${timing.seconds.toFixed(6)}>`;
	return [`${printTime(timing.at)} ${line}${took}`, ...below].join("\n");
}

function printUntimed({ kind, event }: TraceEvent, style: Style): string {
	switch (kind) {
		case "ioctl":
			return printCall(event, style);
		case "open":
			return printOpen(event, style);
		case "transfer":
			return printTransfer(event, style);
		case "dma":
			return printDma(event);
		case "interrupt":
			return printInterrupt(event);
		case "device":
			return printDevice(event);
		case "note":
			return printRemark(event.message);
	}
}

/** The time of day here, with microseconds: "07:12:01.000123". */
function printTime(at: number): string {
	const date = new Date(at);
	const two = (value: number) => String(value).padStart(2, "0");
	const micros = Math.floor((at % 1000) * 1000);
	return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(micros).padStart(6, "0")}`;
}

/** The event as one line; below an error its reason, and what to do about it. No newline at the end. */
export function printCall(event: CallEvent, style: Style = plain): string {
	const call = [`${event.fd}<${printable(event.path)}>`, printNumber(event), ...printArgument(event)].join(", ");
	return `${event.thread} ioctl(${call}) = ${printResult(event, style)}`;
}

/** The same of an open. */
export function printOpen({ thread, path, flags, result }: OpenEvent, style: Style = plain): string {
	const answer = result instanceof Errno ? printError(result, style) : result;
	return `${thread} open("${printable(path)}", ${openFlagsOf(flags).join("|")}) = ${answer}`;
}

/** The same of a read, a write or a mapping. */
export function printTransfer(
	{ thread, call, fd, path, arguments: given, result, access }: TransferEvent,
	style: Style = plain,
): string {
	const [before, after] = access === undefined ? [given.map(hex), ""] : printAccess(access, result);
	const answer = result instanceof Errno ? printError(result, style) : `${result ?? "?"}${after}`;
	return `${thread} ${call}(${[`${fd}<${printable(path)}>`, ...before].join(", ")}) = ${answer}`;
}

/** What stands before what to do about an error. */
export const ADVICE_MARK = "     -> ";

function printError({ code, reason, hint }: Errno, style: Style, outputs = ""): string {
	const advice = hint === undefined ? "" : `\n${style.advice(`${ADVICE_MARK}${hints[hint].advice}`)}`;
	return `${style.errno(`-1 ${code}`)}${outputs}\n     ${style.reason(printable(reason))}${advice}`;
}

/** @returns what stands before the result, and what after it */
function printAccess(access: RegisterAccess, result: TransferEvent["result"]): [before: string[], after: string] {
	const { place, length, isWrite, bytes } = access;
	const value = bytes === undefined ? [] : [printValueOf(bytes)];
	if (isWrite) return [[place, String(length), ...value], ""];
	const after = typeof result === "number" && value.length > 0 ? ` {${value}}` : "";
	return [[place, String(length)], after];
}

/** Little-endian, as on the bus. */
export function printValueOf(bytes: Uint8Array): string {
	return `0x${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0"))
		.reverse()
		.join("")}`;
}

/** What a device has done: a line that stands before that of the call which had it do so. */
export function printDma({ kind, message }: DmaEvent): string {
	return `dma ${kind}: ${printable(message)}`;
}

export function printDevice({ device, message }: DeviceEvent): string {
	return `device: ${printable(`${device}: ${message}`)}`;
}

/** What the answer to a call doesn't say: a line that stands before that of the call. */
export function printRemark(text: string): string {
	return `note: ${printable(text)}`;
}

export function printInterrupt({ device, message }: InterruptEvent): string {
	return `interrupt: ${printable(`${device}: ${message}`)}`;
}

/** Of open(2), those that make a difference to a device. asm-generic/fcntl.h: the same on x86-64 and arm64. */
const accessModes = ["O_RDONLY", "O_WRONLY", "O_RDWR"];
const openFlags: Names = { O_NONBLOCK: 0o4000, O_CLOEXEC: 0o2000000 };

export function openFlagsOf(flags: number): string[] {
	const mode = accessModes[flags & 3] ?? hex(flags & 3);
	const others = Object.keys(openFlags).filter((name) => (flags & openFlags[name]) !== 0);
	return [mode, ...others];
}

/** What is called: the command's name. Where it means nothing on that file, what it is called on others, or its number. */
export function printNumber({ command, number }: Pick<CallEvent, "command" | "number">): string {
	if (command) return command.name;
	const names = ioctlsOf(number).map(({ name }) => name);
	if (names.length > 0) return names.join(" or ");
	const nr = number & 0xff;
	return number === ioctlNumber(nr) ? `_IO(';', ${hex(nr)})` : hex(number);
}

function printArgument(event: CallEvent): string[] {
	const { command, argument, before } = event;
	if (command && "argument" in command) return printPlainArgument(command, argument);
	if (!command || !before) return [printPointer(argument)];
	return [printFields(inputsOf(event))];
}

export function printPlainArgument({ argument: kind }: PlainCommand, argument: number): string[] {
	if (kind === "none") return [];
	if (kind === "pointer to fd" || kind === "pointer to string") return [printPointer(argument)];
	return [nameIn(kind, argument)];
}

function printResult(event: CallEvent, style: Style): string {
	const written = outputsOf(event);
	const outputs = written.length === 0 ? "" : ` ${printFields(written)}`;
	const { result } = event;
	if (result instanceof Errno) return printError(result, style, outputs);
	return `${result}${outputs}`;
}

/** A field of a struct with what it is. */
export interface ShownField {
	readonly field: PlacedField;
	readonly value: FieldValue;
}

/** What the caller gave, as far as it tells the reader something. */
export function inputsOf({ command, before }: CallEvent): ShownField[] {
	if (!command || !("fields" in command) || !before) return [];
	const { fields, view } = look(command, before);
	return fields
		.filter((field) => field.direction !== "out" && isInput(field, view, command))
		.map((field) => ({ field, value: readField(view, field) }));
}

/** Whether a field tells the reader something: fillers do when they aren't zero, a size when it isn't the usual one. */
function isInput(field: PlacedField, view: AnyView, command: AnyCommand): boolean {
	const value = readField(view, field);
	if (isSizeField(field)) return value !== command.size;
	return !field.filler || !isZero(value);
}

/** What we wrote: all fields that are ours to write, and of those that the caller had filled in the ones that changed. */
export function outputsOf({ command, before, after }: CallEvent): ShownField[] {
	if (!command || !("fields" in command) || !before || !after) return [];
	const { fields, view } = look(command, after);
	return fields
		.filter((field) => field.direction === "out" || (field.direction === "inout" && changed(field, before, after)))
		.map((field) => ({ field, value: readField(view, field) }));
}

function changed({ offset, size }: PlacedField, before: Uint8Array, after: Uint8Array): boolean {
	return after.subarray(offset, offset + size).some((byte, index) => byte !== before[offset + index]);
}

/** The fields that some bytes have, and a view to read them with. */
function look(command: AnyCommand, bytes: Uint8Array): { fields: readonly PlacedField[]; view: AnyView } {
	const description = variantIn(command, bytes);
	const view = viewOf(description, bytes);
	return { fields: description.fields.filter((field) => field.offset + field.size <= bytes.length), view };
}

/** What the bytes are of a command whose fields depend on `op`; for an unknown op only what all variants have. */
function variantIn(command: AnyCommand, bytes: Uint8Array): AnyStruct {
	const op = command.fields.find((field) => field.name === "op");
	if (!command.variantOf || !op) return command;
	return command.variantOf(Number(readField(viewOf(command, bytes), op))) ?? command;
}

const views = new WeakMap<AnyStruct, AnyView>();

/** The trace's own view of a struct, because the handlers' may be in use. The next call for the same struct reuses it. */
function viewOf(description: AnyStruct, bytes: Uint8Array): AnyView {
	const view = views.get(description) ?? description.newView();
	views.set(description, view);
	view.bytes.fill(0).set(bytes.subarray(0, description.size));
	return view;
}

function printFields(shown: readonly ShownField[]): string {
	return `{${shown.map(({ field, value }) => `${field.cName}=${printValue(field, value)}`).join(", ")}}`;
}

function printValue(field: PlacedField, value: FieldValue): string {
	if (typeof value !== "object") return printOne(field, value);
	return `[${Array.from<number | bigint, string>(value, (element) => printOne(field, element)).join(", ")}]`;
}

function printOne(field: PlacedField, value: number | bigint): string {
	if (field.scalar === "pointer") return printPointer(Number(value));
	if (field.print === "flags") return flagsIn(field.names, value);
	if (field.print === "enum") return nameIn(field.names, Number(value));
	if (field.print === "hexadecimal" || value > Number.MAX_SAFE_INTEGER) return hex(value);
	return String(value);
}

function printPointer(address: number): string {
	return address === 0 ? "NULL" : hex(address);
}

function isZero(value: FieldValue): boolean {
	if (typeof value !== "object") return Number(value) === 0;
	return Array.from<number | bigint>(value).every((element) => Number(element) === 0);
}
