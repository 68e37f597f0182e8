// The registers in which a VT-d unit says what it can do.
// Intel Virtualization Technology for Directed I/O, Architecture Specification 5.0: 11.4.2 "Capability Register",
// 11.4.3 "Extended Capability Register".

const bit = (register: bigint, number: number): boolean => ((register >> BigInt(number)) & 1n) === 1n;
const field = (register: bigint, first: number, bits: number): number =>
	Number((register >> BigInt(first)) & ((1n << BigInt(bits)) - 1n));

/** The registers, and their fields in the specification's names. */
export class VtdRegisters {
	readonly CAP_REG: bigint;
	readonly ECAP_REG: bigint;

	constructor(CAP_REG: bigint, ECAP_REG: bigint) {
		this.CAP_REG = CAP_REG;
		this.ECAP_REG = ECAP_REG;
	}

	// ---- CAP_REG

	/** Number of domain IDs. */
	get ND(): number {
		return 2 ** (4 + 2 * field(this.CAP_REG, 0, 3));
	}

	/** Required write-buffer flushing: what is written to a table is seen after a flush only. */
	get RWBF(): boolean {
		return bit(this.CAP_REG, 4);
	}

	/** Caching mode: what is not there is cached, too, as by an IOMMU that a hypervisor plays. */
	get CM(): boolean {
		return bit(this.CAP_REG, 7);
	}

	/** Supported adjusted guest address widths of the second stage: bits 1, 2, 3 for tables of 3, 4, 5 levels. */
	get SAGAW(): number {
		return field(this.CAP_REG, 8, 5);
	}

	/** Maximum guest address width, in bits. */
	get MGAW(): number {
		return field(this.CAP_REG, 16, 6) + 1;
	}

	/** Second-stage large pages: bit 0 for 2 MiB, bit 1 for 1 GiB. */
	get SSLPS(): number {
		return field(this.CAP_REG, 34, 4);
	}

	/** First-stage pages of 1 GiB. */
	get FS1GP(): boolean {
		return bit(this.CAP_REG, 56);
	}

	/** First-stage tables of 5 levels. */
	get FS5LP(): boolean {
		return bit(this.CAP_REG, 60);
	}

	// ---- ECAP_REG

	/** Page-walk coherency in legacy mode. */
	get C(): boolean {
		return bit(this.ECAP_REG, 0);
	}

	/** Device-TLB: ATS. */
	get DT(): boolean {
		return bit(this.ECAP_REG, 2);
	}

	/** Interrupt remapping. */
	get IR(): boolean {
		return bit(this.ECAP_REG, 3);
	}

	/** Snoop control. */
	get SC(): boolean {
		return bit(this.ECAP_REG, 7);
	}

	/** Nested translation. */
	get NEST(): boolean {
		return bit(this.ECAP_REG, 26);
	}

	/** Page request support. */
	get PRS(): boolean {
		return bit(this.ECAP_REG, 29);
	}

	/** Supervisor requests. */
	get SRS(): boolean {
		return bit(this.ECAP_REG, 31);
	}

	/** Extended accessed flag. */
	get EAFS(): boolean {
		return bit(this.ECAP_REG, 34);
	}

	/** One less than the bits of a PASID. */
	get PSS(): number {
		return field(this.ECAP_REG, 35, 5);
	}

	get PASID(): boolean {
		return bit(this.ECAP_REG, 40);
	}

	/** Page-request drain. */
	get PDS(): boolean {
		return bit(this.ECAP_REG, 42);
	}

	/** Scalable-mode translation; Linux uses it wherever it is. */
	get SMTS(): boolean {
		return bit(this.ECAP_REG, 43);
	}

	/** Second-stage accessed and dirty bits. */
	get SSADS(): boolean {
		return bit(this.ECAP_REG, 45);
	}

	/** Second-stage translation in scalable mode. */
	get SSTS(): boolean {
		return bit(this.ECAP_REG, 46);
	}

	/** First-stage translation. */
	get FSTS(): boolean {
		return bit(this.ECAP_REG, 47);
	}

	/** Scalable-mode page-walk coherency. */
	get SMPWCS(): boolean {
		return bit(this.ECAP_REG, 48);
	}

	// ---- What Linux concludes from them

	/** Walks see what the CPU has in its caches. */
	get walksCoherently(): boolean {
		return this.SMTS ? this.SMPWCS : this.C;
	}

	/** Whether a new mapping of the first stage takes a flush; of the second stage an unmapped page may be cached, too. */
	get flushesFirstStageOnMap(): boolean {
		return this.RWBF;
	}

	get flushesSecondStageOnMap(): boolean {
		return this.RWBF || this.CM;
	}

	get hasFirstStage(): boolean {
		return this.SMTS && this.FSTS;
	}

	/** Legacy mode has nothing else. */
	get hasSecondStage(): boolean {
		return !this.SMTS || this.SSTS;
	}

	get hasPasids(): boolean {
		return this.SMTS && this.PASID;
	}

	get canNest(): boolean {
		return this.SMTS && this.NEST;
	}

	/** Atomic dirty bits need walks that the CPU takes part in. */
	get canTrackDirty(): boolean {
		return this.SMTS && this.SSADS && this.SMPWCS;
	}
}
