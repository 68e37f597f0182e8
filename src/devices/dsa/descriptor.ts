// A descriptor of 64 bytes. DSA specification 8.1 "Descriptor formats".

export const DESCRIPTOR_SIZE = 64;
const COMPLETION_RECORD_SIZE = 32n;

/** Bits of the 24 flags. */
export const Flag = {
	FENCE: 1 << 0,
	BLOCK_ON_FAULT: 1 << 1,
	COMPLETION_ADDRESS_VALID: 1 << 2,
	REQUEST_COMPLETION: 1 << 3,
	REQUEST_INTERRUPT: 1 << 4,
	CHECK_RESULT: 1 << 7,
	CACHE_CONTROL: 1 << 8,
	TRAFFIC_CLASSES: 0xf << 9,
	STRICT_ORDERING: 1 << 13,
} as const;

export class Descriptor {
	readonly #view: DataView;

	/** @param bytes 64, which it keeps */
	constructor(bytes: Uint8Array) {
		this.#view = new DataView(bytes.buffer, bytes.byteOffset, DESCRIPTOR_SIZE);
	}

	get flags(): number {
		return this.u32(4) & 0xff_ffff;
	}

	get operation(): number {
		return this.u32(4) >>> 24;
	}

	get completionAddress(): bigint {
		return this.u64(8);
	}

	get source(): bigint {
		return this.u64(16);
	}

	get destination(): bigint {
		return this.u64(24);
	}

	/** Bytes, or descriptors of a batch. */
	get size(): number {
		return this.u32(32);
	}

	get vector(): number {
		return this.#view.getUint16(36, true);
	}

	u8(offset: number): number {
		return this.#view.getUint8(offset);
	}

	u32(offset: number): number {
		return this.#view.getUint32(offset, true);
	}

	u64(offset: number): bigint {
		return this.#view.getBigUint64(offset, true);
	}

	has(flag: number): boolean {
		return (this.flags & flag) !== 0;
	}

	/** Whether its completion record can be written: else an error goes to SWERROR. */
	get hasCompletionAddress(): boolean {
		return this.has(Flag.COMPLETION_ADDRESS_VALID) && this.completionAddress % COMPLETION_RECORD_SIZE === 0n;
	}
}
