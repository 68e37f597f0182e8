// The PHY of the port, by its registers behind MDIC: negotiation with the other end of the wire, loopback, power.
// 82576 data sheet 3.5.6.3 "PHY Loopback", 8.2.4 MDIC, 8.25 "PHY Software Interface"; IEEE 802.3 clause 22 and 28.

import type { WireEnd } from "../wire.js";
import type { RegisterFile } from "./register-file.js";
import { Register } from "./registers.js";

/** By number. */
const Mii = {
	CONTROL: 0,
	STATUS: 1,
	IDENTIFIER_1: 2,
	IDENTIFIER_2: 3,
	ADVERTISEMENT: 4,
	PARTNER_ABILITY: 5,
	EXPANSION: 6,
	CONTROL_1000: 9,
	STATUS_1000: 10,
	EXTENDED_STATUS: 15,
	PORT_CONFIGURATION: 16,
	PORT_STATUS: 17,
	PORT_CONTROL: 18,
	PAGE_SELECT: 31,
} as const;

const Control = {
	RESET: 1 << 15,
	LOOPBACK: 1 << 14,
	SPEED_LSB: 1 << 13,
	AUTONEGOTIATION: 1 << 12,
	POWER_DOWN: 1 << 11,
	ISOLATE: 1 << 10,
	RESTART: 1 << 9,
	DUPLEX: 1 << 8,
	SPEED_MSB: 1 << 6,
} as const;

/** Negotiates all that there is, full duplex at 1000 Mb/s before all else. */
const CONTROL_AT_RESET = Control.AUTONEGOTIATION | Control.DUPLEX | Control.SPEED_MSB;

/** All speeds of 10 and 100 Mb/s, an extended status, extended registers, and that it can negotiate. */
const STATUS_CAPABILITIES = 0x7949;
const STATUS_COMPLETE = 1 << 5;
const STATUS_LINK = 1 << 2;

/** The internal PHY, IGP03: 8.25.3.3. */
const IDENTIFIER = [0x02a8, 0x0391] as const;

/** In ADVERTISEMENT and PARTNER_ABILITY. */
const Ability = { FULL_100: 1 << 8, HALF_100: 1 << 7, FULL_10: 1 << 6, HALF_10: 1 << 5, SELECTOR: 1 } as const;
/** All of them, pauses in both directions, acknowledged. */
const PARTNER = 0x4de1;
/** In CONTROL_1000; the partner's are in STATUS_1000, two bits higher. */
const FULL_1000 = 1 << 9;
const HALF_1000 = 1 << 8;
/** The partner can do both, and both receivers are fine. */
const PARTNER_1000 = 0x3c00;

const CONTROL_1000_AT_RESET = FULL_1000;
/** 1000BASE-T in full and half duplex. */
const EXTENDED_STATUS = 0x3000;
const ADVERTISEMENT_AT_RESET = 0x0de1;

/** PORT_STATUS: 8.25.3.14. */
const PortStatus = { SPEED_SHIFT: 14, DUPLEX: 1 << 9, LINK: 1 << 10 } as const;
/** SmartSpeed is on; MDI and MDI-X are told apart. */
const PORT_CONFIGURATION_AT_RESET = 0x0080;
const PORT_CONTROL_AT_RESET = 0x1000;

/** Each page has its own from here on. */
const FIRST_PAGED = 16;
const PAGE = 32;

const Mdic = {
	REGISTER_SHIFT: 16,
	PHY_SHIFT: 21,
	WRITE: 1 << 26,
	READ: 2 << 26,
	READY: 1 << 28,
	ERROR: 1 << 30,
} as const;
const MDIC_REQUEST = 0x0fff_ffff;
/** The only PHY there is on the management bus. */
const ADDRESS = 1;

export interface Link {
	/** 0 for 10 Mb/s, 1 for 100, 2 for 1000: as STATUS has it. */
	readonly speed: 0 | 1 | 2;
	readonly isFullDuplex: boolean;
}

export class Phy {
	/** The link that there is. */
	link: Link | undefined;
	/** Called when there is another one, or none any more. */
	onChange: () => void = () => {};
	readonly #wire: WireEnd | undefined;
	#control = CONTROL_AT_RESET;
	#advertisement = ADVERTISEMENT_AT_RESET;
	#control1000 = CONTROL_1000_AT_RESET;
	/** The others, by page and number. */
	readonly #others = new Map<number, number>();
	#page = 0;
	/** Since the status was last read: then it tells of no link, whether there is one again or not. */
	#wasLost = false;
	#mdic = Mdic.READY as number;

