// Registers of the Data Streaming Accelerator, and what they say that it can.
// Intel Data Streaming Accelerator Architecture Specification, chapter 9 "Register Descriptions".

/** In BAR 0. */
export const DsaRegister = {
	VERSION: 0x00,
	GENCAP: 0x10,
	WQCAP: 0x20,
	GRPCAP: 0x30,
	ENGCAP: 0x38,
	OPCAP: 0x40,
	OFFSETS: 0x60,
	GENCFG: 0x80,
	GENCTRL: 0x88,
	GENSTS: 0x90,
	INTCAUSE: 0x98,
	CMD: 0xa0,
	CMDSTS: 0xa8,
	CMDCAP: 0xb0,
	SWERROR: 0xc0,
	/** The tables, which OFFSETS leads to. */
	GRPCFG: 0x400,
	WQCFG: 0x500,
	MSIXPERM: 0x700,
} as const;

export const QUEUES = 8;
export const GROUPS = 4;
export const ENGINES = 4;
/** Descriptors that all queues hold together. */
export const TOTAL_QUEUE_SIZE = 128;
export const MAX_BATCH_SHIFT = 10;
/** One vector for the device, and one for each queue. */
export const VECTORS = 9;

/** Bytes of a queue's and of a group's configuration. */
export const WQCFG_SIZE = 64;
export const GRPCFG_SIZE = 64;

export const VERSION_1_0 = 0x100n;

/** GENCAP: overlapping copies, cache control accepted, CMDCAP is there, configuration can be changed. */
export function gencap(maxTransferShift: number): bigint {
	const OVERLAPPING_COPY = 1n << 1n;
	const CACHE_CONTROL_MEMORY = 1n << 2n;
	const COMMAND_CAPABILITIES = 1n << 4n;
	const CONFIGURATION = 1n << 31n;
	return (
		OVERLAPPING_COPY |
		CACHE_CONTROL_MEMORY |
		COMMAND_CAPABILITIES |
		(BigInt(maxTransferShift) << 16n) |
		(BigInt(MAX_BATCH_SHIFT) << 21n) |
		CONFIGURATION
	);
}

/** Dedicated queues only; priorities, occupancy, and operations by queue. */
export const WQCAP =
	BigInt(TOTAL_QUEUE_SIZE) |
	(BigInt(QUEUES) << 16n) |
	(1n << 24n) |
	(1n << 49n) |
	(1n << 51n) |
	(1n << 52n) |
	(1n << 54n);
export const GRPCAP = BigInt(GROUPS);
export const ENGCAP = BigInt(ENGINES);
export const OFFSETS =
	BigInt(DsaRegister.GRPCFG >> 8) |
	(BigInt(DsaRegister.WQCFG >> 8) << 16n) |
	(BigInt(DsaRegister.MSIXPERM >> 8) << 32n);

/** GENSTS. */
export const DeviceState = { DISABLED: 0, ENABLED: 1 } as const;

export const IntCause = { SOFTWARE_ERROR: 1, COMMAND: 2 } as const;
/** GENCTRL. */
export const SOFTWARE_ERROR_INTERRUPT = 1n;

/** 9.2.12 CMD */
export const Command = {
	ENABLE_DEVICE: 1,
	DISABLE_DEVICE: 2,
	DRAIN_ALL: 3,
	ABORT_ALL: 4,
	RESET_DEVICE: 5,
	ENABLE_WQ: 6,
	DISABLE_WQ: 7,
	DRAIN_WQ: 8,
	ABORT_WQ: 9,
	RESET_WQ: 10,
	DRAIN_PASID: 11,
	ABORT_PASID: 12,
} as const;
export const CMDCAP = Object.values(Command).reduce((bits, command) => bits | (1 << command), 0);

/** 9.2.13 CMDSTS: why a command fails. */
export const CommandError = {
	INVALID_COMMAND: 0x01,
	INVALID_WQ_INDEX: 0x02,
	DEVICE_NOT_DISABLED: 0x10,
	PASID_CAPABILITY_DISABLED: 0x13,
	WQ_SIZE_OUT_OF_RANGE: 0x14,
	GROUP_WITHOUT_WQ_OR_ENGINE: 0x15,
	WQ_IN_TWO_GROUPS: 0x16,
	ENGINE_IN_TWO_GROUPS: 0x17,
	DEVICE_NOT_ENABLED: 0x20,
	WQ_NOT_DISABLED: 0x21,
	WQ_SIZE_IS_ZERO: 0x22,
	WQ_PRIORITY_IS_ZERO: 0x23,
	INVALID_WQ_MODE: 0x24,
	INVALID_BLOCK_ON_FAULT: 0x25,
	INVALID_PASID_ENABLE: 0x26,
	INVALID_MAX_BATCH_SIZE: 0x27,
	INVALID_MAX_TRANSFER_SIZE: 0x28,
	/** Of the other commands for the device. */
	DEVICE_IS_NOT_ENABLED: 0x31,
	/** Of the other commands for queues. */
	WQ_IS_NOT_ENABLED: 0x32,
} as const;
