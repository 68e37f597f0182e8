// What the controller interrupts for: causes in ICR, vectors in EICR, and which of them make a message or assert the pin.
// 82576 data sheet 7.3 "Interrupts", 8.8 "Interrupt Register Descriptions".

import type { EndpointPort } from "../endpoint.js";
import type { PlainRegister, RegisterFile } from "./register-file.js";
import { Cause, Gpie, QUEUES, Register } from "./registers.js";

/** Vectors in EICR with MSI-X; without it bits 0 to 15 are for queues. */
const VECTORS = 0x01ff_ffff;
/** In EICR without MSI-X. */
const OTHER_CAUSE = 2 ** 31;
const WITHOUT_MSIX = 0xc000_ffff;
/** An entry of IVAR. */
const VALID = 0x80;
const VECTOR = 0x1f;
/** The half of IVAR_MISC that is for what ICR has; the lower one is for the TCP timer. */
const IVAR_MISC_OTHER = 8;

export type Direction = "receive" | "transmit";

export class Interrupts {
	readonly #port: EndpointPort;
	readonly #gpie: PlainRegister;
	readonly #iam: PlainRegister;
	readonly #eiac: PlainRegister;
	readonly #eiam: PlainRegister;
	readonly #ivar: PlainRegister[];
	readonly #ivarMisc: PlainRegister;
	#icr = 0;
	#ims = 0;
	#eicr = 0;
	#eims = 0;
	/** Of the pin, which all share without MSI-X. */
	#isAsserted = false;

