// Where the registers of the 82576 are, and what their bits are called.
// Intel 82576EB Gigabit Ethernet Controller Datasheet, chapter 8 "Programming Interface".

/** In BAR 0, in bytes. Of those that come in rows it is the first. */
export const Register = {
	// 8.2 General
	CTRL: 0x0000,
	STATUS: 0x0008,
	CTRL_EXT: 0x0018,
	MDIC: 0x0020,
	SERDESCTL: 0x0024,
	FCAL: 0x0028,
	FCAH: 0x002c,
	FCT: 0x0030,
	CONNSW: 0x0034,
	VET: 0x0038,
	FCTTV: 0x0170,
	LEDCTL: 0x0e00,
	// 8.3 Packet buffers
	RXPBS: 0x2404,
	TXPBS: 0x3404,
	SWPBS: 0x3004,
	// 8.4 EEPROM
	EECD: 0x0010,
	EERD: 0x0014,
	EEMNGCTL: 0x1010,
	// 8.5 Flow control
	FCRTL: 0x2160,
	FCRTH: 0x2168,
	FCRTV: 0x2460,
	FCSTS: 0x2464,
	// 8.6 PCIe
	GCR: 0x5b00,
	GCR_EXT: 0x5b6c,
	// 8.7 Semaphores
	SWSM: 0x5b50,
	SW_FW_SYNC: 0x5b5c,
	// 8.8 Interrupts
	ICR: 0x1500,
	ICS: 0x1504,
	IMS: 0x1508,
	IMC: 0x150c,
	IAM: 0x1510,
	GPIE: 0x1514,
	EICS: 0x1520,
	EIMS: 0x1524,
	EIMC: 0x1528,
	EIAC: 0x152c,
	EIAM: 0x1530,
	EICR: 0x1580,
	EITR: 0x1680,
	IVAR: 0x1700,
	IVAR_MISC: 0x1740,
	PBACL: 0x5b68,
	// 8.10 Receive
	RCTL: 0x0100,
	RXCSUM: 0x5000,
	RLPML: 0x5004,
	RFCTL: 0x5008,
	PSRTYPE: 0x5480,
	RXDMA: 0x0c000,
	MTA: 0x5200,
	RAL: 0x5400,
	RAL16: 0x54e0,
	VFTA: 0x5600,
	MRQC: 0x5818,
	VT_CTL: 0x581c,
	RSSRK: 0x5c80,
	RETA: 0x5c00,
	ETQF: 0x5cb0,
	UTA: 0xa000,
	// 8.12 Transmit
	TCTL: 0x0400,
	TCTL_EXT: 0x0404,
	TIPG: 0x0410,
	DTXCTL: 0x3590,
	DTXTCPFLGL: 0x359c,
	DTXTCPFLGH: 0x35a0,
	TXDMA: 0x0e000,
	// 8.20 Wake up
	WUC: 0x5800,
	WUFC: 0x5808,
	// 8.22 Management
	MANC: 0x5820,
} as const;

/** Of one queue: from RXDMA or TXDMA, and 0x40 of them on for the next queue. */
export const QueueRegister = {
	/** RDBAL, TDBAL */
	BAL: 0x00,
	BAH: 0x04,
	LEN: 0x08,
	SRRCTL: 0x0c,
	HEAD: 0x10,
	/** RXCTL, TXCTL: direct cache access */
	DCA: 0x14,
	TAIL: 0x18,
	/** RXDCTL, TXDCTL */
	DCTL: 0x28,
	RQDPC: 0x30,
	TDWBAL: 0x38,
	TDWBAH: 0x3c,
} as const;

export const QUEUES = 16;
export const QUEUE_STRIDE = 0x40;
/** The first four queues have the addresses of the 82575 as well. */
export const OLD_QUEUES = 4;
export const OLD_QUEUE_STRIDE = 0x100;
export const OLD_RXDMA = 0x2800;
export const OLD_TXDMA = 0x3800;

/** Further addresses that lead to a register: those of older controllers, 8.1.4. */
export const ALIASES: readonly (readonly [alias: number, register: number, count?: number])[] = [
	[0x00c0, Register.ICR],
	[0x00c8, Register.ICS],
	[0x00d0, Register.IMS],
	[0x00d8, Register.IMC],
	[0x00e0, Register.IAM],
	[0x0040, Register.RAL, 32],
	[0x0200, Register.MTA, 128],
	[0x0600, Register.VFTA, 128],
	[0x0160, Register.FCRTH],
	[0x0168, Register.FCRTL],
];

export const Ctrl = {
	FD: 1 << 0,
	GIO_MASTER_DISABLE: 1 << 2,
	SLU: 1 << 6,
	SPEED_SHIFT: 8,
	SPEED_1000: 2 << 8,
	FRCSPD: 1 << 11,
	FRCDPX: 1 << 12,
	ADVD3WUC: 1 << 20,
	RST: 1 << 26,
	RFCE: 1 << 27,
	TFCE: 1 << 28,
	VME: 1 << 30,
	PHY_RST: 2 ** 31,
} as const;

export const Status = {
	FD: 1 << 0,
	LU: 1 << 1,
	TXOFF: 1 << 4,
	SPEED_SHIFT: 6,
	ASDV_SHIFT: 8,
	PHYRA: 1 << 10,
	GIO_MASTER_EN: 1 << 19,
} as const;

export const Gcr = { COMPLETION_TIMEOUT_RESEND: 1 << 16 } as const;

export const Rctl = {
	RXEN: 1 << 1,
	SBP: 1 << 2,
	UPE: 1 << 3,
	MPE: 1 << 4,
	LPE: 1 << 5,
	LBM_SHIFT: 6,
	MO_SHIFT: 12,
	BAM: 1 << 15,
	BSIZE_SHIFT: 16,
	VFE: 1 << 18,
	CFIEN: 1 << 19,
	CFI: 1 << 20,
	DPF: 1 << 22,
	PMCF: 1 << 23,
	SECRC: 1 << 26,
} as const;

export const Tctl = { EN: 1 << 1, PSP: 1 << 3 } as const;

export const Srrctl = { DESCTYPE_SHIFT: 25, RDMTS_SHIFT: 20, DROP_EN: 2 ** 31 } as const;

/** RXDCTL and TXDCTL. */
export const Dctl = { ENABLE: 1 << 25, SWFLSH: 1 << 26 } as const;

export const Rxcsum = { IPOFLD: 1 << 8, TUOFLD: 1 << 9, CRCOFL: 1 << 11, IPPCSE: 1 << 12, PCSD: 1 << 13 } as const;

export const Gpie = { NSICR: 1 << 0, MULTIPLE_MSIX: 1 << 4, EIAME: 1 << 30 } as const;

/** Causes in ICR, ICS, IMS and IMC. */
export const Cause = {
	TXDW: 1 << 0,
	LSC: 1 << 2,
	RXDMT0: 1 << 4,
	RX_MISS: 1 << 6,
	RXDW: 1 << 7,
	INT_ASSERTED: 2 ** 31,
} as const;
