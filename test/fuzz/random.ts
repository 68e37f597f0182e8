// Numbers that look random and are the same again for the same seed. xorshift32 (Marsaglia, 2003).

export class Random {
	#state: number;

	constructor(seed: number) {
		// Neighbouring seeds must not begin alike, and 0 would stay 0.
		this.#state = Math.imul(seed + 1, 0x9e3779b1) | 1;
		for (let i = 0; i < 8; i++) this.u32();
	}

	u32(): number {
		let x = this.#state;
		x ^= x << 13;
		x ^= x >>> 17;
		x ^= x << 5;
		this.#state = x;
		return x >>> 0;
	}

	u64(): bigint {
		return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
	}

	below(limit: number): number {
		return this.u32() % limit;
	}

	/** True once in `n` times. */
	oneIn(n: number): boolean {
		return this.below(n) === 0;
	}

	/** One of them; undefined where there is none. */
	pick<T>(values: readonly T[]): T {
		return values[this.below(values.length)];
	}

	fill(bytes: Uint8Array): void {
		for (let i = 0; i < bytes.length; i++) bytes[i] = this.u32();
	}
}
