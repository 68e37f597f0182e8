// Which frames the port takes: by their destination and by their VLAN. 82576 data sheet 7.1.1 "L2 packet filtering", 7.4.3.3
// "VLAN filtering", 8.10.13 to 8.10.17.

import { word } from "./packet.js";
import type { PlainRegister, RegisterFile } from "./register-file.js";
import { Rctl, Register } from "./registers.js";

/** Pairs RAL and RAH. */
const ADDRESSES = 24;
const FIRST_ADDRESSES = 16;
/** In RAH. */
const ADDRESS_VALID = 2 ** 31;
const ADDRESS_SELECT_SHIFT = 16;
const SOURCE_ADDRESS = 1;
const RAH_BITS = 0x83ff_ffff;

/** Registers of 32 bits in MTA, UTA and VFTA. */
const TABLE = 128;
/** By RCTL.MO: how far the upper 16 bits of the destination are shifted for the 12 that choose the bit. */
const HASH_SHIFTS = [4, 3, 2, 0] as const;

export type Cast = "unicast" | "multicast" | "broadcast";

export class ReceiveFilter {
	readonly #rctl: PlainRegister;
	readonly #vet: PlainRegister;
	readonly #low: PlainRegister[] = [];
	readonly #high: PlainRegister[] = [];
	readonly #multicast: PlainRegister[];
	readonly #unicast: PlainRegister[];
	readonly #vlans: PlainRegister[];

	constructor(registers: RegisterFile, rctl: PlainRegister, vet: PlainRegister) {
		this.#rctl = rctl;
		this.#vet = vet;
		for (let i = 0; i < ADDRESSES; i++) {
			const address = i < FIRST_ADDRESSES ? Register.RAL + 8 * i : Register.RAL16 + 8 * (i - FIRST_ADDRESSES);
			this.#low.push(registers.plain(address));
			this.#high.push(registers.plain(address + 4, 0, RAH_BITS));
		}
		this.#multicast = registers.row(Register.MTA, TABLE);
		this.#unicast = registers.row(Register.UTA, TABLE);
		this.#vlans = registers.row(Register.VFTA, TABLE);
	}

	/** The first receive address, which the EEPROM gives at a reset. */
	setAddress(address: Uint8Array): void {
		this.#low[0].value = littleEndian(address, 0, 4);
		this.#high[0].value = (ADDRESS_VALID + littleEndian(address, 4, 2)) >>> 0;
	}

	/** Whether it begins with a tag of the EtherType in VET, after the addresses. */
	isTagged(frame: Uint8Array): boolean {
		return frame.length >= 18 && word(frame, 12) === (this.#vet.value & 0xffff);
	}

	accepts(frame: Uint8Array): boolean {
		return this.#acceptsAddress(frame) && this.#acceptsVlan(frame);
	}

	#acceptsAddress(frame: Uint8Array): boolean {
		switch (castOf(frame)) {
			case "broadcast":
				return this.#rctl.has(Rctl.BAM) || this.#isListed(frame) || this.#isHashed(this.#multicast, frame);
			case "multicast":
				return this.#rctl.has(Rctl.MPE) || this.#isListed(frame) || this.#isHashed(this.#multicast, frame);
			case "unicast":
				return this.#rctl.has(Rctl.UPE) || this.#isListed(frame) || this.#isHashed(this.#unicast, frame);
		}
	}

	#isListed(frame: Uint8Array): boolean {
		return this.#high.some(({ value }, i) => {
			if (value < ADDRESS_VALID) return false;
			const from = ((value >>> ADDRESS_SELECT_SHIFT) & 3) === SOURCE_ADDRESS ? 6 : 0;
			return (
				this.#low[i].value === littleEndian(frame, from, 4) && (value & 0xffff) === littleEndian(frame, from + 4, 2)
			);
		});
	}

	#isHashed(table: readonly PlainRegister[], frame: Uint8Array): boolean {
		const offset = (this.#rctl.value >>> Rctl.MO_SHIFT) & 3;
		const bit = (littleEndian(frame, 4, 2) >>> HASH_SHIFTS[offset]) & 0xfff;
		return table[bit >>> 5].has(1 << (bit & 31));
	}

	/** A frame without a tag passes. */
	#acceptsVlan(frame: Uint8Array): boolean {
		if (!this.#rctl.has(Rctl.VFE) || !this.isTagged(frame)) return true;
		const tag = word(frame, 14);
		const isCanonical = (tag & 0x1000) !== 0;
		if (this.#rctl.has(Rctl.CFIEN) && isCanonical !== this.#rctl.has(Rctl.CFI)) return false;
		const vlan = tag & 0xfff;
		return this.#vlans[vlan >>> 5].has(1 << (vlan & 31));
	}
}

export function castOf(frame: Uint8Array): Cast {
	if ((frame[0] & 1) === 0) return "unicast";
	for (let i = 0; i < 6; i++) if (frame[i] !== 0xff) return "multicast";
	return "broadcast";
}

function littleEndian(bytes: Uint8Array, from: number, count: number): number {
	let value = 0;
	for (let i = count - 1; i >= 0; i--) value = value * 256 + bytes[from + i];
	return value;
}
