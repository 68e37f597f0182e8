// What a VT-d unit is told about a device: in legacy mode a context entry, in scalable mode one PASID table entry for each
// PASID, of which that of PASID 0 is for requests without one (RID_PASID).
// Intel VT-d Architecture Specification 5.0: 9.3 "Context Entry", 9.6 "Scalable-Mode PASID Table Entry". In words of 64 bits.

/** P: the entry counts. */
export const PRESENT = 1n;
const ADDRESS = ~0xfffn;

// ---- Scalable-mode PASID table entry, word 0

const AW_SHIFT = 2n;
const PGTT_SHIFT = 6n;
const PGTT = 7n << PGTT_SHIFT;
/** PASID Granular Translation Type. */
export const Pgtt = { FIRST_STAGE: 1n, SECOND_STAGE: 2n, NESTED: 3n } as const;
/** Second-Stage Access/Dirty Enable */
export const SSADE = 1n << 9n;
// Word 1
const DID = 0xffffn;
/** Page-Walk Snoop: walks go through the CPU's caches. */
export const PWSNP = 1n << 23n;
/** Page Snoop: requests snoop, whatever the device asks for. */
export const PGSNP = 1n << 24n;
// Word 2
/** Supervisor Request Enable */
export const SRE = 1n << 0n;
const FSPM_SHIFT = 2n;
/** Write Protect Enable */
export const WPE = 1n << 4n;
/** Extended Accessed Flag Enable */
export const EAFE = 1n << 7n;

export type PasidEntry = BigUint64Array;

export interface SecondStage {
	/** Address of the top table, and the levels of the table less two: Address Width. */
	readonly root: bigint;
	readonly addressWidth: number;
	readonly tracksDirty: boolean;
	readonly walksCoherently: boolean;
}

export interface FirstStage {
	readonly root: bigint;
	readonly levels: number;
	/** SRE, WPE, EAFE */
	readonly flags: bigint;
	readonly snoops: boolean;
}

export function firstStageEntry(domainId: number, stage: FirstStage, walksCoherently: boolean): PasidEntry {
	const entry = new BigUint64Array(8);
	setFirstStage(entry, stage);
	setDomain(entry, domainId, walksCoherently);
	entry[0] |= (Pgtt.FIRST_STAGE << PGTT_SHIFT) | PRESENT;
	return entry;
}

export function secondStageEntry(domainId: number, stage: SecondStage): PasidEntry {
	const entry = new BigUint64Array(8);
	setSecondStage(entry, stage);
	setDomain(entry, domainId, stage.walksCoherently);
	entry[0] |= (Pgtt.SECOND_STAGE << PGTT_SHIFT) | PRESENT;
	return entry;
}

export function nestedEntry(domainId: number, first: FirstStage, second: SecondStage): PasidEntry {
	const entry = new BigUint64Array(8);
	setFirstStage(entry, first);
	setSecondStage(entry, second);
	setDomain(entry, domainId, second.walksCoherently);
	entry[0] |= (Pgtt.NESTED << PGTT_SHIFT) | PRESENT;
	return entry;
}

/** Which stages translate: a value of Pgtt. */
export function translationTypeOf(entry: PasidEntry): bigint {
	return (entry[0] & PGTT) >> PGTT_SHIFT;
}

function setFirstStage(entry: PasidEntry, { root, levels, flags, snoops }: FirstStage): void {
	entry[2] |= (root & ADDRESS) | (levels === 5 ? 1n << FSPM_SHIFT : 0n) | flags;
	if (snoops) entry[1] |= PGSNP;
}

function setSecondStage(entry: PasidEntry, { root, addressWidth, tracksDirty }: SecondStage): void {
	entry[0] |= (root & ADDRESS) | (BigInt(addressWidth) << AW_SHIFT) | (tracksDirty ? SSADE : 0n);
}

function setDomain(entry: PasidEntry, domainId: number, walksCoherently: boolean): void {
	entry[1] |= (BigInt(domainId) & DID) | (walksCoherently ? PWSNP : 0n);
}

// ---- Context entry (legacy mode)

/** Translation Type 01b: the device may use ATS. */
const TT_DEVICE_TLB = 1n << 2n;
const CONTEXT_DID_SHIFT = 8n;

export function contextEntry(domainId: number, { root, addressWidth }: SecondStage, ats: boolean): BigUint64Array {
	const low = (root & ADDRESS) | (ats ? TT_DEVICE_TLB : 0n) | PRESENT;
	return BigUint64Array.of(low, BigInt(addressWidth) | (BigInt(domainId) << CONTEXT_DID_SHIFT));
}
