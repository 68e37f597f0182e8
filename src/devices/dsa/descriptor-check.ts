// What is wrong with a descriptor before anything is done. DSA specification 5.8 "Descriptor checking".

import { DESCRIPTOR_SIZE, type Descriptor, Flag } from "./descriptor.js";
import { OPERATIONS, type OperationFormat } from "./operations.js";
import { type Problem, Status } from "./status.js";

/** What every operation takes. */
const COMMON = Flag.COMPLETION_ADDRESS_VALID | Flag.REQUEST_COMPLETION | Flag.REQUEST_INTERRUPT | Flag.TRAFFIC_CLASSES;

/** What a queue allows. */
export interface Limits {
	/** Bytes. */
	readonly largestTransfer: number;
	/** Descriptors. */
	readonly largestBatch: number;
	/** A bit for each operation. */
	readonly operations: number;
	readonly vectors: number;
	/** Whether completions may have this vector: MSIXPERM. */
	readonly canInterrupt: (vector: number) => boolean;
}

/** The first thing that is wrong, in the order of the specification's table of checks. */
export function findProblem(descriptor: Descriptor, limits: Limits, isInBatch: boolean): Problem | undefined {
	const format = OPERATIONS.get(descriptor.operation);
	const isAllowed = (limits.operations & (1 << descriptor.operation)) !== 0;
	if (format === undefined || !isAllowed || (isInBatch && format.isBatch)) return { status: Status.BAD_OPERATION };
	const invalidFlags = invalidFlagsOf(descriptor, format, isInBatch);
	if (invalidFlags !== 0) return { status: Status.INVALID_FLAGS, invalidFlags };
	if (hasReserved(descriptor, format)) return { status: Status.RESERVED_FIELD };
	if (descriptor.has(Flag.COMPLETION_ADDRESS_VALID) && !descriptor.hasCompletionAddress)
		return { status: Status.COMPLETION_ADDRESS_ALIGNMENT };
	if (descriptor.has(Flag.REQUEST_INTERRUPT)) {
		const { vector } = descriptor;
		if (vector >= limits.vectors || !limits.canInterrupt(vector)) return { status: Status.INVALID_INTERRUPT_HANDLE };
	}
	return problemOfSize(descriptor, format, limits) ?? format.check?.(descriptor);
}

function invalidFlagsOf(descriptor: Descriptor, { flags }: OperationFormat, isInBatch: boolean): number {
	const allowed = COMMON | flags | (isInBatch ? Flag.FENCE : 0);
	const asked = Flag.REQUEST_COMPLETION;
	const isAskedInVain = descriptor.has(asked) && !descriptor.has(Flag.COMPLETION_ADDRESS_VALID);
	return (descriptor.flags & ~allowed) | (isAskedInVain ? asked : 0);
}

/** Fields that the operation doesn't have must be 0. */
function hasReserved(descriptor: Descriptor, { fields }: OperationFormat): boolean {
	if (descriptor.u32(0) & 0x7ff0_0000) return true;
	if (descriptor.u8(38) !== 0 || descriptor.u8(39) !== 0) return true;
	for (let offset = 16; offset < DESCRIPTOR_SIZE; offset++) {
		if (offset >= 36 && offset < 40) continue;
		const isKnown = fields.some(([from, size]) => offset >= from && offset < from + size);
		if (!isKnown && descriptor.u8(offset) !== 0) return true;
	}
	return false;
}

function problemOfSize(descriptor: Descriptor, format: OperationFormat, limits: Limits): Problem | undefined {
	if (format.isBatch) {
		if (descriptor.size < 2 || descriptor.size > limits.largestBatch) return { status: Status.DESCRIPTOR_COUNT };
		if (descriptor.source % BigInt(DESCRIPTOR_SIZE) !== 0n) return { status: Status.DESCRIPTOR_LIST_ALIGNMENT };
	} else if (format.hasTransfer && (descriptor.size === 0 || descriptor.size > limits.largestTransfer))
		return { status: Status.TRANSFER_SIZE };
	return undefined;
}
