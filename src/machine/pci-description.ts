// What a machine description says of a PCI function behind an IOMMU.

import * as v from "valibot";
import { hex16, hex24, hex64, integer, powerOfTwo } from "./values.js";

/** An entry of the MSI-X table, and eight bytes for each 64 pending bits. PCI Express 7.7.2 */
const MSIX_ENTRY = 16;
const PENDING_BITS = 64;
const PENDING_BYTES = 8;

const bar = v.strictObject({
	index: integer(0, 5),
	/** Bytes. */
	size: powerOfTwo,
	space: v.optional(v.picklist(["memory32", "memory64", "io"]), "memory32"),
	prefetchable: v.optional(v.boolean(), false),
});

const msix = v.strictObject({
	vectors: integer(1, 2048),
	bar: integer(0, 5),
	tableOffset: v.optional(integer(0, 2 ** 31), 0),
	pendingOffset: v.optional(integer(0, 2 ** 31), 2048),
});

/** A range of addresses that the firmware's tables speak of for the function: RMRR, IVMD, RMR. */
const firmwareRegion = v.pipe(
	v.strictObject({
		/** direct: to be mapped one to one; reserved: not to be used. */
		kind: v.picklist(["direct", "reserved"]),
		first: hex64,
		last: hex64,
	}),
	v.check(({ first, last }) => first <= last, "first is after last"),
);

const fields = v.strictObject({
	/** Segment, bus, device, function. */
	address: v.pipe(
		v.string(),
		v.regex(/^[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/, `an address is like "0000:00:03.0"`),
	),
	vendor: hex16,
	device: hex16,
	subsystemVendor: v.optional(hex16, "0x1af4"),
	subsystem: v.optional(hex16, "0x1100"),
	revision: v.optional(integer(0, 255), 0),
	/** Base class, subclass, programming interface. */
	class: hex24,
	/** Functions with the same number are in one group; without a number a function is alone in its group. */
	group: v.optional(integer(0, 65535)),
	bars: v.optional(v.array(bar), []),
	/** 1 to 4 for INTA to INTD, 0 for none. */
	interruptPin: v.optional(integer(0, 4), 0),
	msiVectors: v.optional(v.picklist([0, 1, 2, 4, 8, 16, 32]), 0),
	msix: v.optional(msix),
	/** A PCI Express function, which ATS, PRI and PASIDs take. */
	express: v.optional(v.boolean(), false),
	ats: v.optional(v.boolean(), false),
	pri: v.optional(v.boolean(), false),
	pasidBits: v.optional(integer(0, 20), 0),
	/** Whether it can be reset without others. */
	canReset: v.optional(v.boolean(), true),
	/** Whether it has SR-IOV, so that programs share a VF token with those of its virtual functions. */
	sriov: v.optional(v.boolean(), false),
	/** The address of the physical function that it is a virtual function of. */
	virtualFunctionOf: v.optional(v.string()),
	firmwareRegions: v.optional(v.array(firmwareRegion), []),
});

/** A function whose parts fit together. */
export const pciDescription = v.pipe(
	fields,
	v.rawCheck(({ dataset, addIssue }) => {
		if (!dataset.typed) return;
		const message = problemOfBars(dataset.value) ?? problemOfMsix(dataset.value);
		if (message !== undefined) addIssue({ message });
	}),
);

export type PciDescription = v.InferOutput<typeof fields>;

/** A 64-bit BAR takes two of the six registers. */
function problemOfBars({ bars }: PciDescription): string | undefined {
	const taken = new Set<number>();
	for (const { index, space } of bars) {
		if (space === "memory64" && index === 5) return "BAR5 has no register after it, which a memory64 one takes, too";
		for (const register of space === "memory64" ? [index, index + 1] : [index]) {
			if (taken.has(register))
				return `two BARs take BAR${register}: a memory64 one takes the register after its own, too`;
			taken.add(register);
		}
	}
	return undefined;
}

function problemOfMsix({ bars, msix }: PciDescription): string | undefined {
	if (msix === undefined) return undefined;
	const { vectors, tableOffset, pendingOffset } = msix;
	const bar = bars.find(({ index, space }) => index === msix.bar && space !== "io");
	if (bar === undefined) return `msix is in BAR${msix.bar}, and there is no such BAR of memory`;
	const table = { name: "table", from: tableOffset, to: tableOffset + vectors * MSIX_ENTRY };
	const pendingBytes = Math.ceil(vectors / PENDING_BITS) * PENDING_BYTES;
	const pending = { name: "pending bits", from: pendingOffset, to: pendingOffset + pendingBytes };
	for (const { name, from, to } of [table, pending]) {
		if (from % 8 !== 0) return `msix: the ${name} at byte ${from} of BAR${bar.index} must be at a multiple of 8`;
		if (to > bar.size)
			return `msix: the ${name} for ${vectors} vectors ends at byte ${to} of BAR${bar.index}, which has ${bar.size}`;
	}
	if (table.from < pending.to && pending.from < table.to)
		return `msix: the table takes the bytes ${table.from} to ${table.to - 1}, and the pending bits are at ${pending.from}`;
	return undefined;
}
