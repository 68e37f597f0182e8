// The device table entry: what an AMD IOMMU is told about one device. 256 bits, four words here.
// AMD I/O Virtualization Technology (IOMMU) Specification (48882), 2.2.2.1 "Device Table Entry Format".

export const V = 1n << 0n;
export const TV = 1n << 1n;
/** Host access and dirty bits are kept. */
export const HAD = 3n << 7n;
export const Mode = 7n << 9n;
const Mode_SHIFT = 9n;
/** Host page table root pointer, bits 51:12 of it. */
export const HostPageTableRootPtr = 0xf_ffff_ffff_f000n;
export const PPR = 1n << 52n;
export const GIOV = 1n << 54n;
export const GV = 1n << 55n;
export const GLX = 3n << 56n;
/** Guest CR3 table root pointer: three pieces, bits 14:12, 30:15 and 51:31 of it. */
export const GCR3_14_12 = 7n << 58n;
export const IR = 1n << 61n;
export const IW = 1n << 62n;
// Word 1
export const DomainID = 0xffffn;
export const GCR3_30_15 = 0xffffn << 16n;
/** IOTLB enable: the device may use ATS. */
export const I = 1n << 32n;
export const GCR3_51_31 = 0x1f_ffffn << 43n;
// Word 2
export const GuestPagingMode = 3n << 54n;
const GuestPagingMode_SHIFT = 54n;

export type DeviceTableEntry = BigUint64Array;

/** No DMA at all: the entry counts, but translates nothing. */
export function blockedEntry(): DeviceTableEntry {
	return BigUint64Array.of(V, 0n, 0n, 0n);
}

/** What host translation takes: the root of the host tables and how many levels they have. */
export interface HostTranslation {
	readonly root: bigint;
	readonly levels: number;
	readonly domainId: number;
	readonly tracksDirty: boolean;
	readonly ats: boolean;
}

export function hostEntry({ root, levels, domainId, tracksDirty, ats }: HostTranslation): DeviceTableEntry {
	const entry = blockedEntry();
	entry[0] |= TV | (BigInt(levels) << Mode_SHIFT) | (root & HostPageTableRootPtr) | IR | IW;
	if (tracksDirty) entry[0] |= HAD;
	entry[1] |= BigInt(domainId);
	if (ats) entry[1] |= I;
	return entry;
}

/** Guest translation on top of host translation. @param words what the guest's entry says of it, by word */
export function nestedEntry(host: HostTranslation, ...words: readonly [bigint, bigint, bigint]): DeviceTableEntry {
	const entry = hostEntry(host);
	entry[0] |= GV;
	for (const [index, word] of words.entries()) entry[index] |= word;
	return entry;
}

/** What guest translation takes: the table of roots by PASID, and the levels of what they point to. */
export interface GuestTranslation {
	readonly gcr3Table: bigint;
	readonly levels: number;
	readonly domainId: number;
	readonly ats: boolean;
}

export function guestEntry({ gcr3Table, levels, domainId, ats }: GuestTranslation): DeviceTableEntry {
	const entry = blockedEntry();
	entry[0] |= TV | GIOV | GV | IR | IW;
	setGcr3(entry, gcr3Table);
	entry[1] |= BigInt(domainId);
	if (ats) entry[1] |= I;
	entry[2] |= BigInt(levels - 4) << GuestPagingMode_SHIFT;
	return entry;
}

function setGcr3(entry: DeviceTableEntry, address: bigint): void {
	entry[0] |= ((address >> 12n) & 7n) << 58n;
	entry[1] |= ((address >> 15n) & 0xffffn) << 16n;
	entry[1] |= ((address >> 31n) & 0x1f_ffffn) << 43n;
}

/** The address in the three pieces of the field. */
export function gcr3Of(entry: DeviceTableEntry): bigint {
	const low = (entry[0] & GCR3_14_12) >> 58n;
	const middle = (entry[1] & GCR3_30_15) >> 16n;
	const high = (entry[1] & GCR3_51_31) >> 43n;
	return (low << 12n) | (middle << 15n) | (high << 31n);
}
