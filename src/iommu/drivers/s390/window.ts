// Which I/O virtual addresses a PCI function of s390 can use, and how large a table that takes.
// What CLP's "Query PCI Function" answers: arch/s390/include/asm/pci_clp.h. Linux: s390_domain_alloc_paging().

import type { ReservedRegion } from "../../core/reserved.js";

export interface QueryFunction {
	/** First and last DMA address. */
	readonly sdma: bigint;
	readonly edma: bigint;
	/** Supported designation types of tables. */
	readonly dtsm: number;
	/** Memory of the machine in bytes: a function gets no larger window. */
	readonly memory: bigint;
}

/** Designation types: what the I/O translation anchor points to. */
export const DT = { REGION_THIRD: 1, REGION_SECOND: 2, REGION_FIRST: 3 } as const;
const DT_SHIFT = 2;
/** What a table that begins so covers. */
const SIZE_REGION_THIRD = 1n << 42n;
const SIZE_REGION_SECOND = 1n << 53n;

export class DmaWindow {
	readonly first: bigint;
	readonly last: bigint;
	/** Where tables for it begin, a value of DT. */
	readonly designation: number;

	constructor({ sdma, edma, dtsm, memory }: QueryFunction) {
		const wanted = min(memory, edma - sdma + 1n);
		const supports = (designation: number) => (dtsm & (designation << DT_SHIFT)) !== 0;
		let size = wanted;
		if (wanted <= SIZE_REGION_THIRD - sdma) this.designation = DT.REGION_THIRD;
		else if (wanted <= SIZE_REGION_SECOND - sdma && supports(DT.REGION_SECOND)) this.designation = DT.REGION_SECOND;
		else if (supports(DT.REGION_FIRST)) this.designation = DT.REGION_FIRST;
		else {
			this.designation = DT.REGION_THIRD;
			size = SIZE_REGION_THIRD - sdma;
		}
		this.first = sdma;
		this.last = sdma + size - 1n;
	}

	/** What can't be used before the window. */
	get before(): ReservedRegion[] {
		return this.first === 0n ? [] : [{ kind: "reserved", first: 0n, last: this.first - 1n }];
	}

	/** What can't be used between the window and the end of a table. */
	after(lastOfTable: bigint): ReservedRegion[] {
		return this.last >= lastOfTable ? [] : [{ kind: "reserved", first: this.last + 1n, last: lastOfTable }];
	}
}

function min(a: bigint, b: bigint): bigint {
	return a < b ? a : b;
}
