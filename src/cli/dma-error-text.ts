// What went wrong with a DMA, as lines for people, and as the line of a report.

import { withPasid } from "../iommu/core/pasid.js";
import type { Cause, Range } from "../iommu/dma/mapping-history.js";
import type { DmaError, DmaErrorKind } from "../machine/dma-checker.js";
import { printable } from "../trace/printable.js";
import { hex } from "../uapi/errno.js";
import { nameOfIoctl } from "../uapi/ioctl-names.js";
import type { CallThatMapped, DmaFailure } from "./report-file.js";

/** An error as lines on stderr. */
export function inWords(error: DmaError): string[] {
	return errorLines(error).map((line, index) => (index === 0 ? `ioasis: ${line}` : `        ${line}`));
}

/** An error as lines: what it is, and then what is behind it. */
export function errorLines(error: DmaError): string[] {
	const { kind, device, pasid, isWrite, start, length, iova, map, mapped, unmapped } = error;
	const verb = isWrite ? "writes" : "reads";
	const who = `${device}${withPasid(pasid)}`;
	if (start === undefined || length === undefined)
		return [`DMA error: ${who}: ${TITLES[kind]}`, printable(error.reason)];
	const failing = iova === start ? "" : `, of which those from ${hex(iova)} on`;
	return [
		`DMA error: ${who} ${verb} ${length} bytes at iova ${hex(start)}${failing}: ${TITLES[kind]}`,
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

/** An error as a line of a report. */
export function lineOf(error: DmaError): DmaFailure {
	const { kind, device, pasid, isWrite, start, length, iova, reason, map, below, above, mapped, unmapped } = error;
	return {
		...{ event: "dma error", kind, device, pasid, isWrite },
		...{ start: start === undefined ? undefined : hex(start), length, iova: hex(iova), reason, map },
		...{ below: below && endsOf(below), above: above && endsOf(above) },
		mapped: mapped && { ...endsOf(mapped), ...causeOf(mapped) },
		unmapped: unmapped && causeOf(unmapped),
	};
}

function endsOf({ first, last }: Range): { first: string; last: string } {
	return { first: hex(first), last: hex(last) };
}

/** Empty for no call. */
function causeOf({ call, thread, command }: Cause): CallThatMapped {
	return call === 0 ? {} : { call, thread, ioctl: nameIn(command) };
}

/** VFIO has numbers twice: of devices, and of containers. What maps and unmaps is the latter's. */
function nameIn(command: number): string {
	return nameOfIoctl(command, "container");
}
