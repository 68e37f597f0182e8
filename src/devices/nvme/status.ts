// How a command ends: the Status Field of a completion queue entry.
// NVM Express Base Specification 1.4, 4.6.1 "Status Field Definition".

/** Status Code Type in bits 10:8, Status Code in 7:0; and the specification's name. */
const STATUSES = {
	SUCCESS: [0x000, "Successful Completion"],
	INVALID_OPCODE: [0x001, "Invalid Command Opcode"],
	INVALID_FIELD: [0x002, "Invalid Field in Command"],
	COMMAND_ID_CONFLICT: [0x003, "Command ID Conflict"],
	DATA_TRANSFER_ERROR: [0x004, "Data Transfer Error"],
	ABORT_REQUESTED: [0x007, "Command Abort Requested"],
	ABORTED_SQ_DELETION: [0x008, "Command Aborted due to SQ Deletion"],
	FAILED_FUSED_COMMAND: [0x009, "Command Aborted due to Failed Fused Command"],
	MISSING_FUSED_COMMAND: [0x00a, "Command Aborted due to Missing Fused Command"],
	INVALID_NAMESPACE_OR_FORMAT: [0x00b, "Invalid Namespace or Format"],
	COMMAND_SEQUENCE_ERROR: [0x00c, "Command Sequence Error"],
	INVALID_SGL_SEGMENT: [0x00d, "Invalid SGL Segment Descriptor"],
	INVALID_NUMBER_OF_SGL_DESCRIPTORS: [0x00e, "Invalid Number of SGL Descriptors"],
	DATA_SGL_LENGTH_INVALID: [0x00f, "Data SGL Length Invalid"],
	SGL_TYPE_INVALID: [0x011, "SGL Descriptor Type Invalid"],
	INVALID_USE_OF_CMB: [0x012, "Invalid Use of Controller Memory Buffer"],
	PRP_OFFSET_INVALID: [0x013, "PRP Offset Invalid"],
	NAMESPACE_WRITE_PROTECTED: [0x020, "Namespace is Write Protected"],
	LBA_OUT_OF_RANGE: [0x080, "LBA Out of Range"],
	FORMAT_IN_PROGRESS: [0x084, "Format in Progress"],

	COMPLETION_QUEUE_INVALID: [0x100, "Completion Queue Invalid"],
	INVALID_QUEUE_IDENTIFIER: [0x101, "Invalid Queue Identifier"],
	INVALID_QUEUE_SIZE: [0x102, "Invalid Queue Size"],
	ASYNC_EVENT_LIMIT_EXCEEDED: [0x105, "Asynchronous Event Request Limit Exceeded"],
	INVALID_INTERRUPT_VECTOR: [0x108, "Invalid Interrupt Vector"],
	INVALID_LOG_PAGE: [0x109, "Invalid Log Page"],
	INVALID_FORMAT: [0x10a, "Invalid Format"],
	INVALID_QUEUE_DELETION: [0x10c, "Invalid Queue Deletion"],
	FEATURE_NOT_SAVEABLE: [0x10d, "Feature Identifier Not Saveable"],
	FEATURE_NOT_NAMESPACE_SPECIFIC: [0x10f, "Feature Not Namespace Specific"],

	WRITE_FAULT: [0x280, "Write Fault"],
	UNRECOVERED_READ_ERROR: [0x281, "Unrecovered Read Error"],
	COMPARE_FAILURE: [0x285, "Compare Failure"],
} as const;

type Name = keyof typeof STATUSES;

export const Status = Object.fromEntries(Object.entries(STATUSES).map(([name, [code]]) => [name, code])) as {
	readonly [N in Name]: (typeof STATUSES)[N][0];
};

const names = new Map<number, string>(Object.values(STATUSES).map(([code, name]) => [code, name]));

/** "LBA Out of Range" */
export function nameOfStatus(status: number): string {
	return names.get(status) ?? `status 0x${status.toString(16)}`;
}

/** What may go well when the same command is given again: all else has Do Not Retry. */
const WORTH_RETRYING = new Set<number>([
	Status.COMMAND_ID_CONFLICT,
	Status.DATA_TRANSFER_ERROR,
	Status.ABORT_REQUESTED,
	Status.ABORTED_SQ_DELETION,
	Status.FAILED_FUSED_COMMAND,
	Status.FORMAT_IN_PROGRESS,
	Status.ASYNC_EVENT_LIMIT_EXCEEDED,
	Status.WRITE_FAULT,
	Status.UNRECOVERED_READ_ERROR,
]);

const MORE = 1 << 13;
const DO_NOT_RETRY = 1 << 14;

/** The Status Field, without the phase: bits 14:0. An error has an entry in the error log, which the bit More says. */
export function statusField(status: number): number {
	if (status === Status.SUCCESS) return 0;
	return status | MORE | (WORTH_RETRYING.has(status) ? 0 : DO_NOT_RETRY);
}
