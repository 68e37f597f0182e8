// How an operation ended, in its completion record or in SWERROR. DSA specification 5.7 "Operation status codes", 8.2 "Completion
// records".

export const Status = {
	SUCCESS: 0x01,
	/** Of a comparison whose result isn't the one expected. */
	SUCCESS_WITH_FALSE_PREDICATE: 0x02,
	PAGE_FAULT: 0x03,
	BATCH_FAILED: 0x05,
	BATCH_LIST_FAULT: 0x06,
	BAD_OPERATION: 0x10,
	INVALID_FLAGS: 0x11,
	RESERVED_FIELD: 0x12,
	TRANSFER_SIZE: 0x13,
	DESCRIPTOR_COUNT: 0x14,
	OVERLAPPING_BUFFERS: 0x16,
	DUALCAST_ALIGNMENT: 0x17,
	DESCRIPTOR_LIST_ALIGNMENT: 0x18,
	INVALID_INTERRUPT_HANDLE: 0x19,
	COMPLETION_ADDRESS_FAULT: 0x1a,
	COMPLETION_ADDRESS_ALIGNMENT: 0x1b,
} as const;

/** In the status byte: what faulted was a write. */
export const FAULT_WAS_WRITE = 0x80;

export interface Outcome {
	readonly status: number;
	readonly result?: number;
	/** Bytes, or descriptors of a batch. */
	readonly completed?: number;
	readonly faultAddress?: bigint;
	readonly isFaultWrite?: boolean;
	readonly invalidFlags?: number;
	/** Of a CRC. */
	readonly crc?: number;
}

/** What is wrong, and the flags that are when it is them. */
export interface Problem {
	readonly status: number;
	readonly invalidFlags?: number;
}

const RECORD_SIZE = 32;

/** A completion record. */
export function recordOf(outcome: Outcome): Uint8Array {
	const bytes = new Uint8Array(RECORD_SIZE);
	const view = new DataView(bytes.buffer);
	view.setUint8(0, outcome.status | (outcome.isFaultWrite ? FAULT_WAS_WRITE : 0));
	view.setUint8(1, outcome.result ?? 0);
	view.setUint32(4, outcome.completed ?? 0, true);
	view.setBigUint64(8, outcome.faultAddress ?? 0n, true);
	view.setUint32(16, outcome.crc ?? outcome.invalidFlags ?? 0, true);
	return bytes;
}
