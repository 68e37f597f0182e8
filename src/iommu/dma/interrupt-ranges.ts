// Where an IOMMU takes requests for interrupts, and so translates nothing.
// VT-d 3.14 "Handling Requests to Interrupt Address Range"; AMD (48882) 2.1.4 "Special Address Ranges".

import { addressOf, pageOf } from "../../memory/page-number.js";
import { hex } from "../../uapi/errno.js";
import type { Device } from "../core/iommu.js";
import { NO_PASID } from "../core/pasid.js";
import { DmaFault, type DmaRequest } from "../translation/dma-fault.js";

/** Pages of 4 KiB, both ends included. */
export interface InterruptRange {
	readonly firstPage: number;
	readonly lastPage: number;
}

const none: readonly InterruptRange[] = [];
/** They never change for a device, and drivers make their lists anew each time. */
const known = new WeakMap<Device, readonly InterruptRange[]>();

/** Of a device's requests. Those with a PASID are never interrupts. */
export function interruptRanges(device: Device, pasid: number): readonly InterruptRange[] {
	if (pasid !== NO_PASID) return none;
	let ranges = known.get(device);
	if (ranges === undefined) {
		const msi = (device.driver.reservedRegions?.(device) ?? []).filter(({ kind }) => kind === "msi");
		ranges = msi.map(({ first, last }) => ({ firstPage: pageOf(first), lastPage: pageOf(last) }));
		known.set(device, ranges);
	}
	return ranges;
}

export function isForInterrupts(page: number, ranges: readonly InterruptRange[]): boolean {
	for (const { firstPage, lastPage } of ranges) if (firstPage <= page && page <= lastPage) return true;
	return false;
}

/** How many pages from one on, which is none that interrupts go to, are none either. */
export function pagesUntilInterrupts(page: number, ranges: readonly InterruptRange[]): number {
	let pages = Number.POSITIVE_INFINITY;
	for (const { firstPage } of ranges) if (page < firstPage) pages = Math.min(pages, firstPage - page);
	return pages;
}

/** Why a request for such a page is refused. */
export function interruptFault(request: DmaRequest, ranges: readonly InterruptRange[]): DmaFault {
	const page = pageOf(request.iova);
	const { firstPage, lastPage } = ranges.find((range) => range.firstPage <= page && page <= range.lastPage)!;
	const where = `${hex(addressOf(firstPage, 0))} to ${hex(addressOf(lastPage, 0xfff))}`;
	const reason = `the IOMMU takes ${where} for interrupts, and translates nothing there`;
	return new DmaFault(request, "attachment", "out-of-range", reason);
}

/** @throws DmaFault when the IOMMU takes a request for an interrupt */
export function refuseInterrupts(request: DmaRequest): void {
	const ranges = interruptRanges(request.device, request.pasid);
	if (isForInterrupts(pageOf(request.iova), ranges)) throw interruptFault(request, ranges);
}
