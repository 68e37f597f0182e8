// A page table of each format, as its IOMMU has one: four levels where the format lets us choose.

import { amdv1 } from "../../src/pagetable/formats/amdv1.js";
import { armv8 } from "../../src/pagetable/formats/armv8.js";
import { riscv } from "../../src/pagetable/formats/riscv.js";
import { s390 } from "../../src/pagetable/formats/s390.js";
import { vtdSecondStage } from "../../src/pagetable/formats/vtd-second-stage.js";
import { x86_64 } from "../../src/pagetable/formats/x86-64.js";
import { type Format, PageTable, type PageTableConfig } from "../../src/pagetable/pagetable.js";
import { TableMemory } from "../../src/pagetable/table-memory.js";

const arm = (stage: 1 | 2) => armv8({ stage, granuleLg2: 12, inputBits: 48, outputBits: 48 });

export const FORMATS: Readonly<Record<string, { format: Format; config: PageTableConfig }>> = {
	amdv1: { format: amdv1, config: { vaBits: 64, paBits: 52, topLevel: 3, growsTop: true } },
	"vtd-second-stage": { format: vtdSecondStage, config: { vaBits: 48, paBits: 52, topLevel: 3 } },
	"x86-64": { format: x86_64, config: { vaBits: 48, paBits: 52, topLevel: 3, signExtend: true } },
	"armv8-stage1": arm(1),
	"armv8-stage2": arm(2),
	"riscv-sv48": { format: riscv(), config: { vaBits: 48, paBits: 56, topLevel: 3, signExtend: true } },
	s390: { format: s390, config: { vaBits: 53, paBits: 64, topLevel: 3 } },
};

/** An empty table. */
export function newTable(name: string): PageTable {
	const { format, config } = FORMATS[name];
	return new PageTable(format, config, new TableMemory());
}
