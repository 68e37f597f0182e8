// Bits by the numbers of the AMD IOMMU specification: bit 96 of an entry is bit 32 of its word 1.

import { expect, test } from "vitest";
import { blockedEntry, gcr3Of, guestEntry, hostEntry, nestedEntry } from "./dte.js";

function bits(entry: BigUint64Array, last: number, first = last): bigint {
	const word = Math.floor(first / 64);
	return (entry[word] >> BigInt(first % 64)) & ((1n << BigInt(last - first + 1)) - 1n);
}

const host = { root: 0xf_1234_5678_9000n, levels: 4, domainId: 0xbeef, tracksDirty: true, ats: true };

test("an entry that translates nothing is valid", () => {
	expect([...blockedEntry()]).toEqual([1n, 0n, 0n, 0n]);
});

test("host translation: Table 7", () => {
	const entry = hostEntry(host);
	expect([bits(entry, 0), bits(entry, 1)]).toEqual([1n, 1n]); // V, TV
	expect(bits(entry, 8, 7)).toBe(3n); // HAD
	expect(bits(entry, 11, 9)).toBe(4n); // Mode
	expect(bits(entry, 51, 12)).toBe(0xf_1234_5678_9n); // host page table root pointer
	expect(bits(entry, 55)).toBe(0n); // GV
	expect([bits(entry, 61), bits(entry, 62)]).toEqual([1n, 1n]); // IR, IW
	expect(bits(entry, 79, 64)).toBe(0xbeefn); // DomainID
	expect(bits(entry, 96)).toBe(1n); // I
});

test("guest translation has the address of its table of roots in three pieces", () => {
	const gcr3Table = 0xf_edcb_a987_6000n;
	const entry = guestEntry({ gcr3Table, levels: 5, domainId: 1, ats: false });
	expect([bits(entry, 54), bits(entry, 55)]).toEqual([1n, 1n]); // GIOV, GV
	expect(bits(entry, 60, 58)).toBe((gcr3Table >> 12n) & 7n);
	expect(bits(entry, 95, 80)).toBe((gcr3Table >> 15n) & 0xffffn);
	expect(bits(entry, 127, 107)).toBe((gcr3Table >> 31n) & 0x1f_ffffn);
	expect(gcr3Of(entry)).toBe(gcr3Table);
	expect(bits(entry, 183, 182)).toBe(1n); // GuestPagingMode
});

test("nested translation is the host's with what the guest adds", () => {
	const entry = nestedEntry(host, 1n << 58n, 2n << 16n, 1n << 54n);
	expect(bits(entry, 55)).toBe(1n);
	expect(bits(entry, 51, 12)).toBe(0xf_1234_5678_9n);
	expect(gcr3Of(entry)).toBe((1n << 12n) | (2n << 15n));
	expect(bits(entry, 183, 182)).toBe(1n);
});
