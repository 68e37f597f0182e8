// What the controller does to a packet on its way out: checksums, tags, and the segmentation of TCP and UDP.
// 82576 data sheet 7.2.2.3 (context and data descriptors), 7.2.4 "TCP segmentation", 7.2.5 "IP/TCP/UDP/SCTP transmit checksum
// offloading", 7.4.2 "802.1q tagged frames".

import { addWords, crc32c } from "../checksum.js";
import { ETHERNET_HEADER, TAG, word } from "./packet.js";

/** A context descriptor: what the data descriptors after it refer to. */
export interface TransmitContext {
	/** MACLEN: of the Ethernet header, with a tag that is in memory. */
	readonly macLength: number;
	readonly ipLength: number;
	readonly vlan: number;
	readonly isIpv4: boolean;
	/** L4T */
	readonly protocol: "UDP" | "TCP" | "SCTP" | "none";
	readonly l4Length: number;
	/** MSS: bytes of payload in a segment. */
	readonly segmentSize: number;
}

export const NO_CONTEXT: TransmitContext = {
	macLength: 0,
	ipLength: 0,
	vlan: 0,
	isIpv4: false,
	protocol: "none",
	l4Length: 0,
	segmentSize: 0,
};

const PROTOCOLS = ["UDP", "TCP", "SCTP", "none"] as const;
/** Where the checksum is in the header. */
const CHECKSUM_AT = { UDP: 6, TCP: 16, SCTP: 8, none: 0 } as const;
const IPV4_CHECKSUM_AT = 10;

/** 7.2.2.2 @param at where the descriptor is */
export function readContext(view: DataView, at: number): TransmitContext {
	const lengths = view.getUint32(at, true);
	const type = view.getUint32(at + 8, true);
	const sizes = view.getUint32(at + 12, true);
	return {
		macLength: (lengths >>> 9) & 0x7f,
		ipLength: lengths & 0x1ff,
		vlan: lengths >>> 16,
		isIpv4: (type & (1 << 10)) !== 0,
		protocol: PROTOCOLS[(type >>> 11) & 3],
		l4Length: (sizes >>> 8) & 0xff,
		segmentSize: sizes >>> 16,
	};
}

export interface Insertions {
	/** IXSM */
	readonly ip: boolean;
	/** TXSM */
	readonly l4: boolean;
}

/** Writes the checksums of IP and of what it carries where the context says they are, as far as they are in the frame. */
export function insertChecksums(frame: Uint8Array, context: TransmitContext, insertions: Insertions): void {
	const { macLength, ipLength } = context;
	const l4 = macLength + ipLength;
	if (insertions.ip && context.isIpv4 && l4 <= frame.length && ipLength >= IPV4_CHECKSUM_AT + 2) {
		put(frame, macLength + IPV4_CHECKSUM_AT, 0);
		put(frame, macLength + IPV4_CHECKSUM_AT, ~addWords(frame, macLength, l4));
	}
	if (!insertions.l4 || context.protocol === "none") return;
	const at = l4 + CHECKSUM_AT[context.protocol];
	if (context.protocol === "SCTP") {
		if (at + 4 > frame.length) return;
		frame.fill(0, at, at + 4);
		new DataView(frame.buffer, frame.byteOffset).setUint32(at, crc32c(frame, l4, frame.length), true);
		return;
	}
	if (at + 2 > frame.length) return;
	// Software has put the sum of the pseudo header there.
	const sum = ~addWords(frame, l4, frame.length) & 0xffff;
	put(frame, at, context.protocol === "UDP" && sum === 0 ? 0xffff : sum);
}

/** A legacy descriptor's own checksum: 7.2.2.1. @param start CSS @param at CSO */
export function insertLegacyChecksum(frame: Uint8Array, start: number, at: number): void {
	if (start >= frame.length || at + 2 > frame.length) return;
	put(frame, at, ~addWords(frame, start, frame.length));
}

