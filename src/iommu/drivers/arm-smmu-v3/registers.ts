// The registers in which an SMMUv3 says what it can do.
// Arm System Memory Management Unit Architecture Specification, SMMUv3 (IHI 0070), 6.3 "Register formats": SMMU_IDR0 to
// SMMU_IDR5, SMMU_IIDR, SMMU_AIDR. Linux: arm_smmu_device_hw_probe().

export interface SmmuRegisters {
	/** SMMU_IDR0 to SMMU_IDR5 */
	readonly idr: readonly number[];
	readonly iidr: number;
	readonly aidr: number;
}

const bit = (register: number, number: number): boolean => ((register >>> number) & 1) === 1;
const field = (register: number, first: number, bits: number): number => (register >>> first) & (2 ** bits - 1);

/** IDR5.OAS */
const OUTPUT_BITS = [32, 36, 40, 42, 44, 48, 52, 48];
/** IDR5.VAX */
const VAX_52_BIT = 1;
/** IDR0.HTTU: the SMMU sets the dirty state, too. */
const HTTU_ACCESS_DIRTY = 2;
const STALL_MODEL_FORCE = 2;

const IMPLEMENTER_ARM = 0x43b;
const PRODUCT_MMU_600 = 0x483;
const PRODUCT_MMU_700 = 0x487;

/** The registers by field, in the specification's names, and what Linux makes of them. */
export class SmmuFeatures {
	/** Stage 1, stage 2. */
	readonly S1P: boolean;
	readonly S2P: boolean;
	/** Walks and queues are coherent with the CPU's caches. */
	readonly COHACC: boolean;
	/** Hardware updates of access flags and dirty state. */
	readonly HTTU: number;
	readonly ATS: boolean;
	readonly STALL_MODEL: number;
	/** Context descriptors in two levels. */
	readonly CD2L: boolean;
	readonly asidBits: number;
	readonly vmidBits: number;
	/** Bits of a SubstreamID, which a PASID is here. */
	readonly SSIDSIZE: number;
	/** Stage 2 can force write-back. */
	readonly FWB: boolean;
	/** Invalidations of ranges. */
	readonly RIL: boolean;
	/** Addresses of 52 bits with small granules. */
	readonly DS: boolean;
	/** Granules, as the lg2 of their bytes; the first is the one that Linux likes best. */
	readonly granules: readonly (12 | 14 | 16)[];
	/** Bits of a virtual address that stage 1 takes, and of a physical one. */
	readonly inputBits: number;
	readonly outputBits: number;
	/** The guest's stage 1 on the host's stage 2. */
	readonly canNest: boolean;

	constructor({ idr, iidr }: SmmuRegisters) {
		const [IDR0, IDR1, , IDR3, , IDR5] = idr;
		this.S2P = bit(IDR0, 0);
		this.S1P = bit(IDR0, 1);
		this.COHACC = bit(IDR0, 4);
		this.HTTU = field(IDR0, 6, 2);
		this.ATS = bit(IDR0, 10);
		this.asidBits = bit(IDR0, 12) ? 16 : 8;
		this.vmidBits = bit(IDR0, 18) ? 16 : 8;
		this.CD2L = bit(IDR0, 19);
		this.STALL_MODEL = field(IDR0, 24, 2);
		this.SSIDSIZE = field(IDR1, 6, 5);
		this.FWB = bit(IDR3, 8);
		this.RIL = bit(IDR3, 10);
		this.DS = bit(IDR5, 7);
		const GRANULES = [12, 14, 16] as const;
		this.granules = GRANULES.filter((_, index) => bit(IDR5, 4 + index));
		this.inputBits = field(IDR5, 10, 2) === VAX_52_BIT ? 52 : 48;
		this.outputBits = OUTPUT_BITS[field(IDR5, 0, 3)];
		this.canNest = this.S1P && this.S2P && !hasNestingErratum(iidr);
	}

	/** The dirty state in entries is exact only if the SMMU and the CPU see the same caches. */
	get canTrackDirty(): boolean {
		return this.HTTU >= HTTU_ACCESS_DIRTY && this.COHACC;
	}

	/** Every device waits when it faults, whether it likes to or not. */
	get forcesStalls(): boolean {
		return this.STALL_MODEL === STALL_MODEL_FORCE;
	}
}

/** Arm's errata 1209401 (MMU-600 before r2) and 2268618, 2812531 (MMU-700 before r1p1): Linux doesn't nest on them. */
function hasNestingErratum(iidr: number): boolean {
	if (field(iidr, 0, 12) !== IMPLEMENTER_ARM) return false;
	const variant = field(iidr, 16, 4);
	const revision = field(iidr, 12, 4);
	switch (field(iidr, 20, 12)) {
		case PRODUCT_MMU_600:
			return variant < 2;
		case PRODUCT_MMU_700:
			return variant < 1 || revision < 1;
		default:
			return false;
	}
}
