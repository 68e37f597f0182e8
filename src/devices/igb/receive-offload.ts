// What a receive descriptor says of a packet: what it is, whether its checksums are right, its hash, its tag.
// 82576 data sheet 7.1.4.1 "Legacy receive descriptor", 7.1.5.2 "Advanced receive descriptor, write-back", 7.1.10 "Receive packet
// checksum offloading", 8.10.17 RXCSUM, 8.10.21 ETQF.

import { addWords, crc32c } from "../checksum.js";
import { type Ip, type Packet, Protocol, parsePacket, word } from "./packet.js";
import type { PlainRegister, RegisterFile } from "./register-file.js";
import { Register, Rxcsum } from "./registers.js";
import { type Destination, Rss } from "./rss.js";

/** In the status of both kinds. */
const Status = {
	DD: 1 << 0,
	EOP: 1 << 1,
	IXSM: 1 << 2,
	VP: 1 << 3,
	UDPCS: 1 << 4,
	L4CS: 1 << 5,
	IPCS: 1 << 6,
} as const;
/** In the word with the status, of an advanced descriptor. */
const L4_ERROR = 1 << 29;
const IP_ERROR = 1 << 30;
/** In the byte after the status, of a legacy one. */
const LEGACY_L4_ERROR = 1 << 5;
const LEGACY_IP_ERROR = 1 << 6;

/** Packet types: bits of an advanced descriptor's first word, from bit 4 on. */
const Type = {
	IPV4: 1,
	IPV4_OPTIONS: 2,
	IPV6: 4,
	IPV6_EXTENSIONS: 8,
	TCP: 16,
	UDP: 32,
	SCTP: 64,
	ETQF: 1 << 11,
} as const;
const TYPE_SHIFT = 4;

const ETHER_TYPE_FILTERS = 8;
const Etqf = { FILTER_ENABLE: 1 << 26, QUEUE_ENABLE: 2 ** 31, QUEUE_SHIFT: 16 } as const;

interface Checks {
	/** UDPCS, L4CS, IPCS: what was looked at. */
	readonly status: number;
	readonly isIpWrong: boolean;
	readonly isL4Wrong: boolean;
}

/** A packet without its bytes. */
export interface DescribedPacket {
	readonly queue: number;
	/** @param isLast whether the packet ends in this descriptor's buffer */
	writeLegacy(view: DataView, at: number, length: number, isLast: boolean): void;
	writeAdvanced(view: DataView, at: number, length: number, isLast: boolean): void;
}

export class ReceiveOffload {
	readonly #rxcsum: PlainRegister;
	readonly #etqf: PlainRegister[];
	readonly #rss: Rss;

	constructor(registers: RegisterFile) {
		this.#rxcsum = registers.plain(Register.RXCSUM);
		this.#etqf = registers.row(Register.ETQF, ETHER_TYPE_FILTERS);
		this.#rss = new Rss(registers);
	}

	/** @param frame with its tag, if it has one @param tag what is taken out of it */
	describe(frame: Uint8Array, isTagged: boolean, tag: number | undefined): DescribedPacket {
		const packet = parsePacket(frame, isTagged);
		const filter = this.#etqf.findIndex(
			({ value }) => value & Etqf.FILTER_ENABLE && (value & 0xffff) === packet.etherType,
		);
		const etqf = this.#etqf[filter]?.value ?? 0;
		const hashed = this.#rss.destinationOf(frame, packet);
		const isFiltered = filter >= 0;
		const queue = etqf & Etqf.QUEUE_ENABLE ? (etqf >>> Etqf.QUEUE_SHIFT) & 7 : hashed.queue;
		const destination = { ...hashed, queue };
		const type = isFiltered ? Type.ETQF | filter : typeOf(packet);
		const checks = this.#check(frame, packet);
		const sum = this.#rxcsum.has(Rxcsum.PCSD) ? undefined : this.#packetChecksum(frame);
		return new Description(destination, type, checks, tag, sum, packet.ip, frame);
	}

	/** From PCSS on to the end, neither complemented nor adjusted. */
	#packetChecksum(frame: Uint8Array): number {
		return addWords(frame, Math.min(this.#rxcsum.value & 0xff, frame.length), frame.length);
	}

	#check(frame: Uint8Array, { ip }: Packet): Checks {
		let status = 0;
		let isIpWrong = false;
		let isL4Wrong = false;
		if (ip?.version === 4 && this.#rxcsum.has(Rxcsum.IPOFLD)) {
			status |= Status.IPCS;
			isIpWrong = addWords(frame, ip.start, ip.start + ip.headerLength) !== 0xffff;
		}
		if (ip?.protocol === Protocol.SCTP) {
			if (this.#rxcsum.has(Rxcsum.CRCOFL) && ip.payload + 12 <= ip.end) {
				status |= Status.L4CS;
				isL4Wrong = !isSctpRight(frame, ip);
			}
		} else if (ip?.protocol !== undefined && this.#rxcsum.has(Rxcsum.TUOFLD) && hasL4Checksum(frame, ip)) {
			status |= Status.L4CS | (ip.protocol === Protocol.UDP ? Status.UDPCS : 0);
			isL4Wrong = addWords(frame, ip.payload, ip.end, pseudoHeader(frame, ip)) !== 0xffff;
		}
		return { status, isIpWrong, isL4Wrong };
	}
}

