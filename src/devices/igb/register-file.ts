// Registers of 32 bits, by their addresses.

export interface RegisterEntry {
	read(): number;
	write(value: number): void;
	/** Back to what it has when the controller is reset. */
	reset?(): void;
}

/** One that keeps what is written to it. */
export class PlainRegister implements RegisterEntry {
	value: number;
	readonly #initial: number;
	readonly #writable: number;

	/** @param writable the bits that software can write; the others stay what they are at first */
	constructor(initial = 0, writable = 0xffff_ffff) {
		this.value = initial;
		this.#initial = initial;
		this.#writable = writable;
	}

	read(): number {
		return this.value;
	}

	write(value: number): void {
		this.value = ((this.value & ~this.#writable) | (value & this.#writable)) >>> 0;
	}

	reset(): void {
		this.value = this.#initial;
	}

	has(bits: number): boolean {
		return (this.value & bits) !== 0;
	}
}

/** An address without an entry reads as 0, and what is written there is lost: the data sheet calls it reserved. */
export class RegisterFile {
	readonly #entries = new Map<number, RegisterEntry>();

	/** @returns the entry */
	add<Entry extends RegisterEntry>(address: number, entry: Entry): Entry {
		this.#entries.set(address, entry);
		return entry;
	}

	plain(address: number, initial?: number, writable?: number): PlainRegister {
		return this.add(address, new PlainRegister(initial, writable));
	}

	/** A row of `count` of them. */
	row(address: number, count: number): PlainRegister[] {
		return Array.from({ length: count }, (_, i) => this.plain(address + 4 * i));
	}

	/** Has a further address lead to the register that there is at `address`, if there is one. */
	alias(alias: number, address: number): void {
		const entry = this.#entries.get(address);
		if (entry !== undefined) this.#entries.set(alias, entry);
	}

	read(address: number): number {
		return this.#entries.get(address)?.read() ?? 0;
	}

	write(address: number, value: number): void {
		this.#entries.get(address)?.write(value);
	}

	reset(): void {
		for (const entry of this.#entries.values()) entry.reset?.();
	}
}
