// Receive-side scaling: which queue a packet goes to by a hash of its addresses. 82576 data sheet 7.1.1.7, 8.10.18 MRQC,
// 8.10.19 RSSRK, 8.10.20 RETA.

import { type Packet, Protocol } from "./packet.js";
import type { PlainRegister, RegisterFile } from "./register-file.js";
import { Register } from "./registers.js";

const KEY_WORDS = 10;
const TABLE_WORDS = 32;

/** MRQC: what is enabled in the lowest three bits. */
const ENABLE = 0x7;
const RSS = 2;
const DEFAULT_QUEUE_SHIFT = 3;
/** MRQC: for which packets there is a hash, and the RSS type that a descriptor says. */
const Field = {
	TCP_IPV4: { bit: 16, type: 1 },
	IPV4: { bit: 17, type: 2 },
	IPV6: { bit: 20, type: 5 },
	TCP_IPV6: { bit: 21, type: 3 },
	UDP_IPV4: { bit: 22, type: 7 },
	UDP_IPV6: { bit: 23, type: 8 },
} as const;

export interface Destination {
	readonly queue: number;
	readonly hash: number;
	/** 0 for none. */
	readonly type: number;
}

export class Rss {
	readonly #mrqc: PlainRegister;
	readonly #key: PlainRegister[];
	readonly #table: PlainRegister[];

	constructor(registers: RegisterFile) {
		this.#mrqc = registers.plain(Register.MRQC);
		this.#key = registers.row(Register.RSSRK, KEY_WORDS);
		this.#table = registers.row(Register.RETA, TABLE_WORDS);
	}

	/** What can't be hashed goes to queue 0, and to the default queue where nothing is hashed at all. */
	destinationOf(frame: Uint8Array, packet: Packet): Destination {
		const mrqc = this.#mrqc.value;
		if ((mrqc & ENABLE) !== RSS) return { queue: (mrqc >>> DEFAULT_QUEUE_SHIFT) & 7, hash: 0, type: 0 };
		const { ip } = packet;
		const field = this.#fieldOf(packet);
		if (ip === undefined || field === undefined) return { queue: 0, hash: 0, type: 0 };
		const addresses = ip.start + (ip.version === 4 ? 12 : 8);
		const input = [...frame.subarray(addresses, addresses + (ip.version === 4 ? 8 : 32))];
		if (field !== Field.IPV4 && field !== Field.IPV6) input.push(...frame.subarray(ip.payload, ip.payload + 4));
		const hash = toeplitz(this.#keyBytes(), input);
		const index = hash & 0x7f;
		const queue = (this.#table[index >> 2].value >>> (8 * (index & 3))) & 0xf;
		return { queue, hash, type: field.type };
	}

	/** With ports where the protocol's field is on, else by the addresses alone where that is on. */
	#fieldOf({ ip }: Packet): (typeof Field)[keyof typeof Field] | undefined {
		if (ip === undefined) return undefined;
		const hasPorts = ip.payload + 4 <= ip.end;
		const tcp = ip.version === 4 ? Field.TCP_IPV4 : Field.TCP_IPV6;
		const udp = ip.version === 4 ? Field.UDP_IPV4 : Field.UDP_IPV6;
		if (ip.protocol === Protocol.TCP && hasPorts && this.#mrqc.has(1 << tcp.bit)) return tcp;
		if (ip.protocol === Protocol.UDP && hasPorts && this.#mrqc.has(1 << udp.bit)) return udp;
		const alone = ip.version === 4 ? Field.IPV4 : Field.IPV6;
		return this.#mrqc.has(1 << alone.bit) ? alone : undefined;
	}

	#keyBytes(): Uint8Array {
		const bytes = new Uint8Array(4 * KEY_WORDS);
		const view = new DataView(bytes.buffer);
		this.#key.forEach((register, i) => {
			view.setUint32(4 * i, register.value, true);
		});
		return bytes;
	}
}

/** For each bit of the input that is set, the 32 bits of the key that begin there. */
export function toeplitz(key: Uint8Array, input: readonly number[]): number {
	let hash = 0;
	let window = ((key[0] << 24) | (key[1] << 16) | (key[2] << 8) | key[3]) >>> 0;
	input.forEach((byte, i) => {
		for (let bit = 7; bit >= 0; bit--) {
			if (byte & (1 << bit)) hash ^= window;
			window = ((window << 1) | ((key[i + 4] >> bit) & 1)) >>> 0;
		}
	});
	return hash >>> 0;
}
