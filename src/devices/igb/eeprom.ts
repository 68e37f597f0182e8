// The EEPROM beside the controller, read by EERD: what it has by itself, as the address of the port.
// 82576 data sheet 6 "Non-Volatile Memory Map", 8.4 "EEPROM/Flash Register Descriptions".

import type { RegisterFile } from "./register-file.js";
import { Register } from "./registers.js";

const WORDS = 4096;
/** In EECD: 2^(SIZE + 6) words. */
const SIZE = 6;

/** 6.1: words by their addresses. */
const Word = {
	ETHERNET_ADDRESS: 0x00,
	COMPATIBILITY: 0x03,
	VERSION: 0x05,
	PBA: 0x08,
	INITIALIZATION_CONTROL_1: 0x0a,
	SUBSYSTEM_ID: 0x0b,
	SUBSYSTEM_VENDOR_ID: 0x0c,
	DEVICE_ID: 0x0d,
	VENDOR_ID: 0x0e,
	INITIALIZATION_CONTROL_2: 0x0f,
	CHECKSUM: 0x3f,
} as const;

/** What the words up to the checksum add up to. */
const CHECKSUM = 0xbaba;

const Eecd = { REQ: 1 << 6, GNT: 1 << 7, PRES: 1 << 8, AUTO_RD: 1 << 9, ADDR: 1 << 10, SIZE_SHIFT: 11 } as const;
const Eerd = { START: 1 << 0, DONE: 1 << 1, ADDR_SHIFT: 2, ADDR: 0x3fff, DATA_SHIFT: 16 } as const;

export interface EepromContents {
	/** The six bytes of the port's address. */
	readonly address: Uint8Array;
	readonly vendor: number;
	readonly device: number;
	readonly subsystemVendor: number;
	readonly subsystem: number;
}

export class Eeprom {
	readonly #words = new Uint16Array(WORDS).fill(0xffff);
	#eerd = 0;
	#isRequested = false;

	constructor(registers: RegisterFile, contents: EepromContents) {
		this.#fill(contents);
		registers.add(Register.EERD, { read: () => this.#eerd, write: (value) => this.#read(value) });
		registers.add(Register.EECD, {
			read: () => this.#eecd,
			// Its pins could be driven one by one here: left out, as writing to it is.
			write: (value) => {
				this.#isRequested = (value & Eecd.REQ) !== 0;
			},
		});
		// 8.4.6: both ports have been configured from it.
		registers.add(Register.EEMNGCTL, { read: () => 0x000c_0000, write: () => {} });
	}

	/** Of the port, as the first receive address gets it. */
	get address(): Uint8Array {
		const bytes = new Uint8Array(6);
		for (let i = 0; i < 3; i++) new DataView(bytes.buffer).setUint16(2 * i, this.#words[i], true);
		return bytes;
	}

	reset(): void {
		this.#eerd = 0;
		this.#isRequested = false;
	}

	#fill({ address, vendor, device, subsystemVendor, subsystem }: EepromContents): void {
		const words = this.#words;
		for (let i = 0; i < 3; i++) words[Word.ETHERNET_ADDRESS + i] = address[2 * i] | (address[2 * i + 1] << 8);
		words[Word.COMPATIBILITY] = 0;
		words[Word.VERSION] = 0x1000;
		// The number of the board: none.
		words.fill(0, Word.PBA, Word.PBA + 2);
		words[Word.INITIALIZATION_CONTROL_1] = 0x0006;
		words[Word.SUBSYSTEM_ID] = subsystem;
		words[Word.SUBSYSTEM_VENDOR_ID] = subsystemVendor;
		words[Word.DEVICE_ID] = device;
		words[Word.VENDOR_ID] = vendor;
		// Pauses in both directions, to be negotiated.
		words[Word.INITIALIZATION_CONTROL_2] = 0x3000;
		const sum = words.subarray(0, Word.CHECKSUM).reduce((sum, word) => sum + word, 0);
		words[Word.CHECKSUM] = CHECKSUM - sum;
	}

	/** It has read itself into the registers as soon as a reset is over, and whoever asks for it has it. */
	get #eecd(): number {
		const request = this.#isRequested ? Eecd.REQ | Eecd.GNT : 0;
		return request | Eecd.PRES | Eecd.AUTO_RD | Eecd.ADDR | (SIZE << Eecd.SIZE_SHIFT);
	}

	#read(value: number): void {
		const address = (value >>> Eerd.ADDR_SHIFT) & Eerd.ADDR;
		const request = value & (Eerd.ADDR << Eerd.ADDR_SHIFT);
		if ((value & Eerd.START) === 0) this.#eerd = request;
		else this.#eerd = (((this.#words[address] ?? 0xffff) << Eerd.DATA_SHIFT) | request | Eerd.DONE) >>> 0;
	}
}
