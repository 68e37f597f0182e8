// The stream table entry, which says how an SMMU translates for one device, and the context descriptor that stage 1 has.
// SMMUv3 (IHI 0070), 5.2 "Stream Table Entry" and 5.4 "Context Descriptor". In words of 64 bits.

export type StreamTableEntry = BigUint64Array;
export type ContextDescriptor = BigUint64Array;

const field = (value: number | bigint, shift: number): bigint => BigInt(value) << BigInt(shift);
const mask = (last: number, first: number): bigint => (1n << BigInt(last + 1)) - (1n << BigInt(first));

// ---- STE, word 0

export const V = 1n;
export const Config = mask(3, 1);
/** Values of Config. */
export const CONFIG = { ABORT: 0, BYPASS: 4, S1_TRANS: 5, S2_TRANS: 6, NESTED: 7 } as const;
const S1Fmt = mask(5, 4);
const S1ContextPtr = mask(51, 6);
const S1CDMax = mask(63, 59);
// Word 1
const S1DSS = mask(1, 0);
/** What happens to requests without a SubstreamID where there are context descriptors: they are refused, or have number 0. */
export const S1DSS_TERMINATE = 0;
export const S1DSS_SSID0 = 2;
const S1CIR = mask(3, 2);
const S1COR = mask(5, 4);
const S1CSH = mask(7, 6);
const CACHE_WBRA = 1;
const SH_ISH = 3;
const MEV = 1n << 19n;
const S2FWB = 1n << 25n;
const S1STALLD = 1n << 27n;
export const EATS = mask(29, 28);
/** Values of EATS. */
export const EATS_ABT = 0;
export const EATS_TRANS = 1;
const EATS_SHIFT = 28;
// Word 2
const VTCR_SHIFT = 32;
const S2AA64 = 1n << 51n;
const S2PTW = 1n << 54n;
const S2S = 1n << 57n;
const S2R = 1n << 58n;
// Word 3
const S2TTB = mask(51, 4);

/** What a guest may say in its STE; the rest is the host's. */
export const NESTING_ALLOWED = [
	V | Config | S1Fmt | S1ContextPtr | S1CDMax,
	S1DSS | S1CIR | S1COR | S1CSH | S1STALLD | EATS,
] as const;

/** A value of CONFIG. */
export function configOf(word0: bigint): number {
	return Number((word0 & Config) >> 1n);
}

/** A value of EATS. */
export function eatsOf(word1: bigint): number {
	return Number((word1 & EATS) >> BigInt(EATS_SHIFT));
}

export function abortEntry(): StreamTableEntry {
	return entryWith(CONFIG.ABORT);
}

/** How the tables of a stage are walked: TCR or VTCR, as far as the two are alike. */
export interface WalkControl {
	readonly inputBits: number;
	readonly outputBits: number;
	readonly granuleLg2: number;
	/** Our level of the top table: Arm's start level counted from the other end. */
	readonly topLevel: number;
	readonly root: bigint;
	readonly isCoherent: boolean;
}

export interface StageTwo extends WalkControl {
	readonly vmid: number;
	readonly forceWriteBack: boolean;
}

export interface Options {
	readonly ats: boolean;
	/** Faulting requests wait for an answer. */
	readonly stalls: boolean;
}

export function stageTwoEntry(stage: StageTwo, { ats, stalls }: Options): StreamTableEntry {
	const entry = entryWith(CONFIG.S2_TRANS);
	entry[1] = field(ats ? EATS_TRANS : EATS_ABT, EATS_SHIFT) | (stage.forceWriteBack ? S2FWB : 0n);
	entry[2] = field(stage.vmid, 0) | field(vtcr(stage), VTCR_SHIFT) | S2AA64 | S2PTW | (stalls ? S2S : 0n) | S2R;
	entry[3] = stage.root & S2TTB;
	return entry;
}

/** Where the context descriptors of stage 1 are. */
export interface Descriptors {
	readonly address: bigint;
	/** S1Fmt, S1CDMax */
	readonly format: number;
	readonly sizeLg2: number;
}

