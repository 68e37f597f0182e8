// Bits by the numbers of the VT-d specification: "bit 140" of an entry is bit 12 of its word 2.

import { expect, test } from "vitest";
import {
	contextEntry,
	EAFE,
	firstStageEntry,
	nestedEntry,
	Pgtt,
	SRE,
	secondStageEntry,
	translationTypeOf,
	WPE,
} from "./entries.js";

/** The bits first..last of an entry. */
function bits(entry: BigUint64Array, last: number, first = last): bigint {
	const word = Math.floor(first / 64);
	return (entry[word] >> BigInt(first % 64)) & ((1n << BigInt(last - first + 1)) - 1n);
}

const second = { root: 0x1_2345_6000n, addressWidth: 2, tracksDirty: true, walksCoherently: true };
const first = { root: 0x9_8765_4000n, levels: 5, flags: SRE | WPE | EAFE, snoops: true };

test("a PASID table entry for a second stage: Table 9.6", () => {
	const entry = secondStageEntry(0xabcd, second);
	expect(bits(entry, 0)).toBe(1n); // P
	expect(bits(entry, 1)).toBe(0n); // FPD
	expect(bits(entry, 4, 2)).toBe(2n); // AW: 4 levels
	expect(bits(entry, 8, 6)).toBe(2n); // PGTT: second-stage only
	expect(bits(entry, 9)).toBe(1n); // SSADE
	expect(bits(entry, 63, 12)).toBe(0x12_3456n); // SSPTPTR
	expect(bits(entry, 79, 64)).toBe(0xabcdn); // DID
	expect(bits(entry, 87)).toBe(1n); // PWSNP
	expect(bits(entry, 88)).toBe(0n); // PGSNP
	expect(translationTypeOf(entry)).toBe(Pgtt.SECOND_STAGE);
});

test("a PASID table entry for a first stage", () => {
	const entry = firstStageEntry(3, first, false);
	expect(bits(entry, 8, 6)).toBe(1n); // PGTT: first-stage only
	expect(bits(entry, 63, 12)).toBe(0n); // no SSPTPTR
	expect(bits(entry, 79, 64)).toBe(3n); // DID
	expect(bits(entry, 87)).toBe(0n); // PWSNP
	expect(bits(entry, 88)).toBe(1n); // PGSNP
	expect(bits(entry, 128)).toBe(1n); // SRE
	expect(bits(entry, 131, 130)).toBe(1n); // FSPM: 5 levels
	expect(bits(entry, 132)).toBe(1n); // WPE
	expect(bits(entry, 135)).toBe(1n); // EAFE
	expect(bits(entry, 191, 140)).toBe(0x98_7654n); // FSPTPTR
});

test("a nested one has both", () => {
	const entry = nestedEntry(7, { ...first, levels: 4, flags: 0n, snoops: false }, second);
	expect(bits(entry, 8, 6)).toBe(3n);
	expect(bits(entry, 63, 12)).toBe(0x12_3456n);
	expect(bits(entry, 131, 130)).toBe(0n);
	expect(bits(entry, 191, 140)).toBe(0x98_7654n);
});

test("a context entry of legacy mode: Table 9.3", () => {
	const entry = contextEntry(0x1234, { ...second, addressWidth: 1 }, true);
	expect(bits(entry, 0)).toBe(1n); // P
	expect(bits(entry, 3, 2)).toBe(1n); // TT: with device TLB
	expect(bits(entry, 63, 12)).toBe(0x12_3456n); // SSPTPTR
	expect(bits(entry, 66, 64)).toBe(1n); // AW: 3 levels
	expect(bits(entry, 87, 72)).toBe(0x1234n); // DID
});
