// The RISC-V IOMMU, with a first stage alone: what Linux 7.3's driver uses of it.
// RISC-V IOMMU Architecture Specification 1.0: 2.1 "Device-Directory-Table", 6.3 "IOMMU capabilities (capabilities)".
// Linux: drivers/iommu/riscv/iommu.c.

import { riscv as riscvFormat } from "../../pagetable/formats/riscv.js";
import { PageTable } from "../../pagetable/pagetable.js";
import { TABLE_FRAME_LG2, type TableMemory } from "../../pagetable/table-memory.js";
import { Errno, hex } from "../../uapi/errno.js";
import { BaseDomain, PageTableDomain } from "../core/domain.js";
import type { Device, Group, IommuCapability, IommuDriver, PagingDomain } from "../core/iommu.js";
import { type Iommu, PciDevice, type PciFunction } from "../core/pci.js";
import { IdPool } from "./id-pool.js";

/** capabilities */
const Sv39 = 1n << 9n;
const Sv48 = 1n << 10n;
const Sv57 = 1n << 11n;
const Svpbmt = 1n << 15n;

/** Widest physical address of the formats. */
const PA_BITS = 56;
/** PSCIDs are 20 bits wide; 0 is not handed out. */
const LAST_PSCID = (1 << 20) - 1;

/** Device context: translation control, translation attributes, first-stage context. */
const tc_V = 1n;
const ta_PSCID_SHIFT = 12n;
const fsc_MODE_SHIFT = 60n;

interface Mode {
	readonly capability: bigint;
	readonly vaBits: number;
	readonly topLevel: number;
	/** fsc.iosatp.MODE */
	readonly encoding: bigint;
}

/** The widest first: that is the one that Linux takes. */
const MODES: readonly Mode[] = [
	{ capability: Sv57, vaBits: 57, topLevel: 4, encoding: 10n },
	{ capability: Sv48, vaBits: 48, topLevel: 3, encoding: 9n },
	{ capability: Sv39, vaBits: 39, topLevel: 2, encoding: 8n },
];

export class RiscvDriver implements IommuDriver {
	readonly name = "riscv";
	readonly blockedDomain = new RiscvBlockedDomain(this);
	readonly pscids = new IdPool("PSCIDs of riscv", 1, LAST_PSCID, "ENOMEM");
	readonly #memory: TableMemory;

	constructor(memory: TableMemory) {
		this.#memory = memory;
	}

	/** @param claimsCacheCoherency Linux 7.3's driver doesn't, so that VFIO leaves the devices alone */
	addIommu(capabilities: bigint, claimsCacheCoherency: boolean): RiscvIommu {
		return new RiscvIommu(this, capabilities, claimsCacheCoherency);
	}

	capable(device: Device, capability: IommuCapability): boolean {
		return capability === "cache-coherency" && (device as RiscvDevice).iommu.claimsCacheCoherency;
	}

	domainAllocPaging(device: Device): PagingDomain {
		const { capabilities } = (device as RiscvDevice).iommu;
		const mode = MODES.find(({ capability }) => (capabilities & capability) !== 0n);
		if (mode === undefined)
			throw new Errno(
				"ENODEV",
				`riscv: capabilities is ${hex(capabilities)}, with none of Sv39, Sv48 and Sv57`,
				"table-config",
			);
		const svpbmt = (capabilities & Svpbmt) !== 0n;
		return this.pscids.allocateFor((pscid) => new RiscvDomain(this, mode, svpbmt, pscid, this.#memory));
	}
}

export class RiscvIommu implements Iommu {
	readonly driver: RiscvDriver;
	readonly capabilities: bigint;
	readonly claimsCacheCoherency: boolean;

	constructor(driver: RiscvDriver, capabilities: bigint, claimsCacheCoherency: boolean) {
		this.driver = driver;
		this.capabilities = capabilities;
		this.claimsCacheCoherency = claimsCacheCoherency;
	}

	probe(pci: PciFunction, group: Group): RiscvDevice {
		return new RiscvDevice(pci, group, this);
	}
}

/** The part of a device's context that the driver writes. */
export interface DeviceContext {
	readonly tc: bigint;
	readonly ta: bigint;
	readonly fsc: bigint;
}

/** Every request is a fault. */
const INVALID: DeviceContext = { tc: 0n, ta: 0n, fsc: 0n };

export class RiscvDevice extends PciDevice {
	declare readonly iommu: RiscvIommu;
	context: DeviceContext = INVALID;

	constructor(pci: PciFunction, group: Group, iommu: RiscvIommu) {
		super(pci, iommu.driver, group, 0, iommu);
	}
}

class RiscvBlockedDomain extends BaseDomain {
	override readonly type = "blocked";

	override attachDevice(device: Device): void {
		(device as RiscvDevice).context = INVALID;
	}

	override free(): void {}
}

export class RiscvDomain extends PageTableDomain {
	readonly #driver: RiscvDriver;
	readonly #mode: Mode;
	/** Process soft-context ID: tags what the IOMMU caches of it. */
	readonly #pscid: number;

	constructor(driver: RiscvDriver, mode: Mode, svpbmt: boolean, pscid: number, memory: TableMemory) {
		const { vaBits, topLevel } = mode;
		// Every RISC-V IOMMU has Svnapot: the specification wants it.
		const format = riscvFormat({ svnapot: true, svpbmt });
		super(driver, new PageTable(format, { vaBits, paBits: PA_BITS, topLevel, signExtend: true }, memory));
		this.#driver = driver;
		this.#mode = mode;
		this.#pscid = pscid;
	}

	override attachDevice(device: Device): void {
		const riscv = device as RiscvDevice;
		if (!(riscv.iommu.capabilities & this.#mode.capability))
			throw new Errno(
				"ENODEV",
				`the IOMMU of ${device.name} doesn't have the HWPT's mode, Sv${this.#mode.vaBits}`,
				"domain-does-not-fit",
			);
		const ppn = this.table.topAddress >> BigInt(TABLE_FRAME_LG2);
		riscv.context = {
			tc: tc_V,
			ta: BigInt(this.#pscid) << ta_PSCID_SHIFT,
			fsc: (this.#mode.encoding << fsc_MODE_SHIFT) | ppn,
		};
	}

	override free(): void {
		super.free();
		this.#driver.pscids.free(this.#pscid);
	}
}