class Description implements DescribedPacket {
	readonly #destination: Destination;
	readonly #type: number;
	readonly #checks: Checks;
	readonly #tag: number | undefined;
	/** Undefined where the hash is wanted instead. */
	readonly #sum: number | undefined;
	readonly #identification: number;

	constructor(
		destination: Destination,
		type: number,
		checks: Checks,
		tag: number | undefined,
		sum: number | undefined,
		ip: Ip | undefined,
		frame: Uint8Array,
	) {
		this.#destination = destination;
		this.#type = type;
		this.#checks = checks;
		this.#tag = tag;
		this.#sum = sum;
		this.#identification = ip?.version === 4 ? word(frame, ip.start + 4) : 0;
	}

	get queue(): number {
		return this.#destination.queue;
	}

	/** The address stays as it was. */
	writeLegacy(view: DataView, at: number, length: number, isLast: boolean): void {
		const { status, isIpWrong, isL4Wrong } = this.#checks;
		const errors = (isIpWrong ? LEGACY_IP_ERROR : 0) | (isL4Wrong ? LEGACY_L4_ERROR : 0);
		view.setUint16(at + 8, length, true);
		view.setUint16(at + 10, this.#sum ?? 0, true);
		view.setUint8(at + 12, this.#statusOf(isLast, status === 0 ? Status.IXSM : status));
		view.setUint8(at + 13, isLast ? errors : 0);
		view.setUint16(at + 14, isLast ? (this.#tag ?? 0) : 0, true);
	}

	writeAdvanced(view: DataView, at: number, length: number, isLast: boolean): void {
		const { status, isIpWrong, isL4Wrong } = this.#checks;
		const { type, hash } = this.#destination;
		const hasHash = this.#sum === undefined;
		view.setUint32(at, (this.#type << TYPE_SHIFT) | (hasHash ? type : 0), true);
		view.setUint32(at + 4, hasHash ? hash : ((this.#sum! << 16) | this.#identification) >>> 0, true);
		const errors = (isIpWrong ? IP_ERROR : 0) | (isL4Wrong ? L4_ERROR : 0);
		view.setUint32(at + 8, this.#statusOf(isLast, status) | (isLast ? errors : 0), true);
		view.setUint16(at + 12, length, true);
		view.setUint16(at + 14, isLast ? (this.#tag ?? 0) : 0, true);
	}

	/** Of a packet in several buffers only the last descriptor tells more. */
	#statusOf(isLast: boolean, checks: number): number {
		if (!isLast) return Status.DD;
		return Status.DD | Status.EOP | checks | (this.#tag !== undefined ? Status.VP : 0);
	}
}

function typeOf({ ip }: Packet): number {
	if (ip === undefined) return 0;
	const network =
		ip.version === 4
			? Type.IPV4 | (ip.isExtended ? Type.IPV4_OPTIONS : 0)
			: Type.IPV6 | (ip.isExtended ? Type.IPV6_EXTENSIONS : 0);
	switch (ip.protocol) {
		case Protocol.TCP:
			return network | Type.TCP;
		case Protocol.UDP:
			return network | Type.UDP;
		case Protocol.SCTP:
			return network | Type.SCTP;
		default:
			return network;
	}
}

/** A UDP datagram need not have one. */
function hasL4Checksum(frame: Uint8Array, ip: Ip): boolean {
	if (ip.protocol === Protocol.UDP) return ip.payload + 8 <= ip.end && word(frame, ip.payload + 6) !== 0;
	return ip.payload + 20 <= ip.end;
}

/** The sum of what TCP and UDP take from IP: addresses, protocol, length. */
function pseudoHeader(frame: Uint8Array, { version, start, payload, end, protocol }: Ip): number {
	const addresses = version === 4 ? [start + 12, start + 20] : [start + 8, start + 40];
	return addWords(frame, addresses[0], addresses[1]) + (protocol ?? 0) + end - payload;
}

function isSctpRight(frame: Uint8Array, { payload, end }: Ip): boolean {
	const packet = frame.slice(payload, end);
	const view = new DataView(packet.buffer);
	const checksum = view.getUint32(8, true);
	view.setUint32(8, 0);
	return crc32c(packet, 0, packet.length) === checksum;
}
