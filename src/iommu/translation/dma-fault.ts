// Why a device's DMA did not get through: a value, and a sentence for the one who wonders.

import { hex } from "../../uapi/errno.js";
import type { Device } from "../core/iommu.js";
import { type Pasid, withPasid } from "../core/pasid.js";

/** One access of a device. */
export interface DmaRequest {
	readonly device: Device;
	readonly pasid: Pasid;
	/** In bytes. */
	readonly iova: bigint;
	readonly write: boolean;
}

/** What refused the access: the function itself, what is attached, a table (the only one, or one of two stages), or the memory behind them. */
export type FaultStage = "function" | "attachment" | "page table" | "first stage" | "second stage" | "memory";

/**
 * blocked: nothing lets the device do DMA; out-of-range: an address that the tables can't translate; malformed: a table or a
 * descriptor has what the specification forbids; access-flag: Arm's AF is missing; no-memory: the address that comes out is not that of memory.
 */
export type FaultKind =
	| "blocked"
	| "out-of-range"
	| "not-present"
	| "permission"
	| "malformed"
	| "access-flag"
	| "no-memory";

/** Thrown on the way through the tables, and caught where the DMA began. Like an Errno, it captures no stack. */
export class DmaFault {
	readonly request: DmaRequest;
	readonly stage: FaultStage;
	readonly kind: FaultKind;
	/** The level that the walk ended at, as our engine counts: 0 is the lowest. Undefined where it wasn't a table entry. */
	readonly level: number | undefined;
	readonly reason: string;

	constructor(
		{ device, pasid, iova, write }: DmaRequest,
		stage: FaultStage,
		kind: FaultKind,
		reason: string,
		level: number | undefined = undefined,
	) {
		// A copy, because an Access is reused.
		this.request = { device, pasid, iova, write };
		this.stage = stage;
		this.kind = kind;
		this.level = level;
		this.reason = reason;
	}

	/** "0000:00:02.0 can't write iova 0x5000: second stage: ..." */
	get message(): string {
		const { device, pasid, iova, write } = this.request;
		return `${device.name} can't ${write ? "write" : "read"} iova ${hex(iova)}${withPasid(pasid)}: ${this.stage}: ${this.reason}`;
	}

	toString(): string {
		return this.message;
	}
}

/** What a table permits, or an access wants, in words. @param protection READ, WRITE of pagetable/format.ts */
export function accessInWords(protection: number): string {
	return ["nothing", "reading only", "writing only", "reading and writing"][protection & 3]!;
}
