// A machine: its physical memory, its IOMMUs, the PCI functions behind them, and the files that all this shows.

import { SelftestIommu } from "../iommu/drivers/selftest.js";
import type { OpenFile } from "../iommufd/caller.js";
import { type HwptPolicy, mainline } from "../iommufd/hwpt-policy.js";
import { IommufdFile } from "../iommufd/ioctls.js";
import type { Platform } from "../iommufd/platform.js";
import type { AddressSpace } from "../memory/address-space.js";
import { Frames } from "../memory/frames.js";
import { Memlock } from "../memory/memlock.js";
import { TableMemory } from "../pagetable/table-memory.js";
import { VfioCdev } from "../vfio/cdev.js";
import type { VfioDevice } from "../vfio/device.js";
import type { MachineDescription } from "./description.js";
import { Drivers } from "./iommus.js";
import { PciBus } from "./pci-bus.js";

const IOMMUFD_PATHS: readonly string[] = ["/dev/iommu", "/dev/vfio/vfio"];

export class Machine {
	readonly name: string;
	readonly frames: Frames;
	readonly tables = new TableMemory();
	/** The functions that VFIO has, in the order of their numbers. */
	readonly vfioDevices: readonly VfioDevice[];
	/** The paths that open() serves. */
	readonly paths: readonly string[];
	readonly #platform: Platform;
	readonly #open = new Set<IommufdFile>();
	/** What the platform calls to have closed files released; the host sets it. */
	settle: () => void = () => {};

	/**
	 * @param policy the rule by which iommufd allocates page tables
	 * @throws MachineDescriptionError for parts that don't fit together
	 */
	constructor(description: MachineDescription, policy: HwptPolicy = mainline) {
		this.name = description.name;
		this.frames = new Frames(description.memory?.contiguity);
		this.#platform = {
			frames: this.frames,
			memlock: new Memlock(),
			selftest: description.selftest ? new SelftestIommu(this.tables) : undefined,
			policy,
			settle: () => this.settle(),
		};
		const drivers = new Drivers(this.tables);
		const bus = new PciBus();
		for (const iommu of description.iommus) {
			const added = drivers.add(iommu);
			for (const device of iommu.devices) bus.add(device, added);
		}
		this.vfioDevices = bus.vfioDevices;
		this.paths = [...IOMMUFD_PATHS, ...this.vfioDevices.map(({ cdevName }) => `/dev/vfio/devices/${cdevName}`)];
	}

	/** A new open file for a path that is served, undefined for any other. */
	open(path: string): OpenFile | undefined {
		if (IOMMUFD_PATHS.includes(path)) return new MachineFile(this.#platform, path, this.#open);
		const index = this.paths.indexOf(path);
		if (index < 0) return undefined;
		return new VfioCdev(this.vfioDevices[index - IOMMUFD_PATHS.length], () => this.settle());
	}

	/** What is pinned of some memory, in pages: VmPin and VmLck of the process that has it. */
	counts(memory: AddressSpace): { readonly pinned: number; readonly locked: number } {
		return this.#platform.memlock.shown(memory);
	}

	/** What is still allocated: a line for each context, and for memory that nothing should hold any more. */
	leftovers(): string[] {
		const lines: string[] = [];
		for (const file of this.#open) {
			const kinds = new Map<string, number>();
			for (const object of file.context.objects) kinds.set(object.kind, (kinds.get(object.kind) ?? 0) + 1);
			const objects = [...kinds].map(([kind, count]) => `${count} ${kind}`).join(", ");
			lines.push(`${file.path} is open${objects === "" ? "" : ` with ${objects}`}`);
		}
		for (const { cdevName, name, isBound } of this.vfioDevices)
			if (isBound) lines.push(`/dev/vfio/devices/${cdevName} (${name}) is open and bound`);
		if (this.frames.pinned > 0) lines.push(`${this.frames.pinned} pages are pinned`);
		if (this.tables.tablesInUse > 0) lines.push(`${this.tables.tablesInUse} page table pages are in use`);
		return lines;
	}
}

/** Knows when it is released, so that the machine can say what was left open. */
class MachineFile extends IommufdFile {
	readonly #open: Set<IommufdFile>;

	constructor(platform: Platform, path: string, open: Set<IommufdFile>) {
		super(platform, path);
		this.#open = open;
		open.add(this);
	}

	override release(): void {
		super.release();
		this.#open.delete(this);
	}
}
