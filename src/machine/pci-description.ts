// What a machine description says of a PCI function behind an IOMMU.

import * as v from "valibot";
import type { DeviceModel, FunctionIdentity } from "../devices/model.js";
import { allModels, modelNamed, modelWithIds } from "../devices/models.js";
import { hex } from "../uapi/errno.js";
import { explain, messageOf } from "./errors.js";
import { hex16, hex24, hex64, integer, powerOfTwo } from "./values.js";

/** An entry of the MSI-X table, and eight bytes for each 64 pending bits. PCI Express 7.7.2 */
const MSIX_ENTRY = 16;
const PENDING_BITS = 64;
const PENDING_BYTES = 8;

/** Bytes. */
const PAGE = 4096n;

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
	v.check(
		({ first, last }) => first % PAGE === 0n && (last + 1n) % PAGE === 0n,
		"it must be whole pages of 4096 bytes: first ends in 000, last in fff",
	),
);

const fields = v.strictObject({
	/** Segment, bus, device, function. */
	address: v.pipe(
		v.string(),
		v.regex(/^[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/, `an address is like "0000:00:03.0"`),
	),
	/** What is behind its registers, by name. Without it that is found by vendor and device ID. */
	model: v.optional(v.string()),
	/** What is chosen for the model. */
	options: v.optional(v.record(v.string(), v.unknown())),
	vendor: v.optional(hex16),
	device: v.optional(hex16),
	subsystemVendor: v.optional(hex16),
	subsystem: v.optional(hex16),
	revision: v.optional(integer(0, 255)),
	/** Base class, subclass, programming interface. */
	class: v.optional(hex24),
	/** Functions with the same number are in one group; without a number a function is alone in its group. */
	group: v.optional(integer(0, 65535)),
	bars: v.optional(v.array(bar)),
	/** 1 to 4 for INTA to INTD, 0 for none. */
	interruptPin: v.optional(integer(0, 4)),
	msiVectors: v.optional(v.picklist([0, 1, 2, 4, 8, 16, 32])),
	msix: v.optional(msix),
	/** A PCI Express function, which ATS, PRI and PASIDs take. */
	express: v.optional(v.boolean()),
	ats: v.optional(v.boolean(), false),
	pri: v.optional(v.boolean(), false),
	pasidBits: v.optional(integer(0, 20), 0),
	/** Whether it can be reset without others. */
	canReset: v.optional(v.boolean(), true),
	/** Whether it has SR-IOV, so that programs share a VF token with those of its virtual functions. */
	sriov: v.optional(v.boolean(), false),
	/** How many of its virtual functions there are at the start, of those that are described; all if absent. */
	numvfs: v.optional(integer(0, 65535)),
	/** The driver that it has at the start: one of the kernel's keeps programs away; "none" is none. */
	driver: v.optional(v.pipe(v.string(), v.regex(/^[a-zA-Z0-9_-]+$/, "a driver's name is expected here")), "vfio-pci"),
	/** The address of the physical function that it is a virtual function of. */
	virtualFunctionOf: v.optional(v.string()),
	firmwareRegions: v.optional(v.array(firmwareRegion), []),
});

type Given = v.InferOutput<typeof fields>;

/** What a model says of itself, and whoever describes a function may say otherwise. */
type Identity = Required<Omit<FunctionIdentity, "bars" | "msix">> & {
	readonly bars: readonly v.InferOutput<typeof bar>[];
	readonly msix?: v.InferOutput<typeof msix> | undefined;
};

export type PciDescription = Omit<Given, "model" | "options" | keyof Identity> &
	Identity & {
		/** What is behind its registers; undefined where nothing is. */
		readonly model: DeviceModel | undefined;
		/** What was chosen for it, as its schema gives it, and as it was given. */
		readonly options: unknown;
		readonly chosen: unknown;
	};

/** Of what has a model's name, and of all others. */
const DEFAULTS = {
	subsystemVendor: 0x1af4,
	subsystem: 0x1100,
	revision: 0,
	bars: [],
	interruptPin: 0,
	msiVectors: 0,
	express: false,
} as const;

const PROBLEMS = [problemOfBars, problemOfMsix, problemOfSriov, problemOfExpress, problemOfRegions];

/** A function whose parts fit together. */
export const pciDescription = v.pipe(
	fields,
	v.rawTransform(({ dataset, addIssue, NEVER }): PciDescription => {
		const complete = withModel(dataset.value);
		if (typeof complete === "string") {
			addIssue({ message: complete });
			return NEVER;
		}
		const message = PROBLEMS.map((problemOf) => problemOf(complete)).find((problem) => problem !== undefined);
		if (message !== undefined) addIssue({ message });
		return complete;
	}),
);

/** @returns the whole description, or what is wrong with it */
function withModel({ model: name, options: chosen = {}, ...given }: Given): PciDescription | string {
	// SR-IOV's is an extended capability, for which only a PCI Express function has room.
	const express = given.sriov || given.virtualFunctionOf !== undefined;
	const known = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as typeof given;
	if (name === undefined) {
		for (const field of ["vendor", "device", "class"] as const)
			if (given[field] === undefined) return `the field "${field}" is missing`;
		const model = modelWithIds(given.vendor!, given.device!);
		if (model === undefined && Object.keys(chosen).length > 0)
			return "it has options, and no model: there is none with these IDs, and none is named";
		const options = model && parseOptions(model, chosen);
		if (typeof options === "string") return options;
		return { ...DEFAULTS, express, ...known, model, options: options?.value, chosen } as PciDescription;
	}
	const model = modelNamed(name);
	if (model === undefined) {
		const names = allModels().map((model) => model.name);
		return `there is no model "${name}": one of ${names.join(", ")}`;
	}
	const options = parseOptions(model, chosen);
	if (typeof options === "string") return options;
	const identity = identityOf(model, options.value);
	if (typeof identity === "string") return identity;
	const bars = identity.bars.map((bar) => ({ space: "memory32", prefetchable: false, ...bar }));
	return { ...DEFAULTS, express, ...identity, bars, ...known, model, options: options.value, chosen } as PciDescription;
}

/** @returns what it shows, or why it can't be had */
function identityOf(model: DeviceModel, options: unknown): FunctionIdentity | string {
	try {
		return model.identity(options);
	} catch (error) {
		return `${model.name}: ${(error as Error).message}`;
	}
}

/** @returns what was chosen, or what is wrong with that */
export function parseOptions(model: DeviceModel, chosen: unknown): { readonly value: unknown } | string {
	const result = v.safeParse(model.options, chosen, { message: messageOf });
	if (result.success) return { value: result.output };
	return `options of ${model.name}: ${explain(result.issues, model.options)}`;
}

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

function problemOfSriov({ express, sriov }: PciDescription): string | undefined {
	return sriov && !express ? "SR-IOV takes a PCI Express function, and express is false" : undefined;
}

/** What only PCI Express functions have. PCI Express 7.8.8, 10.5 */
function problemOfExpress({ express, ats, pri, pasidBits }: PciDescription): string | undefined {
	const capability = Object.entries({ ats, pri, pasidBits: pasidBits > 0 }).find(([, has]) => has)?.[0];
	return express || capability === undefined
		? undefined
		: `"${capability}" takes a PCI Express function: "express": true`;
}

function problemOfRegions({ firmwareRegions }: PciDescription): string | undefined {
	const inOrder = [...firmwareRegions].sort((one, other) => (one.first < other.first ? -1 : 1));
	for (const [i, { first, last }] of inOrder.entries()) {
		const next = inOrder[i + 1];
		if (next !== undefined && next.first <= last)
			return `two firmwareRegions overlap: one from ${hex(first)} to ${hex(last)}, and one from ${hex(next.first)} on`;
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
