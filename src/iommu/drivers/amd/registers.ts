// The registers in which an AMD IOMMU says what it can do.
// AMD I/O Virtualization Technology (IOMMU) Specification (48882): 3.2.1 "IOMMU Capability Header", 3.4.1 "MMIO Offset 0030h
// IOMMU Extended Feature Register", "MMIO Offset 01A0h IOMMU Extended Feature 2 Register".

export interface AmdRegisters {
	readonly efr: bigint;
	readonly efr2: bigint;
	/** Capability Offset 00h. */
	readonly capabilityHeader: number;
}

/** IotlbSup (the IOMMU takes part in ATS) and EFRSup (it has the registers below). */
export const DEFAULT_CAPABILITY_HEADER = (1 << 24) | (1 << 27);

const bit = (register: bigint, number: number): boolean => ((register >> BigInt(number)) & 1n) === 1n;
const field = (register: bigint, first: number, bits: number): number =>
	Number((register >> BigInt(first)) & ((1n << BigInt(bits)) - 1n));

/** The registers by field, in the specification's names. */
export class AmdFeatures {
	/** Peripheral page requests. */
	readonly PPRSup: boolean;
	/** Guest translation: the tables of the CPU's format. */
	readonly GTSup: boolean;
	/** Host address translation size: 4, 5 or 6 levels; 3 is reserved, and means that there is none. */
	readonly HATS: number;
	/** Guest address translation size: 0 four levels, 1 five. */
	readonly GATS: number;
	/** One less than the bits of a PASID. */
	readonly PASmax: number;
	/** Requests without a PASID can use the guest translation of PASID 0. */
	readonly GIOSup: boolean;
	/** Enhanced PPR handling. */
	readonly EPHSup: boolean;
	/** The host tables' dirty bit is kept. */
	readonly HDSup: boolean;
	/** The device table may hold a guest's own pointer to its tables (EFR2). */
	readonly GCR3TRPModeSup: boolean;
	/** Addresses of HyperTransport's window are translated like others (EFR2). */
	readonly HtRangeIgnore: boolean;
	/** The IOMMU answers translation requests of devices with ATS. */
	readonly IotlbSup: boolean;

	constructor({ efr, efr2, capabilityHeader }: AmdRegisters) {
		this.PPRSup = bit(efr, 1);
		this.GTSup = bit(efr, 4);
		this.HATS = field(efr, 10, 2);
		this.GATS = field(efr, 12, 2);
		this.PASmax = field(efr, 32, 5);
		this.GIOSup = bit(efr, 48);
		this.EPHSup = bit(efr, 50);
		this.HDSup = bit(efr, 52);
		this.GCR3TRPModeSup = bit(efr2, 3);
		this.HtRangeIgnore = bit(efr2, 11);
		this.IotlbSup = (capabilityHeader & (1 << 24)) !== 0;
	}

	/** Whether there are host tables at all. */
	get hasHostTables(): boolean {
		return this.HATS !== 3;
	}

	/** Bits of an address that host tables translate. */
	get hostAddressBits(): number {
		return Math.min(64, (this.HATS + 3) * 9 + 21);
	}

	/** Whether the kernel can keep its own tables in the CPU's format. */
	get hasGuestTables(): boolean {
		return this.GTSup && this.GIOSup;
	}

	/** Levels of such a table, 4 or 5. Linux uses 5 only where the CPU has them too: taken for granted here. */
	get guestLevels(): number {
		return this.GATS === 1 ? 5 : 4;
	}

	get hasPasids(): boolean {
		return this.hasGuestTables && this.PPRSup && this.EPHSup;
	}

	get canNest(): boolean {
		return this.GTSup && this.GIOSup && this.GCR3TRPModeSup;
	}
}
