// Why a DMA went wrong, in terms of what the program did: each that is refused is put beside what is mapped, and what was.

import type { PagingDomain } from "../iommu/core/iommu.js";
import type { AddressMap, Cause, MappingHistory, Range } from "../iommu/dma/mapping-history.js";
import type { DmaFault } from "../iommu/translation/dma-fault.js";
import type { DmaEvent } from "../trace/event.js";
import type { Machine } from "./machine.js";

/**
 * What a driver did wrong. "past the end" begins in a mapping, or right behind one; "unmapped" was mapped before; "stale" used what the
 * IOTLB had, as no invalidation has told it of a change; "table" is a page table of the guest's that the IOMMU can't take.
 */
export type DmaErrorKind =
	| "not mapped"
	| "unmapped"
	| "past the end"
	| "no permission"
	| "bus master off"
	| "not attached"
	| "no memory"
	| "stale"
	| "table";

export interface DmaError {
	readonly kind: DmaErrorKind;
	/** "0000:00:02.0" */
	readonly device: string;
	/** 0 for none. */
	readonly pasid: number;
	readonly isWrite: boolean;
	/** Where the access began, in bytes; undefined for a stale one, of which the address alone is known. */
	readonly start: bigint | undefined;
	/** Of the access, in bytes. */
	readonly length: number | undefined;
	/** The first byte that it doesn't get to. */
	readonly iova: bigint;
	/** What the walk says, or who else refuses it. */
	readonly reason: string;
	/** "IOAS 2": what the device translates through, where that is known. */
	readonly map?: string;
	/** What is mapped beside it. */
	readonly below?: Range | undefined;
	readonly above?: Range | undefined;
	/** What was mapped there last, and by which call; and by which it went. */
	readonly mapped?: Range & Cause;
	readonly unmapped?: Cause;
}

/** Tells of what goes wrong with a machine's DMA. Stale translations are looked for only where somebody watches the machine. */
export class DmaChecker {
	readonly #history: MappingHistory;
	readonly #tell: (error: DmaError) => void;

	constructor(machine: Machine, tell: (error: DmaError) => void) {
		this.#history = machine.history;
		this.#tell = tell;
		machine.dma.refused = (fault, start, length) => tell(this.#explain(fault, start, length));
	}

	/** For watch(). */
	dma({ kind, device, pasid, iova, message }: DmaEvent): void {
		if (kind !== "stale") return;
		const common = { start: undefined, length: undefined, isWrite: false };
		this.#tell({ kind: "stale", device, pasid, iova, reason: message, ...common });
	}

	#explain(fault: DmaFault, start: bigint, length: number): DmaError {
		const { device, pasid, iova, write } = fault.request;
		const error = {
			...{ device: device.name, pasid, isWrite: write, start, length, iova },
			reason: `${fault.stage}: ${fault.reason}`,
		};
		const map = mapOf(this.#history, fault);
		if (map === undefined) return { ...error, kind: kindOf(fault) };
		const near = map.nearest(iova);
		const found = { ...error, map: map.name, ...near, ...this.#lastMapped(map, iova) };
		return { ...found, kind: kindIn(fault, near.below, found.unmapped !== undefined) };
	}

	/** What was mapped at an address last, as far as it is remembered, and by which call that went. */
	#lastMapped(map: AddressMap, iova: bigint): { mapped?: Range & Cause; unmapped?: Cause } {
		let unmapped: Cause | undefined;
		for (const change of this.#history.changesAt(map, iova)) {
			const { isUnmap, first, last, call, thread, command } = change;
			const cause = { call, thread, command };
			if (!isUnmap) return { mapped: { first, last, ...cause }, ...(unmapped && { unmapped }) };
			// Of several that took something away there it is the first after the mapping.
			unmapped = cause;
		}
		// Forgotten, or never mapped: an UNMAP of everything says nothing of this address.
		return {};
	}
}

/** What the tables that refused it show. */
function mapOf(history: MappingHistory, { stage, request: { device, pasid } }: DmaFault): AddressMap | undefined {
	if (stage !== "page table" && stage !== "memory") return undefined;
	const domain = device.group.attachment(pasid)?.domain;
	return domain?.type === "paging" ? history.shownBy(domain as PagingDomain) : undefined;
}

function kindOf({ stage, kind }: DmaFault): DmaErrorKind {
	if (stage === "function") return "bus master off";
	if (stage === "attachment") return "not attached";
	if (stage === "memory") return "no memory";
	if (kind === "permission") return "no permission";
	return kind === "not-present" || kind === "out-of-range" ? "not mapped" : "table";
}

/** @param below what is mapped below the address; it lies behind that's end, as it is not mapped */
function kindIn(fault: DmaFault, below: Range | undefined, wasUnmapped: boolean): DmaErrorKind {
	const kind = kindOf(fault);
	if (kind !== "not mapped") return kind;
	if (wasUnmapped) return "unmapped";
	return below !== undefined && below.last + 1n === fault.request.iova ? "past the end" : "not mapped";
}