/** A frame with a tag after its addresses. */
export function insertTag(frame: Uint8Array, etherType: number, vlan: number): Uint8Array {
	if (frame.length < ETHERNET_HEADER) return frame;
	const tagged = new Uint8Array(frame.length + TAG);
	tagged.set(frame.subarray(0, 12));
	put(tagged, 12, etherType);
	put(tagged, 14, vlan);
	tagged.set(frame.subarray(12), 16);
	return tagged;
}

/** Which of the flags of TCP each segment keeps: DTXTCPFLGL and DTXTCPFLGH. */
export interface TcpFlagMasks {
	readonly first: number;
	readonly middle: number;
	readonly last: number;
}

/** How a packet is divided into frames with a header each. 7.2.4.7 */
export class Segmentation {
	/** How many frames; 0 when the headers aren't in the packet, or it has no payload: then it can't be sent. */
	readonly count: number;
	readonly #packet: Uint8Array;
	readonly #context: TransmitContext;
	readonly #insertions: Insertions;
	readonly #masks: TcpFlagMasks;

	/** @param packet headers, and then the payload of all segments */
	constructor(packet: Uint8Array, context: TransmitContext, insertions: Insertions, masks: TcpFlagMasks) {
		this.#packet = packet;
		this.#context = context;
		this.#insertions = insertions;
		this.#masks = masks;
		const payload = packet.length - this.#header;
		this.count = this.#isPossible ? Math.ceil(payload / context.segmentSize) : 0;
	}

	/** @param index below `count` */
	frameAt(index: number): Uint8Array {
		const { segmentSize, macLength, ipLength, protocol } = this.#context;
		const header = this.#header;
		const from = index * segmentSize;
		const piece = this.#packet.subarray(header + from, header + from + segmentSize);
		const frame = new Uint8Array(header + piece.length);
		frame.set(this.#packet.subarray(0, header));
		frame.set(piece, header);
		const place = index === this.count - 1 ? "last" : index === 0 ? "first" : "middle";
		numberSegment(frame, this.#context, index, from, this.#masks[place]);
		if (this.#insertions.l4) addLength(frame, macLength + ipLength, CHECKSUM_AT[protocol]);
		insertChecksums(frame, this.#context, this.#insertions);
		return frame;
	}

	get #header(): number {
		const { macLength, ipLength, l4Length } = this.#context;
		return macLength + ipLength + l4Length;
	}

	get #isPossible(): boolean {
		const { ipLength, l4Length, isIpv4, protocol, segmentSize } = this.#context;
		if ((protocol !== "TCP" && protocol !== "UDP") || l4Length < (protocol === "TCP" ? 20 : 8)) return false;
		return ipLength >= (isIpv4 ? 20 : 40) && segmentSize > 0 && this.#header < this.#packet.length;
	}
}

/** What differs from segment to segment. @param offset of its payload in all of it */
function numberSegment(
	frame: Uint8Array,
	{ macLength, ipLength, isIpv4, protocol }: TransmitContext,
	index: number,
	offset: number,
	flags: number,
): void {
	const l4 = macLength + ipLength;
	const l4Octets = frame.length - l4;
	if (isIpv4) {
		put(frame, macLength + 2, ipLength + l4Octets);
		put(frame, macLength + 4, word(frame, macLength + 4) + index);
	} else put(frame, macLength + 4, ipLength - 40 + l4Octets);
	if (protocol === "TCP") {
		const view = new DataView(frame.buffer, frame.byteOffset);
		view.setUint32(l4 + 4, view.getUint32(l4 + 4) + offset);
		put(frame, l4 + 12, word(frame, l4 + 12) & (0xf000 | flags));
	} else put(frame, l4 + 4, l4Octets);
}

/** The sum of the pseudo header, as software has left it, is without the length. @param at in the header */
function addLength(frame: Uint8Array, l4: number, at: number): void {
	const sum = word(frame, l4 + at) + frame.length - l4;
	put(frame, l4 + at, sum > 0xffff ? sum - 0xffff : sum);
}

function put(frame: Uint8Array, at: number, value: number): void {
	frame[at] = value >>> 8;
	frame[at + 1] = value;
}
