// SWERROR: what goes wrong and has no completion record to be told in. DSA specification 9.2.16.

import type { Register, RegisterMap } from "../register-map.js";
import { DsaRegister } from "./registers.js";
import type { Outcome } from "./status.js";

const VALID = 1n;
const OVERFLOW = 2n;
const DESCRIPTOR_VALID = 4n;
const QUEUE_VALID = 8n;
const BATCH = 16n;
const FAULT_WAS_WRITE = 32n;

export interface ErrorPlace {
	readonly queue: number;
	readonly operation: number;
	/** In a batch. */
	readonly index?: number | undefined;
}

export class SoftwareErrors {
	/** The first that software hasn't acknowledged. */
	#words = [0n, 0n, 0n, 0n];
	readonly #onError: () => void;

	/** @param onError called with each that is kept */
	constructor(registers: RegisterMap, onError: () => void) {
		this.#onError = onError;
		this.#words.forEach((_, i) => {
			registers.add(DsaRegister.SWERROR + 8 * i, this.#word(i));
		});
	}

	report({ status, faultAddress = 0n, isFaultWrite = false, invalidFlags = 0 }: Outcome, place: ErrorPlace): void {
		if (this.#words[0] & VALID) {
			this.#words[0] |= OVERFLOW;
			return;
		}
		const flags = VALID | DESCRIPTOR_VALID | QUEUE_VALID | (isFaultWrite ? FAULT_WAS_WRITE : 0n);
		const batch = place.index === undefined ? 0n : BATCH;
		this.#words = [
			flags | batch | (BigInt(status) << 8n) | (BigInt(place.queue) << 16n) | (BigInt(place.operation) << 32n),
			BigInt(place.index ?? 0) | (BigInt(invalidFlags) << 32n),
			faultAddress,
			0n,
		];
		this.#onError();
	}

	reset(): void {
		this.#words = [0n, 0n, 0n, 0n];
	}

	/** Writing 1 to the lowest two bits acknowledges. */
	#word(index: number): Register {
		return {
			size: 8,
			read: () => this.#words[index],
			write: (bits) => {
				if (index === 0) this.#words[0] &= ~(bits & (VALID | OVERFLOW));
			},
		};
	}
}
