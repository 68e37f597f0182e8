// Registers of 1 to 8 bytes side by side, as accesses of any width meet them. Little-endian.

/** Accesses are aligned to their size, so each touches the registers of one slot only. */
const SLOT = 8;

export interface Register {
	/** In bytes. */
	readonly size: 1 | 2 | 4 | 8;
	/** It is being read, in whole or in part. */
	read(): bigint;
	/**
	 * It is being written.
	 * @param bits the bits that are written, in their places; the others are 0
	 * @param mask all ones where bits are written
	 */
	write(bits: bigint, mask: bigint): void;
}

/** One that keeps what is written to it. */
export class PlainRegister implements Register {
	readonly size: Register["size"];
	value: bigint;
	readonly #writable: bigint;

	/** @param writable the bits that software can write */
	constructor(size: Register["size"], { initial = 0n, writable = (1n << BigInt(8 * size)) - 1n } = {}) {
		this.size = size;
		this.value = initial;
		this.#writable = writable;
	}

	read(): bigint {
		return this.value;
	}

	write(bits: bigint, mask: bigint): void {
		const changed = mask & this.#writable;
		this.value = (this.value & ~changed) | (bits & changed);
	}
}

/** One that only tells. */
export function readOnly(size: Register["size"], read: () => bigint): Register {
	return { size, read, write: () => {} };
}

export class RegisterMap {
	readonly #slots = new Map<number, { readonly offset: number; readonly register: Register }[]>();

	/** @param offset a multiple of the register's size @returns the register */
	add<R extends Register>(offset: number, register: R): R {
		const slot = Math.floor(offset / SLOT);
		const others = this.#slots.get(slot) ?? [];
		others.push({ offset, register });
		this.#slots.set(slot, others);
		return register;
	}

	/** @returns 0 where no register is */
	read(offset: number, size: number): bigint {
		let value = 0n;
		for (const { register, shift, mask } of this.#touched(offset, size)) {
			const bits = register.read() & mask;
			value |= shift >= 0n ? bits << shift : bits >> -shift;
		}
		return value;
	}

	write(offset: number, size: number, value: bigint): void {
		for (const { register, shift, mask } of this.#touched(offset, size))
			register.write((shift >= 0n ? value >> shift : value << -shift) & mask, mask);
	}

	/** The registers of an access, each with the bits of it that are meant, and how far left these are in the access. */
	*#touched(offset: number, size: number): Iterable<{ register: Register; shift: bigint; mask: bigint }> {
		for (const { offset: start, register } of this.#slots.get(Math.floor(offset / SLOT)) ?? []) {
			const from = Math.max(offset, start);
			const to = Math.min(offset + size, start + register.size);
			if (from >= to) continue;
			const mask = ((1n << BigInt(8 * (to - from))) - 1n) << BigInt(8 * (from - start));
			yield { register, shift: BigInt(8 * (start - offset)), mask };
		}
	}
}
