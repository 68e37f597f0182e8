// The controller's registers in BAR 0, and the bits in them.
// NVM Express Base Specification 1.4, 3.1 "Register Definition".

export const NvmeRegister = {
	/** Controller Capabilities, 64 bits. */
	CAP: 0x00,
	/** Version. */
	VS: 0x08,
	/** Interrupt Mask Set and Clear. */
	INTMS: 0x0c,
	INTMC: 0x10,
	/** Controller Configuration. */
	CC: 0x14,
	/** Controller Status. */
	CSTS: 0x1c,
	/** NVM Subsystem Reset. */
	NSSR: 0x20,
	/** Admin Queue Attributes. */
	AQA: 0x24,
	/** Admin Submission and Completion Queue Base Address, 64 bits each. */
	ASQ: 0x28,
	ACQ: 0x30,
	/** Controller Memory Buffer Location and Size. */
	CMBLOC: 0x38,
	CMBSZ: 0x3c,
	/** Controller Memory Buffer Memory Space Control, 64 bits, and Status. */
	CMBMSC: 0x50,
	CMBSTS: 0x58,
} as const;

/** How far the registers reach of which any does something. */
export const END_OF_REGISTERS = 0x5c;
/** Where the doorbells begin. */
export const FIRST_DOORBELL = 0x1000;

/** Bits of the upper half of CAP. */
export const CapHigh = {
	DSTRD_SHIFT: 0,
	/** NVM Subsystem Reset Supported. */
	NSSRS: 1 << 4,
	/** Command Sets Supported: NVM. */
	CSS_NVM: 1 << 5,
	MPSMIN_SHIFT: 16,
	MPSMAX_SHIFT: 20,
	/** Controller Memory Buffer Supported. */
	CMBS: 1 << 25,
} as const;

/** Bits of the lower half of CAP. */
export const CapLow = {
	/** Contiguous Queues Required. */
	CQR: 1 << 16,
	/** Timeout, in units of 500 ms. */
	TO_SHIFT: 24,
} as const;

export const CC_ENABLE = 1 << 0;

/** The fields of CC. */
export const ccFields = (cc: number) => ({
	commandSet: (cc >>> 4) & 7,
	/** Memory Page Size: 2^(12 + MPS) bytes. */
	memoryPageSize: (cc >>> 7) & 15,
	arbitration: (cc >>> 11) & 7,
	shutdown: (cc >>> 14) & 3,
	/** Sizes of I/O queue entries, as powers of two. */
	submissionEntrySize: (cc >>> 16) & 15,
	completionEntrySize: (cc >>> 20) & 15,
});

export const Csts = {
	RDY: 1 << 0,
	/** Controller Fatal Status. */
	CFS: 1 << 1,
	/** Shutdown Status. */
	SHST_MASK: 3 << 2,
	SHST_OCCURRING: 1 << 2,
	SHST_COMPLETE: 2 << 2,
	/** NVM Subsystem Reset Occurred. */
	NSSRO: 1 << 4,
} as const;

/** What has to be written to NSSR: "NVMe". */
export const NSSR_MAGIC = 0x4e564d65;

/** 1.4 */
export const VERSION = 0x0001_0400;

/** Maximum Queue Entries Supported. */
export const MOST_ENTRIES = 2048;
/** MPSMIN and MPSMAX: pages of 4 to 64 KiB. */
export const MIN_PAGE_SHIFT = 12;
export const MAX_PAGE_SHIFT = 16;
