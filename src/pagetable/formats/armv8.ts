// The ARMv8-A VMSA as an SMMU walks it: stage 1 and stage 2, with a granule of 4, 16 or 64 KiB.
// Arm ARM (DDI 0487) D8.3 "Translation table descriptor formats"; SMMUv3 (IHI 0070) 3.4 "Address sizes", 3.13 "Translation
// table entries and Access/Dirty flags". Arm's lookup level 3 is our level 0, and its level 0 our level 3.
// The attributes are those of Linux: drivers/iommu/io-pgtable-arm.c.

import { powerOfTwo } from "../bits.js";
import type { PageTableConfig } from "../config.js";
import {
	type AddressField,
	CACHE,
	type DirtyBits,
	type Format,
	type Level,
	MMIO,
	NOEXEC,
	PRIV,
	READ,
	WRITE,
} from "../format.js";
import { bitNames, storePages } from "./entries.js";

// Low word
const VALID = 1 << 0;
const TYPE = 3;
const BLOCK = 1; // a leaf above our level 0
const PAGE = 3; // a leaf at our level 0
const TABLE = 3;
const ATTR_INDEX_SHIFT = 2; // stage 1: an index into MAIR
const MEMATTR_SHIFT = 2; // stage 2: the attributes themselves
const AP_UNPRIV = 1 << 6; // stage 1, AP[1]: unprivileged accesses too
const AP_RDONLY = 1 << 7; // stage 1, AP[2]
const S2AP_R = 1 << 6;
const S2AP_W = 1 << 7;
const SH_OUTER = 2 << 8;
const SH_INNER = 3 << 8;
const SH = 3 << 8;
const AF = 1 << 10; // access flag
const nG = 1 << 11; // not global
// High word
const DBM = 1 << (51 - 32); // dirty bit modifier: the hardware may clear AP[2]
const XN = 3 << (53 - 32); // execute never: PXN and UXN, or stage 2's XN
const ADDRESS_HIGH = 0xffff; // address bits 47:32
/** With 64 KiB granules bits 15:12 of an entry hold bits 51:48 of the address. */
const WIDE_ADDRESS = 0xf000;

/** What Linux writes to MAIR, by index: normal memory that is not cached, that is, device memory. */
const ATTR_NC = 0;
const ATTR_CACHE = 1;
const ATTR_DEVICE = 2;

const MEMATTR_DEVICE = 0x1; // Device-nGnRE
const MEMATTR_NC = 0x5;
const MEMATTR_FWB_WB = 0x6; // with S2FWB: write-back, whatever stage 1 says
const MEMATTR_WB = 0xf;

/** Clean is a page that may be written but says AP[2]; the hardware clears that at the first write. */
const dirtyBits: DirtyBits = { mask: AP_RDONLY, dirty: 0, clean: AP_RDONLY, trackedIfHigh: DBM, shiftsLeaves: true };

export interface Armv8Options {
	stage: 1 | 2;
	granuleLg2: 12 | 14 | 16;
	/** ias and oas of struct io_pgtable_cfg, in bits. */
	inputBits: number;
	outputBits: number;
	/** The hardware manages dirty state: SMMU_IDR0.HTTU, IO_PGTABLE_QUIRK_ARM_HD. Stage 1. */
	hardwareDirty?: boolean;
	/** IO_PGTABLE_QUIRK_ARM_S2FWB. Stage 2. */
	forceWriteBack?: boolean;
}

/** The format, and how a table of it has to be made: what arm_lpae_alloc_pgtable() works out. */
export function armv8(options: Armv8Options): { format: Format; config: PageTableConfig } {
	const { stage, granuleLg2 } = options;
	const widest = granuleLg2 === 16 ? 52 : 48;
	const vaBits = Math.min(options.inputBits, widest);
	const paBits = Math.min(options.outputBits, widest);
	const levels = Math.ceil((vaBits - granuleLg2) / (granuleLg2 - 3));
	const topLevel = levels - 1;
	const concatenates = stage === 2 && mustConcatenate(granuleLg2, topLevel, vaBits, paBits);
	return {
		format: stage === 1 ? new Stage1(options, paBits) : new Stage2(options, paBits),
		config: { vaBits, paBits, topLevel: concatenates ? topLevel - 1 : topLevel },
	};
}

