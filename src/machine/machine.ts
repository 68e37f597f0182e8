// A machine: its physical memory, its IOMMUs, the PCI functions behind them, and the files that all this shows.

import type { Endpoint } from "../devices/endpoint.js";
import { MemoryBudget } from "../faults/memory-budget.js";
import type { Opener } from "../files/caller.js";
import type { OpenFile } from "../files/open-file.js";
import { Dma } from "../iommu/dma/dma.js";
import { MappingHistory } from "../iommu/dma/mapping-history.js";
import { SelftestIommu } from "../iommu/drivers/selftest.js";
import type { Context } from "../iommufd/context.js";
import { Hwpt } from "../iommufd/hwpt.js";
import { type HwptPolicy, mainline } from "../iommufd/hwpt-policy.js";
import { IommufdFile } from "../iommufd/ioctls.js";
import type { Platform } from "../iommufd/platform.js";
import type { AddressSpace, Backing, Extents } from "../memory/address-space.js";
import { Frames } from "../memory/frames.js";
import { Memlock } from "../memory/memlock.js";
import { type Discard, TableMemory } from "../pagetable/table-memory.js";
import type { DeviceEvent } from "../trace/event.js";
import { Errno } from "../uapi/errno.js";
import { Container, ContainerFile, type ContainerPlatform } from "../vfio/container.js";
import type { VfioDevice } from "../vfio/device.js";
import { openCdev } from "../vfio/device-file.js";
import type { VfioGroup } from "../vfio/group.js";
import { VfioRegistry } from "../vfio/registry.js";
import type { MachineDescription } from "./description.js";
import type { FileTree } from "./file-tree.js";
import { Drivers } from "./iommus.js";
import { LocalModels, type ModelledFunction, type ModelPlace, nowhere, type Outside } from "./models.js";
import { type MachineIommu, PciBus } from "./pci-bus.js";
import { PciDrivers } from "./pci-drivers.js";
import { machineFiles } from "./sysfs.js";
import { whyMissing } from "./why-missing.js";

const CONTAINER = "/dev/vfio/vfio";

const root: Opener = { capable: () => true };

/** What is around a machine. */
export interface Surroundings {
	/** What models have of the world that run in the machine's thread. */
	readonly outside?: Outside;
	/** Where models run instead. */
	placeOfModels?(machine: Machine): ModelPlace | undefined;
	/** How much of our own memory clients may have us use, in bytes. */
	readonly memory?: number | undefined;
	/** See TableMemory. */
	readonly discard?: Discard | undefined;
}

export class Machine {
	readonly name: string;
	readonly frames: Frames;
	/** How much of our own memory clients may have us use. */
	readonly budget: MemoryBudget;
	readonly tables: TableMemory;
	/** What its devices do to memory. */
	readonly dma: Dma;
	/** What was mapped and unmapped for them of late. */
	readonly history = new MappingHistory();
	/** The models of functions that run in this thread. */
	readonly endpoints: ReadonlyMap<VfioDevice, Endpoint>;
	/** Is told what devices say. */
	report: ((event: DeviceEvent) => void) | undefined;
	/** Is told what the answer to a call doesn't say. */
	remark: ((text: string) => void) | undefined;
	/** The functions that VFIO can have, in the order of the description. */
	readonly vfioDevices: readonly VfioDevice[];
	/** Which driver each function has, and which functions there are. */
	readonly pci: PciDrivers;
	readonly #vfio = new VfioRegistry();
	readonly #container: MachineDescription["container"];
	/** Another list whenever others are served. */
	#paths: readonly string[] | undefined;
	/** What open() does with each path that it serves. */
	readonly #openers = new Map<string, (opener: Opener) => OpenFile>();
	readonly #iommus: readonly MachineIommu[];
	#files: FileTree | undefined;
	readonly #platform: Platform;
	/** Those whose contexts are there: also what was closed, and has a device bound to it yet. */
	readonly #open = new Set<IommufdFile>();
	/** Those of VFIO's own. */
	readonly #containers = new Set<ContainerFile>();
	/** By path: how many objects of each kind were left to the closing of a file. */
	readonly #closedWith = new Map<string, Map<string, number>>();
	/** What the platform calls to have closed files released; the host sets it. */
	settle: (mappingsToo?: boolean) => void = () => {};

