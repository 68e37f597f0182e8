// How an SMMU finds a guest's stage 1: by the stream table entry, and context descriptors in the guest's memory, of which it
// keeps copies until a CFGI_CD.
// SMMUv3 (IHI 0070), 3.3.2 "StreamIDs to Context Descriptors", 5.3 "Level 1 Context Descriptor", 5.4 "Context Descriptor";
// Arm ARM (DDI 0487) D8.2.

import { PAGE_SHIFT } from "../../../memory/address-space.js";
import { pageOf } from "../../../memory/page-number.js";
import { armv8 } from "../../../pagetable/formats/armv8.js";
import { levelsOf } from "../../../pagetable/table-level.js";
import { hex } from "../../../uapi/errno.js";
import type { Device } from "../../core/iommu.js";
import { NO_PASID, type Pasid } from "../../core/pasid.js";
import type { Access } from "../../translation/access.js";
import { DmaFault, type DmaRequest, type FaultKind } from "../../translation/dma-fault.js";
import type { FirstStage } from "../../translation/first-stage.js";
import type { GuestMemory } from "../../translation/guest-memory.js";
import { Stage1Rules } from "./guest-entries.js";
import type { SmmuFeatures } from "./registers.js";
import { CONFIG, configOf, type StreamTableEntry } from "./ste.js";

const bits = (word: bigint, last: number, first: number): bigint =>
	(word >> BigInt(first)) & ((1n << BigInt(last - first + 1)) - 1n);
const bit = (word: bigint, number: number): boolean => bits(word, number, number) === 1n;

// STE.S1Fmt, and the lg2 of the descriptors in a table of the lower level.
const S1FMT_LINEAR = 0;
const LEAF_LG2 = [undefined, 6, 10];
// STE.S1DSS
const S1DSS_TERMINATE = 0;
const S1DSS_BYPASS = 1;
const DESCRIPTOR_WORDS = 16;
/** CD.TG0 and CD.TG1 differ. */
const TG0 = [12, 16, 14] as const;
const TG1 = [undefined, 14, 12, 16] as const;
/** CD.IPS */
const OUTPUT_BITS = [32, 36, 40, 42, 44, 48, 52];
/** STE.S1ContextPtr, the address of a table of descriptors, CD.TTB0 and TTB1 begin at different bits. */
const CONTEXT_PTR = 0xf_ffff_ffff_ffc0n;
const L2_PTR = 0xf_ffff_ffff_f000n;
const TTB = 0xf_ffff_ffff_fff0n;

/** One device's entry. */
export class GuestStream {
	readonly #ste: StreamTableEntry;
	readonly #features: SmmuFeatures;

	constructor(ste: StreamTableEntry, features: SmmuFeatures) {
		this.#ste = ste;
		this.#features = features;
	}

