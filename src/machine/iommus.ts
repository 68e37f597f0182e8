// From what a description says of an IOMMU to the IOMMU with its driver.

import type { Iommu } from "../iommu/core/pci.js";
import { AmdDriver } from "../iommu/drivers/amd.js";
import { ArmSmmuDriver2023 } from "../iommu/drivers/arm-smmu-2023.js";
import type { SmmuRegisters } from "../iommu/drivers/arm-smmu-v3/registers.js";
import { ArmSmmuV3Driver } from "../iommu/drivers/arm-smmu-v3.js";
import { VtdRegisters } from "../iommu/drivers/intel-vtd/registers.js";
import { IntelVtdDriver } from "../iommu/drivers/intel-vtd.js";
import { NoIommuDriver } from "../iommu/drivers/noiommu.js";
import { PamuDriver2023 } from "../iommu/drivers/pamu-2023.js";
import { RiscvDriver } from "../iommu/drivers/riscv.js";
import { S390Driver } from "../iommu/drivers/s390.js";
import { S390Driver2023 } from "../iommu/drivers/s390-2023.js";
import type { TableMemory } from "../pagetable/table-memory.js";
import type { IommuDescription } from "./iommu-description.js";

/** The drivers of one machine: one of each kind, which all IOMMUs of that kind share, as in Linux. */
export class Drivers {
	readonly #memory: TableMemory;
	readonly #drivers = new Map<unknown, unknown>();

	constructor(memory: TableMemory) {
		this.#memory = memory;
	}

	add(iommu: IommuDescription): Iommu {
		switch (iommu.driver) {
			case "intel-vtd": {
				const { CAP_REG, ECAP_REG } = iommu.registers;
				return this.#the(IntelVtdDriver).addIommu(new VtdRegisters(CAP_REG, ECAP_REG));
			}
			case "amd": {
				const { EFR: efr, EFR2: efr2, CAPABILITY_HEADER: capabilityHeader } = iommu.registers;
				return this.#the(AmdDriver).addIommu({ efr, efr2, capabilityHeader });
			}
			case "arm-smmu-v3":
				return this.#the(ArmSmmuV3Driver).addIommu(smmuRegisters(iommu.registers), iommu);
			case "riscv":
				return this.#the(RiscvDriver).addIommu(iommu.registers.capabilities, iommu.claimsCacheCoherency);
			case "s390":
				return this.#the(S390Driver).addIommu(iommu);
			case "s390-2023":
				return this.#the(S390Driver2023).addIommu(iommu);
			case "arm-smmu-2023":
				return this.#the(ArmSmmuDriver2023).addIommu(smmuRegisters(iommu.registers));
			case "pamu-2023":
				return this.#the(PamuDriver2023).addIommu();
			case "none":
				return this.#the(NoIommuDriver).addIommu();
		}
	}

	#the<Driver>(type: new (memory: TableMemory) => Driver): Driver {
		let driver = this.#drivers.get(type) as Driver | undefined;
		if (driver === undefined) {
			driver = new type(this.#memory);
			this.#drivers.set(type, driver);
		}
		return driver;
	}
}

type DescribedSmmu = Extract<IommuDescription, { driver: "arm-smmu-v3" }>["registers"];

function smmuRegisters({ IDR0, IDR1, IDR2, IDR3, IDR4, IDR5, IIDR, AIDR }: DescribedSmmu): SmmuRegisters {
	return { idr: [IDR0, IDR1, IDR2, IDR3, IDR4, IDR5], iidr: IIDR, aidr: AIDR };
}
