// What the controller recognises in a frame: tags, IP, and what it carries. 82576 data sheet 7.1.3 and 7.1.5.2 (packet type).

export const ETHERNET_HEADER = 14;
export const TAG = 4;

const IPV4 = 0x0800;
const IPV6 = 0x86dd;

/** IANA protocol numbers. */
export const Protocol = { TCP: 6, UDP: 17, SCTP: 132 } as const;
/** Extension headers of IPv6 that are gone through: hop-by-hop, routing, fragment, destination options. */
const HOP_BY_HOP = 0;
const ROUTING = 43;
const FRAGMENT = 44;
const DESTINATION = 60;

export interface Packet {
	/** The EtherType after any tag. */
	readonly etherType: number;
	readonly ip?: Ip;
}

export interface Ip {
	readonly version: 4 | 6;
	/** Where its header begins in the frame. */
	readonly start: number;
	/** With its options or extension headers. */
	readonly headerLength: number;
	/** Where the datagram ends, which is within the frame. */
	readonly end: number;
	/** It has options, or extension headers. */
	readonly isExtended: boolean;
	/** One of several fragments: what it carries can't be looked at. */
	readonly isFragment: boolean;
	/** Of what it carries; undefined for one that isn't known, and in a fragment. */
	readonly protocol: (typeof Protocol)[keyof typeof Protocol] | undefined;
	/** Where what it carries begins. */
	readonly payload: number;
}

/** The EtherType at a place, big-endian as all in a frame. */
export function word(frame: Uint8Array, at: number): number {
	return (frame[at] << 8) | frame[at + 1];
}

/** @param tagged whether a tag of 4 bytes is before the EtherType */
export function parsePacket(frame: Uint8Array, tagged: boolean): Packet {
	const start = ETHERNET_HEADER + (tagged ? TAG : 0);
	if (frame.length < start) return { etherType: 0 };
	const etherType = word(frame, start - 2);
	const ip = etherType === IPV4 ? parseIpv4(frame, start) : etherType === IPV6 ? parseIpv6(frame, start) : undefined;
	return ip ? { etherType, ip } : { etherType };
}

function parseIpv4(frame: Uint8Array, start: number): Ip | undefined {
	if (frame.length < start + 20 || frame[start] >> 4 !== 4) return undefined;
	const headerLength = (frame[start] & 0xf) * 4;
	const end = start + word(frame, start + 2);
	if (headerLength < 20 || end > frame.length || start + headerLength > end) return undefined;
	const isFragment = (word(frame, start + 6) & 0x3fff) !== 0;
	const payload = start + headerLength;
	return {
		version: 4,
		start,
		headerLength,
		end,
		isExtended: headerLength > 20,
		isFragment,
		protocol: isFragment ? undefined : known(frame[start + 9]),
		payload,
	};
}

function parseIpv6(frame: Uint8Array, start: number): Ip | undefined {
	if (frame.length < start + 40 || frame[start] >> 4 !== 6) return undefined;
	const end = start + 40 + word(frame, start + 4);
	if (end > frame.length) return undefined;
	let next = frame[start + 6];
	let at = start + 40;
	let isFragment = false;
	while ([HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION].includes(next)) {
		if (at + 8 > end) return undefined;
		if (next === FRAGMENT && (word(frame, at + 2) & 0xfff9) !== 0) isFragment = true;
		const length = next === FRAGMENT ? 8 : (frame[at + 1] + 1) * 8;
		next = frame[at];
		at += length;
		if (at > end) return undefined;
	}
	return {
		version: 6,
		start,
		headerLength: at - start,
		end,
		isExtended: at > start + 40,
		isFragment,
		protocol: isFragment ? undefined : known(next),
		payload: at,
	};
}

function known(protocol: number): Ip["protocol"] {
	return Object.values(Protocol).find((value) => value === protocol);
}