/**
 * Where the highest level would have few entries the architecture wants the tables of the next one side by side instead, in
 * these cases: R_DXBSH and R_SRKBC of the Arm ARM.
 */
function mustConcatenate(granuleLg2: number, topLevel: number, vaBits: number, paBits: number): boolean {
	if (granuleLg2 === 14 && topLevel === 3) return paBits === 48 || vaBits === 48;
	if (granuleLg2 === 12 && topLevel === 3) return paBits === 40 || paBits === 42;
	return granuleLg2 === 14 && topLevel === 2 && paBits === 40;
}

function level(number: number, granuleLg2: number, paBits: number): Level {
	const indexBits = granuleLg2 - 3;
	const itemLg2 = granuleLg2 + indexBits * number;
	const leaves = {
		entryName: `level ${3 - number} ${number === 0 ? "page descriptor" : "descriptor"}`,
		itemLg2,
		indexBits,
		leafSizes: mayHoldLeaves(number, granuleLg2, paBits) ? 1n << BigInt(itemLg2) : 0n,
		empty: { mask: VALID, value: 0 },
	};
	if (number === 0) return leaves;
	return { ...leaves, table: { mask: TYPE, value: TABLE }, tableBits: [TABLE, 0] };
}

/** 4 KiB, 2 MiB, 1 GiB; 16 KiB, 32 MiB; 64 KiB, 512 MiB, and 4 TiB with 52 bits. */
function mayHoldLeaves(number: number, granuleLg2: number, paBits: number): boolean {
	if (number <= 1) return true;
	if (number > 2) return false;
	return granuleLg2 === 12 || (granuleLg2 === 16 && paBits > 48);
}

abstract class Vmsa implements Format {
	readonly name: string;
	readonly granuleLg2: number;
	readonly levels: readonly Level[];
	readonly lowestTopLevel = 0;
	readonly maxVaBits: number;
	readonly maxPaBits: number;
	readonly address: AddressField;
	readonly tableAddressShift = 12;
	readonly contiguous = undefined; // Linux doesn't use the contiguous bit here
	abstract readonly dirty: DirtyBits | undefined;
	readonly accessed = AF;
	readonly narrowsToTop = false;
	abstract readonly concatenatedTopsLg2: number;
	readonly alreadyMapped = "EEXIST";
	readonly needsPermission = true;
	readonly outOfRange = "ERANGE";

	constructor(name: string, granuleLg2: number, paBits: number) {
		this.name = `${name}, ${1 << (granuleLg2 - 10)} KiB granule`;
		this.granuleLg2 = granuleLg2;
		this.address = { shift: granuleLg2, highMask: ADDRESS_HIGH, wideMask: granuleLg2 === 16 ? WIDE_ADDRESS : 0 };
		this.levels = (granuleLg2 === 16 ? [0, 1, 2] : [0, 1, 2, 3]).map((n) => level(n, granuleLg2, paBits));
		this.maxVaBits = granuleLg2 === 16 ? 52 : 48;
		this.maxPaBits = this.maxVaBits;
	}

	checkProtection(): void {}

	abstract lowAttributes(protection: number): number;
	abstract highAttributes(protection: number): number;
	abstract leafProtection(level: number, low: number, high: number): number;
	abstract describeAttributes(low: number, high: number): string[];

	storeLeaves(
		words: Uint32Array,
		index: number,
		leaves: number,
		level: number,
		size: number,
		frame: number,
		protection: number,
	): void {
		const low = this.lowAttributes(protection) | (level === 0 ? PAGE : BLOCK);
		const high = this.highAttributes(protection);
		if (this.granuleLg2 < 16) {
			storePages(words, index, leaves, size, frame, this.granuleLg2, low, high);
			return;
		}
		// Bits 51:48 of an address stand elsewhere than the others, so that a carry into them ends a run.
		for (let stored = 0; stored < leaves; ) {
			const first = frame + stored * powerOfTwo(size);
			const wide = Math.floor(first / WIDE_FRAMES);
			const run = Math.min(leaves - stored, ((wide + 1) * WIDE_FRAMES - first) / powerOfTwo(size));
			const narrow = first - wide * WIDE_FRAMES;
			storePages(words, index + stored, run, size, narrow, 16, low | (wide << 12), high);
			stored += run;
		}
	}