	constructor(port: EndpointPort, registers: RegisterFile) {
		this.#port = port;
		this.#gpie = registers.plain(Register.GPIE);
		this.#iam = registers.plain(Register.IAM);
		this.#eiac = registers.plain(Register.EIAC, 0, VECTORS);
		this.#eiam = registers.plain(Register.EIAM);
		this.#ivar = registers.row(Register.IVAR, 8);
		this.#ivarMisc = registers.plain(Register.IVAR_MISC);
		// Accepted: interrupts are moderated by the pieces in which descriptors are written back, and by no timer.
		registers.row(Register.EITR, 25);
		registers.plain(Register.PBACL);

		registers.add(Register.ICR, { read: () => this.#readIcr(), write: (bits) => this.#acknowledge(bits) });
		registers.add(Register.ICS, { read: () => 0, write: (bits) => this.raise(bits) });
		registers.add(Register.IMS, { read: () => this.#ims, write: (bits) => this.#unmask(bits) });
		registers.add(Register.IMC, { read: () => 0, write: (bits) => this.#mask(bits) });
		registers.add(Register.EICR, { read: () => this.#readEicr(), write: (bits) => this.#acknowledgeVectors(bits) });
		registers.add(Register.EICS, { read: () => 0, write: (bits) => this.#post(0, bits) });
		registers.add(Register.EIMS, { read: () => this.#eims, write: (bits) => this.#unmaskVectors(bits) });
		registers.add(Register.EIMC, { read: () => 0, write: (bits) => this.#maskVectors(bits) });
	}

	/** Something that has a bit of its own in ICR. */
	raise(causes: number): void {
		this.#post((causes & ~Cause.INT_ASSERTED) >>> 0, 0);
	}

	/** Descriptors of a queue have been written back. */
	raiseQueue(direction: Direction, queue: number): void {
		const entry = this.#entryOf(direction, queue);
		this.#post(direction === "receive" ? Cause.RXDW : Cause.TXDW, entry & VALID ? 1 << (entry & VECTOR) : 0);
	}

	reset(): void {
		this.#icr = 0;
		this.#ims = 0;
		this.#eicr = 0;
		this.#eims = 0;
		this.#updatePin(false);
	}

	get #isMsix(): boolean {
		return this.#gpie.has(Gpie.MULTIPLE_MSIX);
	}

	get #implemented(): number {
		return this.#isMsix ? VECTORS : WITHOUT_MSIX;
	}

	/** 8.8.13: queue n and n + 8 share a register, and so do receive and transmit. */
	#entryOf(direction: Direction, queue: number): number {
		const shift = (queue >= QUEUES / 2 ? 16 : 0) + (direction === "transmit" ? 8 : 0);
		return (this.#ivar[queue % (QUEUES / 2)].value >>> shift) & 0xff;
	}

	#post(causes: number, vectors: number): void {
		this.#icr = (this.#icr | causes) >>> 0;
		const others = causes & this.#ims ? this.#vectorOfOthers() : 0;
		const posted = (vectors | others) & this.#implemented;
		this.#eicr = (this.#eicr | posted) >>> 0;
		if (this.#isMsix) this.#sendMessages(posted);
		else this.#updatePin(((causes & this.#ims) | (posted & this.#eims)) !== 0);
	}

	/** What is in ICR and isn't masked has a vector, too. */
	#vectorOfOthers(): number {
		if (!this.#isMsix) return OTHER_CAUSE;
		const entry = this.#ivarMisc.value >>> IVAR_MISC_OTHER;
		return entry & VALID ? 1 << (entry & VECTOR) : 0;
	}

	/** Of the vectors that have got something new. 7.3.4 */
	#sendMessages(vectors: number): void {
		let sent = vectors & this.#eims;
		while (sent !== 0) {
			const vector = 31 - Math.clz32(sent & -sent);
			const bit = 1 << vector;
			sent &= ~bit;
			// Both before the message: whoever gets it finds the registers as they are to be.
			if (this.#eiac.has(bit)) this.#eicr = (this.#eicr & ~bit) >>> 0;
			if (this.#gpie.has(Gpie.EIAME)) this.#eims = (this.#eims & ~(this.#eiam.value & bit)) >>> 0;
			this.#port.interrupt(vector);
		}
	}

	/** Without MSI-X. @param isNew whether something has come that interrupts: then a message is sent again, too */
	#updatePin(isNew: boolean): void {
		const isAsserted = !this.#isMsix && ((this.#icr & this.#ims) | (this.#eicr & this.#eims)) !== 0;
		const wasAsserted = this.#isAsserted;
		this.#isAsserted = isAsserted;
		if (isAsserted && isNew) this.#port.interrupt(0);
		else if (wasAsserted && !isAsserted) this.#port.deassert();
	}

	#unmask(bits: number): void {
		const causes = bits & ~this.#ims & this.#icr;
		this.#ims = (this.#ims | bits) >>> 0;
		if (causes !== 0) this.#post(causes >>> 0, 0);
	}

	#mask(bits: number): void {
		this.#ims = (this.#ims & ~bits) >>> 0;
		this.#updatePin(false);
	}

	#unmaskVectors(bits: number): void {
		const vectors = bits & ~this.#eims & this.#eicr;
		this.#eims = (this.#eims | (bits & this.#implemented)) >>> 0;
		if (vectors !== 0) this.#post(0, vectors);
	}

	#maskVectors(bits: number): void {
		this.#eims = (this.#eims & ~bits) >>> 0;
		this.#updatePin(false);
	}

	/** 8.8.8: it is cleared by being read when nothing is enabled, when it is why the interrupt is asserted, or with NSICR. */
	#readIcr(): number {
		const isWhy = (this.#icr & this.#ims) !== 0;
		const value = (this.#icr | (isWhy ? Cause.INT_ASSERTED : 0)) >>> 0;
		if (isWhy) this.#ims = (this.#ims & ~this.#iam.value) >>> 0;
		if (isWhy || this.#ims === 0 || this.#gpie.has(Gpie.NSICR)) this.#clear(0xffff_ffff);
		return value;
	}

	#acknowledge(bits: number): void {
		if ((this.#icr & this.#ims) !== 0) this.#ims = (this.#ims & ~this.#iam.value) >>> 0;
		this.#clear(bits);
	}

	#clear(causes: number): void {
		this.#icr = (this.#icr & ~causes) >>> 0;
		if (!this.#isMsix && (this.#icr & this.#ims) === 0) this.#eicr = (this.#eicr & ~OTHER_CAUSE) >>> 0;
		this.#updatePin(false);
	}

	#readEicr(): number {
		const value = this.#eicr;
		this.#acknowledgeVectors(0xffff_ffff);
		return value;
	}

	/** 8.8.6: without EIAME this is when what EIAM says is masked. */
	#acknowledgeVectors(bits: number): void {
		this.#eicr = (this.#eicr & ~bits) >>> 0;
		if (!this.#gpie.has(Gpie.EIAME)) this.#eims = (this.#eims & ~this.#eiam.value) >>> 0;
		this.#updatePin(false);
	}
}
