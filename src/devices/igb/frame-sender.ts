// From a packet as it lies in memory to frames on the wire: checksums, segments, a tag, padding.
// 82576 data sheet 7.2.1 "Packet transmission", 7.2.2.3 (the fields of data descriptors).

import { crc32 } from "../checksum.js";
import { castOf } from "./receive-filter.js";
import type { PlainRegister } from "./register-file.js";
import { Tctl } from "./registers.js";
import type { Statistics } from "./statistics.js";
import {
	insertChecksums,
	insertLegacyChecksum,
	insertTag,
	Segmentation,
	type TransmitContext,
} from "./transmit-offload.js";

/** A frame with its checksum. */
const LONGEST_FRAME = 9728;
/** Without the checksum, with padding. */
const SHORTEST_FRAME = 60;
const CHECKSUM = 4;

export interface Surroundings {
	readonly insertsTags: () => boolean;
	readonly etherType: () => number;
	/** @param isIntact whether its checksum is right, where software gives it */
	readonly send: (frame: Uint8Array, isIntact: boolean) => void;
}

/** What the first descriptor of a packet says of all of it. */
export interface PacketOptions {
	readonly insertsFcs: boolean;
	readonly tag: number | undefined;
	readonly isSegmented: boolean;
	readonly insertions: { readonly ip: boolean; readonly l4: boolean };
	readonly context: TransmitContext;
	/** Legacy: where a checksum begins, and where it goes. */
	readonly legacyChecksum: { readonly start: number; readonly at: number } | undefined;
}

export class FrameSender {
	readonly #tctl: PlainRegister;
	readonly #flagsLow: PlainRegister;
	readonly #flagsHigh: PlainRegister;
	readonly #statistics: Statistics;
	readonly #around: Surroundings;

	constructor(
		tctl: PlainRegister,
		flagsLow: PlainRegister,
		flagsHigh: PlainRegister,
		statistics: Statistics,
		around: Surroundings,
	) {
		this.#tctl = tctl;
		this.#flagsLow = flagsLow;
		this.#flagsHigh = flagsHigh;
		this.#statistics = statistics;
		this.#around = around;
	}

	/** @param packet is the caller's again afterwards */
	send(packet: Uint8Array, options: PacketOptions): void {
		const { context, insertions, legacyChecksum } = options;
		const frame = packet.slice();
		if (legacyChecksum) insertLegacyChecksum(frame, legacyChecksum.start, legacyChecksum.at);
		else insertChecksums(frame, context, insertions);
		this.finish(frame, options);
	}

	/** Into frames that finish() sends. */
	divide(packet: Uint8Array, { context, insertions }: PacketOptions): Segmentation {
		this.#statistics.count("TSCTC");
		return new Segmentation(packet, context, insertions, {
			first: this.#flagsLow.value & 0xfff,
			middle: (this.#flagsLow.value >>> 16) & 0xfff,
			last: this.#flagsHigh.value & 0xfff,
		});
	}

	/** What can't be sent. */
	discard(): void {
		this.#statistics.count("HTDPMC");
	}

	/** Tag, padding and checksum. */
	finish(frame: Uint8Array, { insertsFcs, tag }: PacketOptions): void {
		const around = this.#around;
		let whole = frame;
		if (tag !== undefined && around.insertsTags()) whole = insertTag(whole, around.etherType(), tag);
		let isIntact = true;
		if (insertsFcs) {
			if (this.#tctl.has(Tctl.PSP) && whole.length < SHORTEST_FRAME) {
				const padded = new Uint8Array(SHORTEST_FRAME);
				padded.set(whole);
				whole = padded;
			}
		} else {
			// The last four bytes are the checksum: software has put it there.
			const end = Math.max(0, whole.length - CHECKSUM);
			isIntact = fcsAt(whole, end) === crc32(whole, 0, end);
			whole = whole.subarray(0, end);
		}
		if (whole.length + CHECKSUM > LONGEST_FRAME) {
			this.discard();
			return;
		}
		this.#count(whole);
		around.send(whole, isIntact);
	}

	#count(frame: Uint8Array): void {
		const octets = frame.length + CHECKSUM;
		this.#statistics.count("TPT");
		this.#statistics.count("GPTC");
		this.#statistics.count("HGPTC");
		for (const counter of ["TOT", "GOTC", "HGOTC"] as const) this.#statistics.octets(counter, octets);
		this.#statistics.sent(octets);
		const cast = castOf(frame);
		if (cast === "multicast") this.#statistics.count("MPTC");
		if (cast === "broadcast") this.#statistics.count("BPTC");
	}
}

function fcsAt(frame: Uint8Array, at: number): number {
	let value = 0;
	for (let i = 3; i >= 0; i--) value = value * 256 + (frame[at + i] ?? 0);
	return value;
}
