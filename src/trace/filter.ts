// --trace-filter: which lines of a trace are wanted.
//
// A list with commas. Words of one kind are alternatives, and each kind that is there must agree:
//   errors             what failed: calls, and what went wrong with devices
//   IOMMU_IOAS_*       calls by name, the prefix may be left out; !NAME leaves them out; also open, pread64, dma, interrupt, device, note
//   device=vfio0       what is about a device, also by its PCI address: its file, and calls that name the id that it was bound to
//   object=3           calls that name an object's id

import { Errno } from "../uapi/errno.js";
import { VfioDeviceBindIommufd } from "../uapi/vfio.js";
import type { FieldValue } from "../uapi/view.js";
import type { CallEvent, TraceEvent } from "./event.js";
import { inputsOf, outputsOf, printNumber, type ShownField } from "./print.js";

const DEVICE = /^(?:(?:noiommu-)?vfio\d+|[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7])$/;
const NAME = /^[\w*?]+$/;
const PREFIX = /^(?:IOMMU|VFIO)_/;
const PATH_OF_DEVICE = /^(?:\/dev\/vfio\/devices\/(.*)|\[vfio-device (.*)\])$/;

/** What is wrong with a filter, in words. */
export class FilterError extends Error {}

/** The PCI address of a device of VFIO's, by its name; any other name is its own. */
export type AddressOf = (name: string) => string;

export class TraceFilter {
	readonly #errorsOnly: boolean;
	readonly #wanted: readonly RegExp[];
	readonly #unwanted: readonly RegExp[];
	readonly #devices: readonly string[];
	readonly #objects: readonly number[];
	readonly #addressOf: AddressOf;
	/** What the wanted devices are called by those that they are bound to. */
	readonly #boundIds = new Set<number>();

	/** @throws FilterError */
	constructor(text: string, addressOf: AddressOf = (name) => name) {
		const words = text.split(",").map((word) => word.trim());
		const after = (start: string) =>
			words.filter((word) => word.startsWith(start)).map((word) => word.slice(start.length));
		this.#devices = after("device=").map(checkDevice);
		this.#objects = after("object=").map(objectId);
		this.#unwanted = after("!").map(pattern);
		this.#errorsOnly = words.includes("errors");
		this.#wanted = words.filter((word) => word !== "errors" && !/^(?:device=|object=|!)/.test(word)).map(pattern);
		this.#addressOf = addressOf;
	}

	wants(event: TraceEvent): boolean {
		this.#learn(event);
		if (this.#errorsOnly && !isFailure(event)) return false;
		const names = namesOf(event);
		if (this.#wanted.length > 0 && !names.some((name) => this.#wanted.some((wanted) => wanted.test(name))))
			return false;
		if (names.some((name) => this.#unwanted.some((unwanted) => unwanted.test(name)))) return false;
		if (this.#devices.length > 0 && !this.#isAboutDevice(event)) return false;
		return this.#objects.length === 0 || idsIn(event, isId).some((id) => this.#objects.includes(id));
	}

	/** Also of what isn't wanted itself. */
	#learn({ kind, event }: TraceEvent): void {
		if (kind !== "ioctl" || this.#devices.length === 0 || event.command !== VfioDeviceBindIommufd) return;
		if (!this.#isWanted(deviceAt(event.path)) || event.result instanceof Errno) return;
		for (const { field, value } of outputsOf(event)) if (field.name === "outDevid") this.#boundIds.add(Number(value));
	}

	#isAboutDevice(line: TraceEvent): boolean {
		const { kind, event } = line;
		if (kind === "note") return false;
		if ("device" in event) return this.#isWanted(event.device);
		return this.#isWanted(deviceAt(event.path)) || idsIn(line, isDeviceId).some((id) => this.#boundIds.has(id));
	}

	#isWanted(name: string | undefined): boolean {
		if (name === undefined) return false;
		const address = this.#addressOf(name);
		return this.#devices.some((wanted) => this.#addressOf(wanted) === address);
	}
}

/** What a line is called by a filter. */
export function namesOf({ kind, event }: TraceEvent): string[] {
	if (kind === "ioctl") return printNumber(event).split(" or ");
	return [kind === "transfer" ? event.call : kind];
}

export function isFailure({ kind, event }: TraceEvent): boolean {
	if ("result" in event) return event.result instanceof Errno;
	return kind !== "interrupt";
}

function deviceAt(path: string): string | undefined {
	const [, name, address] = path.match(PATH_OF_DEVICE) ?? [];
	return name ?? address;
}

function isId({ field: { cName, print } }: ShownField): boolean {
	return print === "decimal" && /(?:^|_)(?:id|devid)$/.test(cName);
}

function isDeviceId({ field: { cName } }: ShownField): boolean {
	return cName === "dev_id";
}

function idsIn({ kind, event }: TraceEvent, isWanted: (shown: ShownField) => boolean): number[] {
	if (kind !== "ioctl") return [];
	return fieldsOf(event)
		.filter(isWanted)
		.flatMap(({ value }) => numbersIn(value));
}

function fieldsOf(event: CallEvent): ShownField[] {
	return [...inputsOf(event), ...outputsOf(event)];
}

function numbersIn(value: FieldValue): number[] {
	return typeof value === "object" ? Array.from<number | bigint, number>(value, Number) : [Number(value)];
}

function checkDevice(name: string): string {
	if (DEVICE.test(name)) return name;
	throw new FilterError(`device=${name}: a device is like vfio0 or 0000:00:02.0`);
}

function objectId(text: string): number {
	if (/^\d{1,10}$/.test(text)) return Number(text);
	throw new FilterError(`object=${text}: an object's id is a number, as IOMMU_IOAS_ALLOC returns it`);
}

/** A name in which * and ? stand for others. */
function pattern(word: string): RegExp {
	if (!NAME.test(word)) throw new FilterError(`"${word}" is neither a call's name, errors, device=NAME nor object=ID`);
	const name = word.replaceAll("*", ".*").replaceAll("?", ".");
	return new RegExp(PREFIX.test(word.toUpperCase()) ? `^${name}$` : `^(?:(?:IOMMU|VFIO)_)?${name}$`, "i");
}
