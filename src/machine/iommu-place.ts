// Where an IOMMU's own directory is in /sys, which its driver decides by what it calls iommu_device_sysfs_add() with.

import type { MachineFunction, MachineIommu } from "./pci-bus.js";

const VIRTUAL = "/sys/devices/virtual/iommu";
/** Where QEMU's "virt" machines have the registers of the first one; the others follow. */
const SMMU_ADDRESS = 0x905_0000;
const SMMU_SIZE = 0x2_0000;

type Place = readonly [path: string, functions: readonly MachineFunction[]];

/** Its path and the functions that it shows. On s390 each function has an IOMMU of its own. */
export function iommuPlace({ description, functions }: MachineIommu, index: number): Place[] {
	switch (description.driver) {
		case "intel-vtd":
			return [[`${VIRTUAL}/dmar${index}`, functions]];
		case "amd":
			// In Linux below the IOMMU's own PCI function, which no machine has.
			return [[`${VIRTUAL}/ivhd${index}`, functions]];
		case "arm-smmu-v3":
		case "arm-smmu-2023": {
			const address = (SMMU_ADDRESS + index * SMMU_SIZE).toString(16).padStart(16, "0");
			return [[`/sys/devices/platform/arm-smmu-v3.${index}.auto/iommu/smmu3.0x${address}`, functions]];
		}
		case "riscv":
			return [[`${VIRTUAL}/riscv-iommu@301${index}000.iommu`, functions]];
		case "s390":
		case "s390-2023":
			return functions.map((one) => [`${VIRTUAL}/s390-iommu.${functionId(one)}`, [one]]);
		case "pamu-2023":
			return [[`${VIRTUAL}/iommu${index}`, functions]];
		case "none":
			return [];
	}
}

/** zPCI's function id. A machine doesn't say it; the requester's id is one that nobody else has. */
function functionId({ device }: MachineFunction): string {
	return device.pci.requesterId.toString(16).padStart(8, "0");
}