	constructor(registers: RegisterFile, wire: WireEnd | undefined) {
		this.#wire = wire;
		if (wire) wire.onLinkChange = () => this.#update();
		registers.add(Register.MDIC, { read: () => this.#mdic, write: (value) => this.#access(value) });
		this.reset();
	}

	/** What is sent comes back, and nothing of it gets to the wire. 3.5.6.3 */
	get isLoopback(): boolean {
		return (this.#control & Control.LOOPBACK) !== 0;
	}

	reset(): void {
		this.#control = CONTROL_AT_RESET;
		this.#advertisement = ADVERTISEMENT_AT_RESET;
		this.#control1000 = CONTROL_1000_AT_RESET;
		this.#others.clear();
		this.#others.set(Mii.PORT_CONFIGURATION, PORT_CONFIGURATION_AT_RESET);
		this.#others.set(Mii.PORT_CONTROL, PORT_CONTROL_AT_RESET);
		this.#page = 0;
		this.#mdic = Mdic.READY;
		this.#update();
		this.#wasLost = false;
	}

	/** A transaction on the management bus: it is over when the write is. */
	#access(value: number): void {
		const number = (value >>> Mdic.REGISTER_SHIFT) & 0x1f;
		const isThere = ((value >>> Mdic.PHY_SHIFT) & 0x1f) === ADDRESS;
		const request = (value & MDIC_REQUEST) >>> 0;
		if (!isThere) this.#mdic = (request | Mdic.READY | Mdic.ERROR) >>> 0;
		else if (value & Mdic.WRITE) {
			this.#write(number, value & 0xffff);
			this.#mdic = request | Mdic.READY;
		} else if (value & Mdic.READ) this.#mdic = (request & 0xffff_0000) | Mdic.READY | this.#read(number);
		else this.#mdic = request | Mdic.READY;
	}

	#read(number: number): number {
		const { link } = this;
		const isNegotiated = link !== undefined && (this.#control & Control.AUTONEGOTIATION) !== 0;
		switch (number) {
			case Mii.CONTROL:
				return this.#control;
			case Mii.STATUS: {
				const isLink = link !== undefined && !this.#wasLost;
				this.#wasLost = false;
				return STATUS_CAPABILITIES | (isNegotiated ? STATUS_COMPLETE : 0) | (isLink ? STATUS_LINK : 0);
			}
			case Mii.IDENTIFIER_1:
				return IDENTIFIER[0];
			case Mii.IDENTIFIER_2:
				return IDENTIFIER[1];
			case Mii.ADVERTISEMENT:
				return this.#advertisement;
			case Mii.PARTNER_ABILITY:
				return isNegotiated ? PARTNER : 0;
			case Mii.EXPANSION:
				return isNegotiated ? 1 : 0;
			case Mii.CONTROL_1000:
				return this.#control1000;
			case Mii.STATUS_1000:
				return isNegotiated ? PARTNER_1000 : 0;
			case Mii.EXTENDED_STATUS:
				return EXTENDED_STATUS;
			case Mii.PAGE_SELECT:
				return this.#page;
			case Mii.PORT_STATUS:
				if (this.#pageOffset === 0) return portStatus(link);
		}
		return this.#others.get(this.#key(number)) ?? 0;
	}

	#write(number: number, value: number): void {
		switch (number) {
			case Mii.CONTROL:
				if (value & Control.RESET) this.reset();
				else this.#control = value & ~Control.RESTART;
				break;
			case Mii.ADVERTISEMENT:
				this.#advertisement = value;
				break;
			case Mii.CONTROL_1000:
				this.#control1000 = value;
				break;
			case Mii.PAGE_SELECT:
				this.#page = value;
				break;
			case Mii.STATUS:
			case Mii.IDENTIFIER_1:
			case Mii.IDENTIFIER_2:
			case Mii.PARTNER_ABILITY:
			case Mii.EXPANSION:
			case Mii.STATUS_1000:
			case Mii.EXTENDED_STATUS:
				return;
			default:
				this.#others.set(this.#key(number), value);
				return;
		}
		// What it advertises counts from the next negotiation on.
		if (number === Mii.CONTROL) this.#update();
	}

	/** The page is chosen by the whole address of a register. */
	get #pageOffset(): number {
		return this.#page & ~(PAGE - 1);
	}

	/** Below the 17th they are the same on each page. */
	#key(number: number): number {
		return number < FIRST_PAGED ? number : this.#pageOffset + number;
	}

	/** Negotiation takes no time. */
	#update(): void {
		const off = Control.POWER_DOWN | Control.ISOLATE | Control.LOOPBACK;
		if (this.#wire) this.#wire.isPowered = (this.#control & off) === 0;
		const before = this.link;
		this.link = this.#findLink();
		if (before !== undefined && this.link === undefined) this.#wasLost = true;
		if (before?.speed !== this.link?.speed || before?.isFullDuplex !== this.link?.isFullDuplex) this.onChange();
	}

	#findLink(): Link | undefined {
		const control = this.#control;
		if (control & Control.POWER_DOWN) return undefined;
		const forced: Link = {
			speed: control & Control.SPEED_MSB ? 2 : control & Control.SPEED_LSB ? 1 : 0,
			isFullDuplex: (control & Control.DUPLEX) !== 0,
		};
		if (control & Control.LOOPBACK) return forced;
		if (control & Control.ISOLATE || !this.#wire?.isConnected) return undefined;
		return control & Control.AUTONEGOTIATION ? this.#negotiated() : forced;
	}

	/** The best of what is advertised: the partner can do everything. IEEE 802.3 annex 28B.3 */
	#negotiated(): Link | undefined {
		if (this.#control1000 & FULL_1000) return { speed: 2, isFullDuplex: true };
		if (this.#control1000 & HALF_1000) return { speed: 2, isFullDuplex: false };
		if (this.#advertisement & Ability.FULL_100) return { speed: 1, isFullDuplex: true };
		if (this.#advertisement & Ability.HALF_100) return { speed: 1, isFullDuplex: false };
		if (this.#advertisement & Ability.FULL_10) return { speed: 0, isFullDuplex: true };
		if (this.#advertisement & Ability.HALF_10) return { speed: 0, isFullDuplex: false };
		return undefined;
	}
}

function portStatus(link: Link | undefined): number {
	if (link === undefined) return 0;
	return ((link.speed + 1) << PortStatus.SPEED_SHIFT) | PortStatus.LINK | (link.isFullDuplex ? PortStatus.DUPLEX : 0);
}
