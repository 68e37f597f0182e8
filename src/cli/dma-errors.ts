// --dma-errors: what goes wrong with the DMA of a run is printed as it happens, counted by kind, and may end the run.

import { sayOnStderr } from "../host/say.js";
import type { Cause, Range } from "../iommu/dma/mapping-history.js";
import { DmaChecker, type DmaError, type DmaErrorKind } from "../machine/dma-checker.js";
import type { Machine } from "../machine/machine.js";
import { printable } from "../trace/printable.js";
import { hex } from "../uapi/errno.js";
import { nameOfIoctl } from "../uapi/ioctl-names.js";
import { refuse } from "./complain.js";
import type { ReportFile } from "./report-file.js";

/** What is done about an error besides counting it. */
export interface DmaErrorSettings {
	readonly isPrinted: boolean;
	readonly isJson: boolean;
	/** PROGRAM is killed by SIGABRT at the first one. */
	readonly aborts: boolean;
}

/** So many are printed; all are counted. A device that goes astray does so a million times. */
const MOST_PRINTED = 100;

/**
 * Reads the option's value.
 * @returns what is done, and with which exit code the run ends if there was an error
 */
export function parseDmaErrors(text: string, isJson: boolean): DmaErrorSettings & { readonly exitCode?: number } {
	const printed = { isPrinted: true, isJson };
	if (text === "report") return { ...printed, aborts: false };
	if (text === "abort") return { ...printed, aborts: true };
	const code = Number(/^exit=(\d{1,3})$/.exec(text)?.[1] ?? Number.NaN);
	if (code >= 1 && code <= 255) return { ...printed, aborts: false, exitCode: code };
	refuse(`--dma-errors ${text}: there is no such way`, "report, abort, or exit=CODE with a code from 1 to 255");
}

export class DmaErrors {
	readonly counts = new Map<DmaErrorKind, number>();
	readonly checker: DmaChecker;
	readonly #settings: DmaErrorSettings | undefined;
	readonly #report: ReportFile | undefined;
	readonly #abort: () => void;
	#printed = 0;

	/** @param abort kills the program */
	constructor(
		machine: Machine,
		settings: DmaErrorSettings | undefined,
		report: ReportFile | undefined,
		abort: () => void,
	) {
		this.#settings = settings;
		this.#report = report;
		this.#abort = abort;
		this.checker = new DmaChecker(machine, (error) => this.#found(error));
	}

	#found(error: DmaError): void {
		const before = this.counts.get(error.kind) ?? 0;
		this.counts.set(error.kind, before + 1);
		this.#report?.dma(jsonOf(error));
		if (this.#settings === undefined) return;
		const { isPrinted, isJson, aborts } = this.#settings;
		if (isPrinted && this.#printed++ < MOST_PRINTED)
			sayOnStderr(...(isJson ? [JSON.stringify(jsonOf(error))] : inWords(error)));
		if (aborts) this.#abort();
	}
}

/** An error as lines on stderr. */
export function inWords(error: DmaError): string[] {
	return errorLines(error).map((line, index) => (index === 0 ? `ioasis: ${line}` : `        ${line}`));
}

/** An error as lines: what it is, and then what is behind it. */
export function errorLines(error: DmaError): string[] {
	const { kind, device, pasid, isWrite, start, length, iova, map, mapped, unmapped } = error;
	const verb = isWrite ? "writes" : "reads";
	const withPasid = pasid === 0 ? "" : ` with PASID ${pasid}`;
	if (start === undefined || length === undefined)
		return [`DMA error: ${device}${withPasid}: ${TITLES[kind]}`, printable(error.reason)];
	const failing = iova === start ? "" : `, of which those from ${hex(iova)} on`;
	return [
		`DMA error: ${device}${withPasid} ${verb} ${length} bytes at iova ${hex(start)}${failing}: ${TITLES[kind]}`,
		...(mapped ? [`mapped: ${rangeInWords(mapped)} in ${map}, by ${causeInWords(mapped)}`] : []),
		...(unmapped ? [`unmapped: by ${causeInWords(unmapped)}`] : []),
		...(map === undefined ? [] : [`nearest in ${map}: ${nearestInWords(error)}`]),
		printable(error.reason),
	];
}

const TITLES: Readonly<Record<DmaErrorKind, string>> = {
	"not mapped": "not mapped",
	unmapped: "unmapped meanwhile",
	"past the end": "past the end of a mapping",
	"no permission": "the mapping doesn't permit that",
	"bus master off": "the device may not do DMA",
	"not attached": "the device, or this PASID, is attached to nothing",
	"no memory": "the memory behind it is gone",
	stale: "a stale translation was used",
	table: "a page table that the IOMMU can't take",
};

function nearestInWords({ below, above }: DmaError): string {
	const parts = [
		...(below ? [`below ${rangeInWords(below)}`] : []),
		...(above ? [`above ${rangeInWords(above)}`] : []),
	];
	return parts.length === 0 ? "nothing is mapped at all" : parts.join(", ");
}

const rangeInWords = ({ first, last }: Range): string => `${hex(first)} to ${hex(last)}`;

function causeInWords({ call, thread, command }: Cause): string {
	if (call === 0) return "no call: a file was closed, or a process ended";
	return `call ${call}, ${nameIn(command)} of thread ${thread}`;
}

/** An error as JSON: numbers of 64 bits are strings. */
function jsonOf(error: DmaError): Readonly<Record<string, unknown>> {
	const range = (one: Range | undefined) => one && { first: hex(one.first), last: hex(one.last) };
	const cause = (one: Cause | undefined) =>
		one && (one.call === 0 ? {} : { call: one.call, thread: one.thread, ioctl: nameIn(one.command) });
	const { kind, device, pasid, isWrite, start, length, iova, reason, map, below, above, mapped, unmapped } = error;
	return {
		...{ event: "dma error", kind, device, pasid, isWrite },
		...{ start: start === undefined ? undefined : hex(start), length, iova: hex(iova), reason, map },
		...{ below: range(below), above: range(above) },
		mapped: mapped && { ...range(mapped), ...cause(mapped) },
		unmapped: cause(unmapped),
	};
}

/** VFIO has numbers twice: of devices, and of containers. What maps and unmaps is the latter's. */
function nameIn(command: number): string {
	return nameOfIoctl(command, "container");
}
