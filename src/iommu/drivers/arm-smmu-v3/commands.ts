// The commands with which a guest invalidates what an SMMU has cached for it.
// SMMUv3 (IHI 0070), 4.3 "Configuration structure invalidation", 4.4 "TLB invalidation", 4.5 "ATS and PRI".
// Linux: arm_vsmmu_validate_user_cmd() in drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3-iommufd.c.

import { Errno, hex } from "../../../uapi/errno.js";
import type { SmmuFeatures } from "./registers.js";

/** Bits 7:0 of a command. */
export const Opcode = {
	CFGI_CD: 0x05,
	CFGI_CD_ALL: 0x06,
	TLBI_NH_ALL: 0x10,
	TLBI_NH_ASID: 0x11,
	TLBI_NH_VA: 0x12,
	TLBI_NH_VAA: 0x13,
	TLBI_NSNH_ALL: 0x30,
	ATC_INV: 0x40,
} as const;

const mask = (last: number, first: number): bigint => (1n << BigInt(last + 1)) - (1n << BigInt(first));
const OPCODE = mask(7, 0);

// Configuration, and ATC_INV alike. Word 0
const GLOBAL = 1n << 9n;
const SSV = 1n << 11n;
const SSID = mask(31, 12);
const SSID_SHIFT = 12n;
const SID = mask(63, 32);
const SID_SHIFT = 32n;
// TLBI. Word 0
const NUM = mask(16, 12);
const NUM_SHIFT = 12n;
const SCALE = mask(25, 20);
const SCALE_SHIFT = 20n;
const SCALE_HIGHEST_BIT = 1n << 25n;
const VMID = mask(47, 32);
const ASID_SHIFT = 48;
// Word 1
const LEAF = 1n;
const SIZE = mask(5, 0);
const TTL = mask(9, 8);
const TG = mask(11, 10);
const TG_SHIFT = 10n;
const TG_16K = 2n;
const TTL_LEVEL_1 = 1n << 8n;
const ADDRESS = mask(63, 12);

/** ATC_INV.Size of everything. */
const SIZE_ALL = 52n;
/** TG */
const GRANULE_LG2 = [12n, 12n, 14n, 16n];

export type Command = readonly [bigint, bigint];

export function opcodeOf([word0]: Command): number {
	return Number(word0 & OPCODE);
}

/** The device that a CFGI or ATC_INV is about. */
export function streamIdOf([word0]: Command): bigint {
	return (word0 & SID) >> SID_SHIFT;
}

/** The context descriptor that a CFGI_CD is about. */
export function substreamIdOf([word0]: Command): number {
	return Number((word0 & SSID) >> SSID_SHIFT);
}

/** The address space that a TLBI_NH_VA or TLBI_NH_ASID is about. */
export function asidOf([word0]: Command): number {
	return Number(word0 >> BigInt(ASID_SHIFT));
}

/** Whether a TLBI is about leaves only. */
export function isForLeaves([, word1]: Command): boolean {
	return (word1 & LEAF) !== 0n;
}

/** The addresses that a TLBI of one or more pages is about. */
export function rangeOf([word0, word1]: Command): { first: bigint; last: bigint } {
	const first = word1 & ADDRESS;
	const granule = 1n << GRANULE_LG2[Number((word1 & TG) >> TG_SHIFT)];
	const pages = (((word0 & NUM) >> NUM_SHIFT) + 1n) << ((word0 & SCALE) >> SCALE_SHIFT);
	return { first, last: first + granule * pages - 1n };
}

/**
 * Lets through what a guest may say, so that nothing of it can stop the queue that all devices share.
 * @throws EIO for another command, or one with bits that it doesn't have here
 */
export function checkCommand(command: Command, features: SmmuFeatures): void {
	const allowed = allowedBits(command, features);
	const [extra0, extra1] = [command[0] & ~allowed[0], command[1] & ~allowed[1]];
	if (extra0 !== 0n || extra1 !== 0n)
		throw new Errno(
			"EIO",
			`command ${hex(opcodeOf(command))} has bits ${hex(extra0)}, ${hex(extra1)} that a guest can't set`,
			"guest-command",
		);
}

function allowedBits(command: Command, features: SmmuFeatures): [bigint, bigint] {
	// An SMMU with ASIDs of 8 bits takes nothing above them.
	const asid = mask(ASID_SHIFT + features.asidBits - 1, ASID_SHIFT);
	const substreams = features.SSIDSIZE > 0;
	switch (opcodeOf(command)) {
		case Opcode.TLBI_NSNH_ALL:
			return [OPCODE, 0n];
		case Opcode.TLBI_NH_ALL:
			return [OPCODE | VMID, 0n];
		case Opcode.TLBI_NH_ASID:
			return [OPCODE | VMID | asid, 0n];
		case Opcode.TLBI_NH_VA:
			return withRange([OPCODE | VMID | asid, LEAF | ADDRESS], command, features);
		case Opcode.TLBI_NH_VAA:
			return withRange([OPCODE | VMID, LEAF | ADDRESS], command, features);
		case Opcode.CFGI_CD:
			return [OPCODE | SID | (substreams ? SSID : 0n), LEAF];
		case Opcode.CFGI_CD_ALL:
			return [OPCODE | SID, 0n];
		case Opcode.ATC_INV:
			if (!features.ATS) throw new Errno("EIO", "ATC_INV takes an SMMU with ATS: SMMU_IDR0.ATS is 0", "guest-command");
			if ((command[1] & SIZE) > SIZE_ALL)
				throw new Errno(
					"EIO",
					`ATC_INV has the size ${command[1] & SIZE}, and the largest is ${SIZE_ALL}`,
					"guest-command",
				);
			return [OPCODE | SID | (substreams ? SSV | SSID | GLOBAL : 0n), SIZE | ADDRESS];
		default:
			throw new Errno(
				"EIO",
				`command ${hex(opcodeOf(command))} is none that a guest can have carried out`,
				"guest-command",
			);
	}
}

/** SMMU_IDR3.RIL: one command for many pages. */
function withRange(allowed: [bigint, bigint], command: Command, { RIL, DS }: SmmuFeatures): [bigint, bigint] {
	if (!RIL) return allowed;
	checkRange(command, DS);
	const scale = DS ? SCALE : SCALE & ~SCALE_HIGHEST_BIT;
	return [allowed[0] | NUM | scale, allowed[1] | TG | TTL];
}

/** @throws EIO for what the specification has as Reserved */
function checkRange([word0, word1]: Command, DS: boolean): void {
	const hasRange = (word0 & (NUM | SCALE)) !== 0n;
	const granule = (word1 & TG) >> TG_SHIFT;
	const level = word1 & TTL;
	if (granule === 0n) {
		if (hasRange || level !== 0n) throw new Errno("EIO", "a TLBI without TG has no NUM, SCALE or TTL", "guest-command");
		return;
	}
	if (granule === TG_16K && level === TTL_LEVEL_1 && !DS)
		throw new Errno("EIO", "a TLBI with TG 16 KiB has no TTL 1 without SMMU_IDR5.DS", "guest-command");
	if (!hasRange && level === 0n) throw new Errno("EIO", "a TLBI with TG says NUM, SCALE or TTL", "guest-command");
}
