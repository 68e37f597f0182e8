// XMM, YMM, ZMM and mask registers in the XSAVE area's standard format.
// Intel SDM volume 1, 13.4 "XSAVE Area"; AMD64 APM volume 2, 11.5.2

import type { RegisterSet } from "../instruction.js";

/** What the kernel puts into bytes of the legacy region that hardware leaves to software: XCR0. */
const XCR0 = 464;
/** XSTATE_BV: which components aren't in their initial state. */
const IN_USE = 512;
const XMM = 160;
const YMM_HIGH = 576;

// Components by number. Their places aren't the same on all processors: CPUID leaf 0xd tells them, and the whole's size does, too.
const SSE = 1;
const AVX = 2;
const OPMASK = 5;
const ZMM_HIGH = 6;
const HIGH_ZMM = 7;
const INTEL = { opmask: 1088, zmmHigh: 1152, highZmm: 1664 };
const AMD = { opmask: 832, zmmHigh: 896, highZmm: 1408 };
/** With Intel's places the last of them ends here. */
const INTEL_BYTES = 2688;

export const VECTOR_BYTES = 64;

export class VectorRegisters {
	readonly #set: RegisterSet;

	constructor(set: RegisterSet) {
		this.#set = set;
	}

	/** Whether the thread has them at all, as far as a register of so many bytes goes. */
	has(size: number): boolean {
		const bytes = this.#set.bytes;
		if (bytes.length < YMM_HIGH) return false;
		if (size <= 16) return true;
		return this.#exists(size <= 32 ? AVX : ZMM_HIGH);
	}

	/** All 64 bytes of a register; zeroes for those that the processor doesn't have. */
	get(number: number, into: Uint8Array): void {
		into.fill(0);
		for (const { component, place, at, length } of this.#parts(number))
			if (this.#isInUse(component)) into.set(this.#set.bytes.subarray(place, place + length), at);
	}

	set(number: number, from: Uint8Array): void {
		for (const { component, place, at, length } of this.#parts(number)) {
			const part = from.subarray(at, at + length);
			// A component that isn't in use is all zeroes; to use it for more of them would only slow the thread down.
			if (!this.#isInUse(component) && part.every((byte) => byte === 0)) continue;
			this.#use(component);
			this.#set.bytes.set(part, place);
		}
		this.#set.hasChanged = true;
	}

	/** A mask register, k0 to k7. */
	getMask(number: number): bigint {
		if (!this.#exists(OPMASK) || !this.#isInUse(OPMASK)) return 0n;
		return this.#view.getBigUint64(this.#places.opmask + 8 * number, true);
	}

	setMask(number: number, value: bigint): void {
		this.#use(OPMASK);
		this.#view.setBigUint64(this.#places.opmask + 8 * number, value, true);
		this.#set.hasChanged = true;
	}

	get #view(): DataView {
		const { buffer, byteOffset, byteLength } = this.#set.bytes;
		return new DataView(buffer, byteOffset, byteLength);
	}

	get #places(): typeof INTEL {
		return this.#set.bytes.length < INTEL_BYTES ? AMD : INTEL;
	}

	#parts(number: number): { component: number; place: number; at: number; length: number }[] {
		const { zmmHigh, highZmm } = this.#places;
		const parts =
			number < 16
				? [
						{ component: SSE, place: XMM + 16 * number, at: 0, length: 16 },
						{ component: AVX, place: YMM_HIGH + 16 * number, at: 16, length: 16 },
						{ component: ZMM_HIGH, place: zmmHigh + 32 * number, at: 32, length: 32 },
					]
				: [{ component: HIGH_ZMM, place: highZmm + 64 * (number - 16), at: 0, length: 64 }];
		return parts.filter(({ component }) => this.#exists(component));
	}

	#exists(component: number): boolean {
		return (this.#set.bytes[XCR0] & (1 << component)) !== 0;
	}

	#isInUse(component: number): boolean {
		return (this.#set.bytes[IN_USE] & (1 << component)) !== 0;
	}

	/** Puts a component into use: what was there of it is its initial state, all zeroes. */
	#use(component: number): void {
		this.#set.bytes[IN_USE] |= 1 << component;
	}
}