	/** @returns undefined for requests that bypass stage 1 @throws DmaFault */
	firstStage(request: DmaRequest, memory: GuestMemory): FirstStage | undefined {
		const { pasid } = request;
		const config = configOf(this.#ste[0]);
		if (config === CONFIG.S2_TRANS) {
			if (pasid === NO_PASID) return undefined;
			throw refusal(request, "blocked", `STE.Config bypasses stage 1, and PASID ${pasid} takes one`);
		}
		if (config !== CONFIG.NESTED) throw new DmaFault(request, "attachment", "blocked", "STE.Config aborts");
		const sizeLg2 = Number(bits(this.#ste[0], 63, 59));
		if (pasid >= 2 ** sizeLg2) {
			const reason = `STE.S1CDMax is ${sizeLg2}: there is no context descriptor for PASID ${pasid}`;
			throw refusal(request, "out-of-range", reason);
		}
		if (pasid === NO_PASID && sizeLg2 > 0) {
			const dss = Number(bits(this.#ste[1], 1, 0));
			if (dss === S1DSS_TERMINATE) throw refusal(request, "blocked", "STE.S1DSS refuses requests without a PASID");
			if (dss === S1DSS_BYPASS) return undefined;
		}
		return this.#stageOf(this.#descriptor(request, memory), request);
	}

	/** The words of 64 bits of the context descriptor. */
	#descriptor(request: DmaRequest, memory: GuestMemory): BigUint64Array {
		const { pasid } = request;
		const format = Number(bits(this.#ste[0], 5, 4));
		let table = this.#ste[0] & CONTEXT_PTR;
		let index = pasid;
		if (format !== S1FMT_LINEAR) {
			const leafLg2 = LEAF_LG2[format];
			if (leafLg2 === undefined) throw refusal(request, "malformed", `STE.S1Fmt is ${format}, which is reserved`);
			const address = table + BigInt(8 * (pasid >>> leafLg2));
			const [low, high] = memory.read(address, 2, "level 1 context descriptor");
			if (!(low & 1))
				throw refusal(
					request,
					"not-present",
					`the level 1 context descriptor at guest-physical ${hex(address)} has no V`,
				);
			table = ((BigInt(high) << 32n) | BigInt(low)) & L2_PTR;
			index = pasid % 2 ** leafLg2;
		}
		const address = table + BigInt(64 * index);
		const words = memory.read(address, DESCRIPTOR_WORDS, `context descriptor ${index}`);
		const descriptor = new BigUint64Array(words.buffer);
		const reason = objectionTo(descriptor[0]);
		if (reason !== undefined)
			throw refusal(request, "malformed", `the context descriptor at guest-physical ${hex(address)} ${reason}`);
		return descriptor;
	}

	/** Two tables share the address space: TTB0 begins at its lower end, TTB1 goes up to its upper end. */
	#stageOf(descriptor: BigUint64Array, request: DmaRequest): FirstStage {
		const [word0] = descriptor;
		const isUpper = isInUpperHalf(pageOf(request.iova));
		const half = isUpper ? 1 : 0;
		if (bit(word0, isUpper ? 30 : 14))
			throw refusal(request, "not-present", `CD.EPD${half} is set: there is no table for ${hex(request.iova)}`);
		const granuleLg2 = isUpper ? TG1[Number(bits(word0, 23, 22))] : TG0[Number(bits(word0, 7, 6))];
		if (granuleLg2 === undefined || !this.#features.granules.includes(granuleLg2))
			throw refusal(request, "malformed", `the SMMU has no granule like that of CD.TG${half}`);
		const inputBits = 64 - Number(isUpper ? bits(word0, 21, 16) : bits(word0, 5, 0));
		const widest = granuleLg2 === 16 ? this.#features.inputBits : 48;
		if (inputBits < 25 || inputBits > widest)
			throw refusal(
				request,
				"malformed",
				`CD.T${half}SZ leaves ${inputBits} bits of address, and 25 to ${widest} are possible`,
			);
		const ips = OUTPUT_BITS[Number(bits(word0, 34, 32))] ?? 48;
		const outputBits = Math.min(ips, this.#features.outputBits, granuleLg2 === 16 ? 52 : 48);
		const { format, config } = armv8({ stage: 1, granuleLg2, inputBits, outputBits });
		const tableWord = descriptor[half + 1];
		const manages = this.#features.HTTU;
		const ignoresTopByte = bit(word0, 38 + half);
		return {
			format,
			levels: levelsOf(format),
			topLevel: config.topLevel,
			root: Number(tableWord & TTB),
			asid: Number(bits(word0, 63, 48)),
			rules: new Stage1Rules({
				setsAccessed: manages >= 1 && bit(word0, 43),
				setsDirty: manages >= 2 && bit(word0, 43) && bit(word0, 42),
				faultsOnAccess: !bit(word0, 35),
				ignoresTables: bit(tableWord, 1),
			}),
			outputBits,
			outputFrames: 2 ** (outputBits - granuleLg2),
			inputInWords: `CD.T${half}SZ leaves ${inputBits} bits`,
			inputPage(page) {
				const used = ignoresTopByte ? 56 : 64;
				const pages = 2 ** (inputBits - 12);
				const above = Math.floor((page % 2 ** (used - 12)) / pages);
				const wanted = isUpper ? 2 ** (used - inputBits) - 1 : 0;
				return above === wanted ? page % pages : -1;
			},
		};
	}
}

/** Bit 55 of an address selects the half, whatever is above it. In pages. */
const HALF = 2 ** (55 - PAGE_SHIFT);

function isInUpperHalf(page: number): boolean {
	return (Math.floor(page / HALF) & 1) !== 0;
}

function refusal(request: DmaRequest, kind: FaultKind, reason: string): DmaFault {
	return new DmaFault(request, "first stage", kind, reason);
}

function objectionTo(word0: bigint): string | undefined {
	if (!bit(word0, 31)) return "has no V";
	if (!bit(word0, 41)) return "has no AA64, and the tables of AArch32 are not modelled";
	return undefined;
}

/** What a context descriptor says of a half of the address space; undefined where requests bypass stage 1. */
interface CachedHalf {
	readonly stage: FirstStage | undefined;
}

/** What an SMMU has read of a guest's context descriptors: first stages by device and PASID, one for each half. */
export class DescriptorCache {
	readonly #byDevice = new Map<Device, Map<Pasid, Map<boolean, CachedHalf>>>();

	/** What is cached, if anything. */
	get({ device, pasid, page }: Access): CachedHalf | undefined {
		return this.#byDevice.get(device)?.get(pasid)?.get(isInUpperHalf(page));
	}

	add({ device, pasid, page }: Access, stage: FirstStage | undefined): void {
		let ofDevice = this.#byDevice.get(device);
		if (ofDevice === undefined) {
			ofDevice = new Map();
			this.#byDevice.set(device, ofDevice);
		}
		const halves = ofDevice.get(pasid) ?? new Map<boolean, CachedHalf>();
		ofDevice.set(pasid, halves.set(isInUpperHalf(page), { stage }));
	}

	forget(device: Device, pasid: Pasid): void {
		this.#byDevice.get(device)?.delete(pasid);
	}

	forgetAll(device: Device): void {
		this.#byDevice.delete(device);
	}
}