/**
 * Stage 1, for each SubstreamID by its context descriptor.
 * @param dss S1DSS_TERMINATE or S1DSS_SSID0
 */
export function stageOneEntry(
	{ address, format, sizeLg2 }: Descriptors,
	dss: number,
	options: Options,
): StreamTableEntry {
	const entry = entryWith(CONFIG.S1_TRANS);
	entry[0] |= field(format, 4) | (address & S1ContextPtr) | field(sizeLg2, 59);
	entry[1] = field(dss, 0) | field(CACHE_WBRA, 2) | field(CACHE_WBRA, 4) | field(SH_ISH, 6);
	if (!options.stalls) entry[1] |= S1STALLD;
	entry[1] |= field(options.ats ? EATS_TRANS : EATS_ABT, EATS_SHIFT);
	return entry;
}

/** The guest's stage 1 on the host's stage 2. */
export function nestedEntry(guest: readonly [bigint, bigint], stage: StageTwo, options: Options): StreamTableEntry {
	const entry = stageTwoEntry(stage, options);
	entry[0] = (guest[0] & ~Config) | field(CONFIG.NESTED, 1) | V;
	// Events that are alike are merged, so that a guest can't flood the host's queue.
	entry[1] |= (guest[1] & ~EATS) | MEV;
	return entry;
}

function entryWith(config: number): StreamTableEntry {
	const entry = new BigUint64Array(8);
	entry[0] = V | field(config, 1);
	return entry;
}

// ---- Context descriptor, word 0

const EPD1 = 1n << 30n;
const CD_V = 1n << 31n;
const AA64 = 1n << 41n;
const HD = 1n << 42n;
const HA = 1n << 43n;
const S = 1n << 44n;
const R = 1n << 45n;
const A = 1n << 46n;
const ASET = 1n << 47n;
/** MAIR: what the indexes 0 to 3 of an entry mean. Non-cacheable, write-back, device, write-back in the outer cache only. */
const MAIR = 0xf404ff44n;

export interface StageOne extends WalkControl {
	readonly asid: number;
	readonly hardwareDirty: boolean;
}

export function contextDescriptor(stage: StageOne, stalls: boolean): ContextDescriptor {
	const descriptor = new BigUint64Array(8);
	const cacheability = stage.isCoherent ? 1 : 0;
	descriptor[0] =
		field(64 - stage.inputBits, 0) |
		field(granuleField(stage.granuleLg2), 6) |
		field(cacheability, 8) |
		field(cacheability, 10) |
		field(stage.isCoherent ? 3 : 2, 12) |
		EPD1 |
		CD_V |
		field(sizeField(stage.outputBits), 32) |
		AA64 |
		(stage.hardwareDirty ? HA | HD : 0n) |
		(stalls ? S : 0n) |
		R |
		A |
		ASET |
		field(stage.asid, 48);
	descriptor[1] = stage.root & S2TTB;
	descriptor[3] = MAIR;
	return descriptor;
}

/** S2T0SZ, S2SL0, S2IR0, S2OR0, S2SH0, S2TG, S2PS */
function vtcr({ inputBits, outputBits, granuleLg2, topLevel, isCoherent }: WalkControl): bigint {
	const cacheability = isCoherent ? 1 : 0;
	const startLevel = 3 - topLevel;
	// With 4 KiB the field says 2 for level 0, with the others 3: it counts down from there.
	const sl0 = ~(granuleLg2 === 12 ? startLevel + 1 : startLevel) & 3;
	return (
		field(64 - inputBits, 0) |
		field(sl0, 6) |
		field(cacheability, 8) |
		field(cacheability, 10) |
		field(isCoherent ? 3 : 2, 12) |
		field(granuleField(granuleLg2), 14) |
		field(sizeField(outputBits), 16)
	);
}

/** TG0 */
function granuleField(granuleLg2: number): number {
	return { 12: 0, 16: 1, 14: 2 }[granuleLg2] ?? 0;
}

/** IPS, PS */
function sizeField(bits: number): number {
	return [32, 36, 40, 42, 44, 48, 52].indexOf(bits);
}