	/**
	 * @param policy the rule by which iommufd allocates page tables
	 * @throws MachineDescriptionError for parts that don't fit together, and devices whose files can't be had
	 */
	constructor(description: MachineDescription, policy: HwptPolicy = mainline, surroundings: Surroundings = {}) {
		this.name = description.name;
		this.budget = new MemoryBudget(surroundings.memory);
		this.tables = new TableMemory({ budget: this.budget.pageTables, discard: surroundings.discard });
		this.frames = new Frames(description.memory?.contiguity, this.budget.pins);
		this.dma = new Dma(this.frames);
		this.#platform = {
			frames: this.frames,
			memlock: new Memlock(),
			budget: this.budget,
			history: this.history,
			selftest: description.selftest ? new SelftestIommu(this.tables) : undefined,
			policy,
			settle: (mappingsToo) => this.settle(mappingsToo),
			remark: (text) => this.remark?.(text),
		};
		const drivers = new Drivers(this.tables);
		const bus = new PciBus(description.iommus.flatMap(({ devices }) => devices));
		this.#iommus = description.iommus.map((iommu) => {
			const added = drivers.add(iommu);
			return { description: iommu, functions: iommu.devices.map((device) => bus.add(device, added)) };
		});
		this.vfioDevices = bus.vfioDevices;
		for (const { barMemory } of this.vfioDevices)
			for (const memory of barMemory.values()) this.frames.addDevice(memory, memory.frame, memory.pages);
		const local = new LocalModels(this.dma, surroundings.outside ?? nowhere, (event) => this.report?.(event));
		const place = surroundings.placeOfModels?.(this) ?? local;
		const modelled: ModelledFunction[] = [];
		const bare: VfioDevice[] = [];
		for (const { vfio, description } of this.#iommus.flatMap(({ functions }) => functions)) {
			const { model, options, chosen } = description;
			if (vfio !== undefined && model !== undefined) modelled.push({ vfio, model, options, chosen });
			else if (vfio !== undefined) bare.push(vfio);
		}
		for (const [vfio, registers] of place.place(modelled, bare)) vfio.registers = registers;
		this.endpoints = local.endpoints;
		this.#container = description.container;
		this.pci = new PciDrivers(
			this.#iommus.flatMap(({ functions }) => functions),
			this.#vfio,
		);
		this.#changed();
		this.pci.onChange = () => this.#changed();
		this.#vfio.onChange = () => this.#changed();
	}

	/** Other functions are there, or have other drivers. */
	#changed(): void {
		this.#files = undefined;
		this.#paths = undefined;
		this.#openers.clear();
		this.#addOpeners();
	}

	/** The groups that have a function of VFIO's, in the order of their minors. */
	get vfioGroups(): readonly VfioGroup[] {
		return this.#vfio.groups.map(([, group]) => group);
	}

	#addOpeners(): void {
		const settle = () => this.settle();
		const containers = this.#containerPlatform();
		this.#openers.set("/dev/iommu", () => this.#openIommufd("/dev/iommu"));
		this.#openers.set(CONTAINER, () =>
			this.#container === "iommufd" ? this.#openIommufd(CONTAINER) : this.#openContainer(containers),
		);
		for (const group of this.vfioGroups) this.#openers.set(group.path, (opener) => group.open(opener, settle));
		for (const device of this.#vfio.devices)
			this.#openers.set(`/dev/vfio/devices/${device.cdevName}`, (opener) => openCdev(device, opener, settle));
	}

	#containerPlatform(): ContainerPlatform {
		const { frames, memlock, budget, history } = this.#platform;
		const takesNoIommu = this.#iommus.some(({ description }) => description.driver === "none");
		return { frames, memlock, budget, history, settle: () => this.settle(), takesNoIommu };
	}

	/** The paths that open() serves. */
	get paths(): readonly string[] {
		this.#paths ??= [...this.#openers.keys()];
		return this.#paths;
	}

	/** Whether its kernel is built with CONFIG_IOMMUFD_TEST. */
	get hasTests(): boolean {
		return this.#platform.selftest !== undefined;
	}

	/** What is to be seen of the machine in /sys and /dev. Made when somebody looks. */
	get files(): FileTree {
		this.#files ??= machineFiles(this.#iommus, this.pci, this.#vfio);
		return this.#files;
	}

	/** Why a path leads nowhere, for people; undefined for one that isn't about devices. */
	whyMissing(path: string): string | undefined {
		return whyMissing({ name: this.name, pci: this.pci, vfio: this.#vfio }, path);
	}

	/**
	 * A new open file for a path that is served, undefined for any other.
	 * @param opener who may do everything if absent
	 * @throws EPERM for who may not have a device without an IOMMU, EBUSY for a group that another one has
	 */
	open(path: string, opener: Opener = root): OpenFile | undefined {
		return this.#openers.get(path)?.(opener);
	}

	/**
	 * Something was written to a file of /sys that has an effect.
	 * @throws ENODEV for one that isn't there any more, and what the file's driver throws
	 */
	store(path: string, text: string): void {
		const { node } = this.files.walk(path, false);
		if (node?.kind !== "file" || node.store === undefined)
			throw new Errno("ENODEV", `${path} isn't there any more, or nothing comes of what is written to it`);
		node.store(text);
	}

	#openContainer(platform: ContainerPlatform): OpenFile {
		const file: ContainerFile = new ContainerFile(new Container(platform), () => this.#containers.delete(file));
		this.#containers.add(file);
		return file;
	}

	#openIommufd(path: string): OpenFile {
		const file = new IommufdFile(this.#platform, path);
		file.context.onEnd = () => {
			this.#ending(file);
			this.#open.delete(file);
		};
		this.#open.add(file);
		return file;
	}

	/** What is pinned of some memory, in pages: VmPin and VmLck of the process that has it. */
	counts(memory: AddressSpace): { readonly pinned: number; readonly locked: number } {
		return this.#platform.memlock.shown(memory);
	}

	/** Appends the pages that are pinned of a backing to `into`. */
	pinnedOf(backing: Backing, into: Extents): void {
		this.frames.pinnedOf(backing, into);
	}

	/** What there is of each open of /dev/iommu now, as long as its file or a device holds it. */
	*contexts(): Iterable<Context> {
		for (const { context } of this.#open) yield context;
	}

	/** What a context was opened as; undefined for one that isn't there. */
	pathOf(context: Context): string | undefined {
		for (const file of this.#open) if (file.context === context) return file.path;
		return undefined;
	}

	/** The containers of VFIO's own, as long as their file is open, or a group is in them. */
	containers(): Iterable<Container> {
		const ofGroups = this.vfioGroups.flatMap((group) => group.container ?? []);
		return new Set([...[...this.#containers].map(({ container }) => container), ...ofGroups]);
	}

	/** Whether a container of VFIO's own has page tables now, which are no HWPTs. */
	get hasContainerDomains(): boolean {
		return [...this.#containers].some(({ container }) => container.domains.length > 0);
	}

	/** The page tables that there are now. */
	*hwpts(): Iterable<{ readonly context: Context; readonly hwpt: Hwpt }> {
		for (const context of this.contexts())
			for (const hwpt of context.objects) if (hwpt instanceof Hwpt) yield { context, hwpt };
	}

	/**
	 * What the program left allocated, a line each: objects that it left to the closing of their file, files that are still
	 * open, and memory that nothing should hold any more.
	 */
	leftovers(): string[] {
		const lines: string[] = [];
		for (const [path, kinds] of this.#closedWith) lines.push(`${inWords(kinds)} when ${path} was closed`);
		for (const file of this.#open) lines.push(`${file.path} is open (${inWords(kindsOf(file)) || "without objects"})`);
		for (const { container } of this.#containers)
			lines.push(`${CONTAINER} is open (${container.mappings} mappings, ${container.groups.length} groups)`);
		for (const group of this.vfioGroups) if (group.isOpen) lines.push(`${group.path} is open`);
		for (const { cdevName, name, isOpen } of this.vfioDevices)
			if (isOpen) lines.push(`/dev/vfio/devices/${cdevName} (${name}) is open and bound`);
		if (this.frames.pinned > 0) lines.push(`${this.frames.pinned} pages are pinned`);
		if (this.tables.tablesInUse > 0) lines.push(`${this.tables.tablesInUse} page table pages are in use`);
		return lines;
	}

	#ending(file: IommufdFile): void {
		const kinds = kindsOf(file);
		if (kinds.size === 0) return;
		const before = this.#closedWith.get(file.path) ?? new Map<string, number>();
		for (const [kind, count] of kinds) before.set(kind, (before.get(kind) ?? 0) + count);
		this.#closedWith.set(file.path, before);
	}
}

/** How many objects of each kind a file has. */
function kindsOf(file: IommufdFile): Map<string, number> {
	const kinds = new Map<string, number>();
	for (const { kind } of file.context.objects) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
	return kinds;
}

function inWords(kinds: ReadonlyMap<string, number>): string {
	return [...kinds].map(([kind, count]) => `${count} ${kind}`).join(", ");
}