	describe(level: number, low: number, high: number): string {
		if (level > 0 && (low & TYPE) === TABLE) return "table descriptor";
		const shareability = ["SH=non-shareable", "", "SH=outer", "SH=inner"][(low & SH) >>> 8]!;
		return [
			level === 0 ? "page descriptor" : "block descriptor",
			...this.describeAttributes(low, high),
			shareability,
			...bitNames(low, [[AF, "AF"]]),
			...bitNames(high, [[XN, "XN"]]),
		].join(" ");
	}
}

/** Frames of 64 KiB below 2^48. */
const WIDE_FRAMES = 2 ** (48 - 16);

class Stage1 extends Vmsa {
	readonly dirty: DirtyBits | undefined;
	readonly concatenatedTopsLg2 = 0;
	readonly #hardwareDirty: boolean;

	constructor({ granuleLg2, hardwareDirty = false }: Armv8Options, paBits: number) {
		super("ARMv8 stage 1", granuleLg2, paBits);
		this.#hardwareDirty = hardwareDirty;
		this.dirty = hardwareDirty ? dirtyBits : undefined;
	}

	lowAttributes(protection: number): number {
		let low = nG | AF;
		if (!(protection & WRITE)) low |= AP_RDONLY;
		if (!(protection & PRIV)) low |= AP_UNPRIV;
		if (protection & MMIO) low |= ATTR_DEVICE << ATTR_INDEX_SHIFT;
		else if (protection & CACHE) low |= ATTR_CACHE << ATTR_INDEX_SHIFT;
		else low |= ATTR_NC << ATTR_INDEX_SHIFT;
		return low | (protection & CACHE ? SH_INNER : SH_OUTER);
	}

	/** A page that may be written begins its life as a dirty one. */
	highAttributes(protection: number): number {
		return (this.#hardwareDirty && protection & WRITE ? DBM : 0) | (protection & NOEXEC ? XN : 0);
	}

	leafProtection(_level: number, low: number, high: number): number {
		return low & AP_RDONLY && !(high & DBM) ? READ : READ | WRITE;
	}

	describeAttributes(low: number, high: number): string[] {
		return [
			...bitNames(low, [
				[AP_RDONLY, "AP[2]=read-only"],
				[AP_UNPRIV, "AP[1]=unprivileged"],
				[nG, "nG"],
			]),
			...bitNames(high, [[DBM, "DBM"]]),
			`AttrIndx=${(low >>> ATTR_INDEX_SHIFT) & 7}`,
		];
	}
}

class Stage2 extends Vmsa {
	readonly dirty = undefined;
	readonly concatenatedTopsLg2 = 4;
	readonly #writeBack: number;

	constructor({ granuleLg2, forceWriteBack = false }: Armv8Options, paBits: number) {
		super("ARMv8 stage 2", granuleLg2, paBits);
		this.#writeBack = forceWriteBack ? MEMATTR_FWB_WB : MEMATTR_WB;
	}

	lowAttributes(protection: number): number {
		let low = AF;
		if (protection & READ) low |= S2AP_R;
		if (protection & WRITE) low |= S2AP_W;
		if (protection & MMIO) low |= MEMATTR_DEVICE << MEMATTR_SHIFT;
		else if (protection & CACHE) low |= this.#writeBack << MEMATTR_SHIFT;
		else low |= MEMATTR_NC << MEMATTR_SHIFT;
		return low | (protection & CACHE ? SH_INNER : SH_OUTER);
	}

	highAttributes(protection: number): number {
		return protection & NOEXEC ? XN : 0;
	}

	leafProtection(_level: number, low: number): number {
		return (low & S2AP_R ? READ : 0) | (low & S2AP_W ? WRITE : 0);
	}

	describeAttributes(low: number): string[] {
		return [
			...bitNames(low, [
				[S2AP_R, "S2AP=read"],
				[S2AP_W, "S2AP=write"],
			]),
			`MemAttr=0x${((low >>> MEMATTR_SHIFT) & 0xf).toString(16)}`,
		];
	}
}
