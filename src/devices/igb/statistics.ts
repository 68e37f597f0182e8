// What the port counts, in registers that start anew when they are read.
// 82576 data sheet 8.19 "Statistics Register Descriptions".

import type { RegisterFile } from "./register-file.js";

/** Of those that are counted here. The others of 8.19 count what doesn't happen on such a wire, and read as 0. */
const COUNTERS = {
	CRCERRS: 0x4000,
	MPC: 0x4010,
	HTDPMC: 0x403c,
	XONRXC: 0x4048,
	XONTXC: 0x404c,
	XOFFRXC: 0x4050,
	XOFFTXC: 0x4054,
	GPRC: 0x4074,
	BPRC: 0x4078,
	MPRC: 0x407c,
	GPTC: 0x4080,
	RNBC: 0x40a0,
	RUC: 0x40a4,
	ROC: 0x40ac,
	TPR: 0x40d0,
	TPT: 0x40d4,
	MPTC: 0x40f0,
	BPTC: 0x40f4,
	TSCTC: 0x40f8,
	IAC: 0x4100,
	RPTHC: 0x4104,
	HGPTC: 0x4118,
} as const;

/** Of octets, in two registers: reading the higher one starts anew. */
const OCTETS = { GORC: 0x4088, GOTC: 0x4090, TOR: 0x40c0, TOT: 0x40c8, HGORC: 0x4128, HGOTC: 0x4130 } as const;

/** By length, in six registers each. */
const PRC = 0x405c;
const PTC = 0x40d8;
/** The longest frame for each of them but the last. */
const LENGTHS = [64, 127, 255, 511, 1023] as const;

/** A register stays at the most that it can have. */
const MOST = 2 ** 32 - 1;

export type Counter = keyof typeof COUNTERS;
export type OctetCounter = keyof typeof OCTETS;

export class Statistics {
	readonly #counts = new Map<number, number>();

	constructor(registers: RegisterFile) {
		const rows = [PRC, PTC].flatMap((row) => [...LENGTHS, MOST].map((_, i) => row + 4 * i));
		for (const address of [...Object.values(COUNTERS), ...rows])
			registers.add(address, { read: () => Math.min(this.#take(address), MOST), write: () => {} });
		for (const address of Object.values(OCTETS)) {
			registers.add(address, { read: () => (this.#counts.get(address) ?? 0) % 2 ** 32, write: () => {} });
			registers.add(address + 4, { read: () => Math.floor(this.#take(address) / 2 ** 32), write: () => {} });
		}
	}

	count(counter: Counter): void {
		this.#add(COUNTERS[counter], 1);
	}

	octets(counter: OctetCounter, octets: number): void {
		this.#add(OCTETS[counter], octets);
	}

	/** A frame that has been received, by its length. @param octets with its checksum */
	received(octets: number): void {
		this.#add(PRC + 4 * classOf(octets), 1);
	}

	sent(octets: number): void {
		this.#add(PTC + 4 * classOf(octets), 1);
	}

	reset(): void {
		this.#counts.clear();
	}

	#add(address: number, amount: number): void {
		this.#counts.set(address, (this.#counts.get(address) ?? 0) + amount);
	}

	#take(address: number): number {
		const count = this.#counts.get(address) ?? 0;
		this.#counts.delete(address);
		return count;
	}
}

function classOf(octets: number): number {
	const place = LENGTHS.findIndex((longest) => octets <= longest);
	return place < 0 ? LENGTHS.length : place;
}
