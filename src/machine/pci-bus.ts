// The PCI functions of a machine: their hardware, their groups, and where the firmware has put their BARs.

import { IommuGroup } from "../iommu/core/group.js";
import type { Group } from "../iommu/core/iommu.js";
import type { Iommu, PciDevice, PciFunction } from "../iommu/core/pci.js";
import { VfioDevice } from "../vfio/device.js";
import type { Bar, PciHardware, SriovCapability } from "../vfio/pci-config.js";
import { type SriovRole, VfToken } from "../vfio/vf-token.js";
import { MachineDescriptionError } from "./errors.js";
import type { IommuDescription } from "./iommu-description.js";
import type { PciDescription } from "./pci-description.js";
import { barsOfVirtual, requesterIdOf, sriovOf } from "./sriov.js";

/** Windows below 4 GiB, above it, and of I/O ports, as firmware of PCs lays them out. */
const FIRST_ADDRESS = { memory32: 0xc000_0000n, memory64: 0x80_0000_0000n, io: 0x6000n } as const;
/** How far the registers of a BAR count. */
const LAST_ADDRESS = { memory32: 0xffff_ffffn, memory64: 0xffff_ffff_ffff_ffffn, io: 0xffffn } as const;
/** A BAR that shares no page of the CPU with another one can be mapped by a program. */
const SMALLEST_WINDOW = 4096n;

/** A function of the machine, whether VFIO takes it or not. */
export interface MachineFunction {
	readonly description: PciDescription;
	readonly hardware: PciHardware;
	readonly device: PciDevice;
	readonly vfio: VfioDevice | undefined;
}

/** An IOMMU of the machine, and what is behind it. */
export interface MachineIommu {
	readonly description: IommuDescription;
	readonly functions: readonly MachineFunction[];
}

export class PciBus {
	/** Those that VFIO can have, in the order of the description. */
	readonly vfioDevices: VfioDevice[] = [];
	readonly #groups = new Map<number, Group>();
	#groupCount = 0;
	readonly #tokens = new Map<string, VfToken>();
	readonly #addresses = new Set<string>();
	/** The virtual functions of those that have some, by their address. */
	readonly #virtual: ReadonlyMap<string, readonly PciDescription[]>;
	/** The physical functions so far. */
	readonly #sriov = new Map<string, SriovCapability>();
	readonly #free: Record<Bar["space"], bigint> = { ...FIRST_ADDRESS };

	/** @param all that will be added */
	constructor(all: readonly PciDescription[]) {
		const physical = new Set(all.flatMap(({ virtualFunctionOf }) => virtualFunctionOf ?? []));
		const virtualOf = (address: string) => all.filter(({ virtualFunctionOf }) => virtualFunctionOf === address);
		this.#virtual = new Map([...physical].map((address) => [address, virtualOf(address)]));
	}

	/** Whether a function is a physical one of SR-IOV. To Linux one without virtual functions is like any other: sriov_init(). */
	#isPhysical({ address, sriov }: PciDescription): boolean {
		return sriov && this.#virtual.has(address);
	}

	/**
	 * Adds a function. VFIO takes it if the driver of its IOMMU says that it is cache coherent, or if it has no IOMMU.
	 * @throws MachineDescriptionError
	 */
	add(description: PciDescription, iommu: Iommu): MachineFunction {
		const { address } = description;
		if (this.#addresses.has(address))
			throw new MachineDescriptionError(`two PCI functions have the address ${address}`);
		this.#addresses.add(address);
		if (iommu.driver.isAbsent && description.group !== undefined)
			throw new MachineDescriptionError(
				`${address} has no IOMMU: VFIO gives it a group of its own, so it can't have the field "group"`,
			);
		const device = iommu.probe(functionOf(description), this.#groupOf(description));
		const sriov = this.#sriovRole(description);
		const hardware = this.#hardwareOf(description);
		// A program has no way to flush caches, so VFIO leaves out what would need it.
		const isTaken = !device.hasIommu || iommu.driver.capable(device, "cache-coherency");
		const vfio = isTaken ? new VfioDevice("", device, hardware, sriov) : undefined;
		if (vfio !== undefined) this.vfioDevices.push(vfio);
		return { description, hardware, device, vfio };
	}

	#groupOf({ group: number }: PciDescription): Group {
		const known = number === undefined ? undefined : this.#groups.get(number);
		if (known !== undefined) return known;
		const group = new IommuGroup(this.#groupCount++);
		if (number !== undefined) this.#groups.set(number, group);
		return group;
	}

	#sriovRole(description: PciDescription): SriovRole {
		const { address, virtualFunctionOf } = description;
		if (virtualFunctionOf !== undefined) {
			const token = this.#tokens.get(virtualFunctionOf);
			if (token !== undefined) return { kind: "virtual", token };
			throw new MachineDescriptionError(
				`${address} is a virtual function of ${virtualFunctionOf}, and no function with "sriov" before it has that address`,
			);
		}
		if (!this.#isPhysical(description)) return { kind: "none" };
		const token = new VfToken();
		this.#tokens.set(address, token);
		return { kind: "physical", token };
	}

	#hardwareOf(description: PciDescription): PciHardware {
		const sriov = this.#sriovCapability(description);
		return {
			vendorId: description.vendor,
			deviceId: description.device,
			subsystemVendorId: description.subsystemVendor,
			subsystemId: description.subsystem,
			revision: description.revision,
			classCode: description.class,
			bars:
				this.#barsOfVirtual(description) ??
				description.bars.map((bar) => ({ ...bar, address: this.#place(bar.space, BigInt(bar.size)) })),
			interruptPin: description.interruptPin,
			msiVectors: description.msiVectors,
			msix: description.msix,
			isExpress: description.express,
			ats: description.ats,
			pri: description.pri,
			pasidBits: description.pasidBits,
			canReset: description.canReset,
			sriov,
		};
	}

	#sriovCapability(description: PciDescription): SriovCapability | undefined {
		if (!this.#isPhysical(description)) return undefined;
		const { address } = description;
		const sriov = sriovOf(description, this.#virtual.get(address)!, ({ space, size }, count) =>
			this.#place(space, BigInt(size) << BigInt(Math.ceil(Math.log2(count)))),
		);
		this.#sriov.set(address, sriov);
		return sriov;
	}

	/** Where its physical function says that they are; undefined for one that isn't virtual. */
	#barsOfVirtual(description: PciDescription): Bar[] | undefined {
		const { virtualFunctionOf: physical } = description;
		const sriov = physical === undefined ? undefined : this.#sriov.get(physical);
		return sriov && barsOfVirtual(sriov, this.#virtual.get(physical!)!.indexOf(description));
	}

	/** The next place that is aligned to the BAR's size. */
	#place(space: Bar["space"], size: bigint): bigint {
		const window = space !== "io" && size < SMALLEST_WINDOW ? SMALLEST_WINDOW : size;
		const address = (this.#free[space] + window - 1n) & ~(window - 1n);
		if (address + size - 1n > LAST_ADDRESS[space])
			throw new MachineDescriptionError(`the BARs of ${space} are too large: there is no room for ${size} more bytes`);
		this.#free[space] = address + window;
		return address;
	}
}

/** What an IOMMU driver looks at. */
function functionOf(description: PciDescription): PciFunction {
	const { address, ats, pri, pasidBits, firmwareRegions } = description;
	return {
		address,
		requesterId: requesterIdOf(address),
		classCode: description.class,
		isVirtualFunction: description.virtualFunctionOf !== undefined,
		ats,
		pri,
		pasidBits,
		firmwareRegions,
	};
}
