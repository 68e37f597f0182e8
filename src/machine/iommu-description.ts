// What a machine description says of an IOMMU: its driver, and the registers in the spelling of its specification.

import * as v from "valibot";
import { pciDescription } from "./pci-description.js";
import { hex32, hex64 } from "./values.js";

const devices = v.array(pciDescription);

/** Intel VT-d. 11.4 "Register Descriptions" */
const intelVtd = v.strictObject({
	driver: v.literal("intel-vtd"),
	registers: v.strictObject({ CAP_REG: hex64, ECAP_REG: hex64 }),
	devices,
});

/** AMD-Vi. 3.4 "MMIO Registers"; the header is "Capability Offset 00h". */
const amd = v.strictObject({
	driver: v.literal("amd"),
	registers: v.strictObject({
		EFR: hex64,
		EFR2: v.optional(hex64, "0x0"),
		/** IotlbSup and EFRSup. */
		CAPABILITY_HEADER: v.optional(hex32, "0x9000000"),
	}),
	devices,
});

const smmuRegisters = v.strictObject({
	IDR0: hex32,
	IDR1: hex32,
	IDR2: v.optional(hex32, "0x0"),
	IDR3: v.optional(hex32, "0x0"),
	IDR4: v.optional(hex32, "0x0"),
	IDR5: hex32,
	IIDR: v.optional(hex32, "0x0"),
	AIDR: v.optional(hex32, "0x0"),
});

/** What the firmware says of the PCI root complex in front of an SMMU. IORT (DEN 0049), "Root complex node". */
const rootComplex = v.strictObject({
	/** ATS attribute: ATS is supported. */
	ats: v.optional(v.boolean(), false),
	/** CANWBS: every access is cacheable, write-back and shareable, whatever the function asks for. */
	canwbs: v.optional(v.boolean(), false),
});

/** Arm SMMUv3 (IHI 0070). 6.3 "Register formats" */
const armSmmuV3 = v.strictObject({
	driver: v.literal("arm-smmu-v3"),
	registers: smmuRegisters,
	rootComplex: v.optional(rootComplex, {}),
	/** Whether the kernel is built with CONFIG_ARM_SMMU_V3_SVA, which page faults take too. */
	sva: v.optional(v.boolean(), false),
	devices,
});

/** RISC-V IOMMU Architecture Specification, 6.3 "IOMMU capabilities". */
const riscv = v.strictObject({
	driver: v.literal("riscv"),
	registers: v.strictObject({ capabilities: hex64 }),
	/** Linux 7.3's driver doesn't claim it, so that VFIO refuses the devices; true makes it claim it. */
	claimsCacheCoherency: v.optional(v.boolean(), false),
	devices,
});

/** s390 zPCI: what CLP answers to "Query PCI Function". arch/s390/include/asm/pci_clp.h */
const s390Function = {
	/** First and last DMA address. */
	sdma: v.optional(hex64, "0x100000000"),
	edma: v.optional(hex64, "0x1ffffffffffffff"),
	/** Memory of the machine: Linux gives a function a window of that size. */
	memory: v.optional(hex64, "0x100000000"),
};

const s390 = v.strictObject({
	driver: v.literal("s390"),
	...s390Function,
	/** Designation types that are supported: bit 4 for tables that begin with region-second, bit 3 with region-first. */
	dtsm: v.optional(hex32, "0x0"),
	devices,
});

const s390In2023 = v.strictObject({ driver: v.literal("s390-2023"), ...s390Function, devices });
const armSmmuIn2023 = v.strictObject({ driver: v.literal("arm-smmu-2023"), registers: smmuRegisters, devices });
const pamuIn2023 = v.strictObject({ driver: v.literal("pamu-2023"), devices });

/** No IOMMU: VFIO takes the functions all the same, as with its parameter enable_unsafe_noiommu_mode. */
const none = v.strictObject({ driver: v.literal("none"), devices });

export const iommuDescription = v.variant("driver", [
	intelVtd,
	amd,
	armSmmuV3,
	riscv,
	s390,
	s390In2023,
	armSmmuIn2023,
	pamuIn2023,
	none,
]);

export type IommuDescription = v.InferOutput<typeof iommuDescription>;
