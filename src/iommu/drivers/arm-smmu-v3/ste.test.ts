// Bits by the numbers of IHI 0070: "STE[195:...]" is in word 3.

import { expect, test } from "vitest";
import { abortEntry, contextDescriptor, nestedEntry, S1DSS_SSID0, stageOneEntry, stageTwoEntry } from "./ste.js";

function bits(entry: BigUint64Array, last: number, first = last): bigint {
	const word = Math.floor(first / 64);
	return (entry[word] >> BigInt(first % 64)) & ((1n << BigInt(last - first + 1)) - 1n);
}

const walk = { inputBits: 44, outputBits: 44, granuleLg2: 12, topLevel: 3, root: 0x12_3456_7000n, isCoherent: true };
const two = { ...walk, vmid: 0x1234, forceWriteBack: true };

test("an entry that aborts is valid", () => {
	expect([...abortEntry()]).toEqual([1n, 0n, 0n, 0n, 0n, 0n, 0n, 0n]);
});

test("stage 2: 5.2", () => {
	const entry = stageTwoEntry(two, { ats: true, stalls: false });
	expect(bits(entry, 0)).toBe(1n); // V
	expect(bits(entry, 3, 1)).toBe(0b110n); // Config: stage 2
	expect(bits(entry, 64 + 25)).toBe(1n); // S2FWB
	expect(bits(entry, 64 + 29, 64 + 28)).toBe(1n); // EATS
	expect(bits(entry, 143, 128)).toBe(0x1234n); // S2VMID
	expect(bits(entry, 165, 160)).toBe(64n - 44n); // S2T0SZ
	expect(bits(entry, 167, 166)).toBe(2n); // S2SL0: begins at level 0
	expect(bits(entry, 169, 168)).toBe(1n); // S2IR0: write-back
	expect(bits(entry, 173, 172)).toBe(3n); // S2SH0: inner shareable
	expect(bits(entry, 175, 174)).toBe(0n); // S2TG: 4 KiB
	expect(bits(entry, 178, 176)).toBe(4n); // S2PS: 44 bits
	expect(bits(entry, 179)).toBe(1n); // S2AA64
	expect(bits(entry, 182)).toBe(1n); // S2PTW
	expect(bits(entry, 185)).toBe(0n); // S2S
	expect(bits(entry, 186)).toBe(1n); // S2R
	expect(bits(entry, 243, 196) << 4n).toBe(two.root); // S2TTB
});

test("S2SL0 depends on the granule: 5.2, S2SL0", () => {
	const sl0 = (granuleLg2: number, topLevel: number) =>
		bits(stageTwoEntry({ ...two, granuleLg2, topLevel }, { ats: false, stalls: false }), 167, 166);
	expect([sl0(12, 3), sl0(12, 2), sl0(12, 1)]).toEqual([2n, 1n, 0n]);
	expect([sl0(14, 2), sl0(14, 1), sl0(16, 2), sl0(16, 1)]).toEqual([2n, 1n, 2n, 1n]);
});

test("stage 1 leads to a table of context descriptors", () => {
	const entry = stageOneEntry({ address: 0x55_6677_8000n, format: 2, sizeLg2: 20 }, S1DSS_SSID0, {
		ats: false,
		stalls: false,
	});
	expect(bits(entry, 3, 1)).toBe(0b101n); // Config: stage 1
	expect(bits(entry, 5, 4)).toBe(2n); // S1Fmt: two levels
	expect(bits(entry, 51, 6) << 6n).toBe(0x55_6677_8000n); // S1ContextPtr
	expect(bits(entry, 63, 59)).toBe(20n); // S1CDMax
	expect(bits(entry, 65, 64)).toBe(2n); // S1DSS: requests without SubstreamID have number 0
	expect(bits(entry, 64 + 27)).toBe(1n); // S1STALLD
});

test("nested translation has the guest's first stage, and merges events", () => {
	const guest = [1n | (5n << 1n) | (1n << 24n), 1n << 27n] as const;
	const entry = nestedEntry(guest, two, { ats: false, stalls: false });
	expect(bits(entry, 3, 1)).toBe(0b111n); // Config: both stages
	expect(bits(entry, 51, 6) << 6n).toBe(1n << 24n);
	expect(bits(entry, 64 + 19)).toBe(1n); // MEV
	expect(bits(entry, 64 + 27)).toBe(1n); // S1STALLD
	expect(bits(entry, 143, 128)).toBe(0x1234n); // S2VMID
});

test("a context descriptor: 5.4", () => {
	const stage = { ...walk, inputBits: 48, asid: 0xabcd, hardwareDirty: true };
	const descriptor = contextDescriptor(stage, false);
	expect(bits(descriptor, 5, 0)).toBe(16n); // T0SZ
	expect(bits(descriptor, 7, 6)).toBe(0n); // TG0: 4 KiB
	expect(bits(descriptor, 13, 12)).toBe(3n); // SH0
	expect([bits(descriptor, 30), bits(descriptor, 31)]).toEqual([1n, 1n]); // EPD1, V
	expect(bits(descriptor, 34, 32)).toBe(4n); // IPS: 44 bits
	expect([bits(descriptor, 41), bits(descriptor, 42), bits(descriptor, 43)]).toEqual([1n, 1n, 1n]); // AA64, HD, HA
	expect([bits(descriptor, 44), bits(descriptor, 45), bits(descriptor, 46)]).toEqual([0n, 1n, 1n]); // S, R, A
	expect(bits(descriptor, 63, 48)).toBe(0xabcdn); // ASID
	expect(bits(descriptor, 115, 68) << 4n).toBe(walk.root); // TTB0
	expect(bits(contextDescriptor({ ...stage, granuleLg2: 16 }, false), 7, 6)).toBe(1n);
	expect(bits(contextDescriptor({ ...stage, granuleLg2: 14 }, false), 7, 6)).toBe(2n);
});
