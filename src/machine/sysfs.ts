// What a machine shows in /sys and /dev: its PCI functions, groups and IOMMUs, and the devices that iommufd and VFIO add.
// Documentation/ABI/testing/sysfs-bus-pci, sysfs-kernel-iommu_groups, sysfs-class-iommu; drivers/pci/pci-sysfs.c,
// drivers/iommu/iommu.c and iommu-sysfs.c, drivers/vfio/vfio_main.c.

import type { Group } from "../iommu/core/iommu.js";
import type { PciDevice } from "../iommu/core/pci.js";
import type { ReservedKind, ReservedRegion } from "../iommu/core/reserved.js";
import type { VfioGroup } from "../vfio/group.js";
import { type Bar, PciConfig, type PciHardware } from "../vfio/pci-config.js";
import type { VfioRegistry } from "../vfio/registry.js";
import { DMA_ENTRY_LIMIT } from "../vfio/type1/type1.js";
import { FileTree, READ_ONLY, READ_WRITE, WRITE_ONLY } from "./file-tree.js";
import type { IommuDescription } from "./iommu-description.js";
import { iommuPlace } from "./iommu-place.js";
import type { MachineFunction, MachineIommu } from "./pci-bus.js";
import { type BoundFunction, type PciDrivers, VFIO_PCI } from "./pci-drivers.js";

const MISC_MAJOR = 10;
const MISC_DEVICES = [
	/** The minor is MISC_DYNAMIC_MINOR: one that is free. drivers/iommu/iommufd/main.c */
	{ name: "iommu", minor: 261, node: "iommu", mode: "0660" },
	/** VFIO_MINOR */
	{ name: "vfio", minor: 196, node: "vfio/vfio", mode: "0666" },
] as const;
/** alloc_chrdev_region() gives the groups, "vfio", which come first, and "vfio-dev" majors that are free, from the top. */
const GROUP_MAJOR = 511;
const VFIO_MAJOR = 510;

const PCI = "/sys/bus/pci";
const DRIVERS = `${PCI}/drivers`;
const GROUPS = "/sys/kernel/iommu_groups";
const GROUP_CLASS = "/sys/class/vfio";
const GROUP_DEVICES = "/sys/devices/virtual/vfio";
const VFIO_CLASS = "/sys/class/vfio-dev";
const IOMMU_CLASS = "/sys/class/iommu";
const MISC_CLASS = "/sys/class/misc";
const NUMBERS = "/sys/dev/char";

/** @param vfio what VFIO has by now */
export function machineFiles(iommus: readonly MachineIommu[], pci: PciDrivers, vfio: VfioRegistry): FileTree {
	const bound = new Map(pci.present.map((one) => [one.one, one]));
	const tree = new FileTree();
	for (const path of ["/dev/vfio", PCI, GROUPS, GROUP_CLASS, GROUP_DEVICES, VFIO_CLASS, IOMMU_CLASS]) {
		tree.own(path);
		tree.addDirectory(path);
	}
	// Also the buses that the machine doesn't have, but another one may.
	tree.ownAll("/sys/devices/pci");
	addMiscDevices(tree);
	addPciBus(tree, pci);
	addModules(tree, iommus, pci);
	iommus.forEach((iommu, index) => {
		const functions = iommu.functions.filter((one) => bound.has(one));
		for (const [path, shown] of iommuPlace({ ...iommu, functions }, index)) addIommu(tree, path, iommu, shown);
		for (const one of functions) addFunction(tree, bound.get(one)!, pci);
		for (const group of new Set(functions.filter(hasGroup).map(({ device }) => device.group)))
			addGroup(tree, group, defaultDomainType[iommu.description.driver]);
	});
	for (const [minor, group] of vfio.groups) addVfioGroup(tree, group, minor);
	for (const one of pci.present) addVirtualFunctions(tree, one, pci);
	return tree;
}

function addMiscDevices(tree: FileTree): void {
	for (const { name, minor, node, mode } of MISC_DEVICES) {
		const path = `/sys/devices/virtual/misc/${name}`;
		const number = `${MISC_MAJOR}:${minor}`;
		for (const owned of [path, `${MISC_CLASS}/${name}`, `${NUMBERS}/${number}`, `/dev/${node}`]) tree.own(owned);
		tree.addDevice(`/dev/${node}`, MISC_MAJOR, minor);
		tree.addFile(`${path}/dev`, `${number}\n`);
		addUevent(tree, path, { MAJOR: MISC_MAJOR, MINOR: minor, DEVNAME: node, DEVMODE: mode });
		tree.addLink(`${path}/subsystem`, MISC_CLASS);
		tree.addLink(`${MISC_CLASS}/${name}`, path);
		tree.addLink(`${NUMBERS}/${number}`, path);
	}
}

/** VFIO makes groups up for functions without an IOMMU, as long as it has them. */
function hasGroup({ device, vfio }: MachineFunction): boolean {
	return device.hasIommu || vfio?.group !== undefined;
}

function addPciBus(tree: FileTree, pci: PciDrivers): void {
	tree.addDirectory(`${PCI}/devices`);
	tree.addDirectory(`${PCI}/slots`);
	tree.addFile(`${PCI}/drivers_autoprobe`, "1\n", READ_WRITE);
	tree.addFile(`${PCI}/drivers_probe`, "", WRITE_ONLY, (text) => pci.probe(text));
	for (const name of ["rescan", "uevent"]) tree.addFile(`${PCI}/${name}`, "", WRITE_ONLY);
	for (const driver of pci.names) {
		const path = `${DRIVERS}/${driver}`;
		tree.addFile(`${path}/bind`, "", WRITE_ONLY, (text) => pci.bind(driver, text));
		tree.addFile(`${path}/unbind`, "", WRITE_ONLY, (text) => pci.unbind(driver, text));
		tree.addFile(`${path}/new_id`, "", WRITE_ONLY, (text) => pci.newId(driver, text));
		tree.addFile(`${path}/remove_id`, "", WRITE_ONLY, (text) => pci.removeId(driver, text));
		tree.addFile(`${path}/uevent`, "", WRITE_ONLY);
	}
	tree.addLink(`${DRIVERS}/${VFIO_PCI}/module`, "/sys/module/vfio_pci");
	tree.addLink("/sys/module/vfio_pci/drivers/pci:vfio-pci", `${DRIVERS}/${VFIO_PCI}`);
}

/** Programs look here for whether VFIO is loaded, and whether it takes devices without an IOMMU. */
function addModules(tree: FileTree, iommus: readonly MachineIommu[], pci: PciDrivers): void {
	for (const module of ["iommufd", "vfio", "vfio_iommu_type1", "vfio_pci", "vfio_pci_core"]) {
		tree.own(`/sys/module/${module}`);
		tree.addFile(`/sys/module/${module}/initstate`, "live\n");
	}
	const parameter = (module: string, name: string, value: string) =>
		tree.addFile(`/sys/module/${module}/parameters/${name}`, `${value}\n`, READ_WRITE);
	const takesNoIommu = iommus.some(({ description }) => description.driver === "none");
	parameter("vfio", "enable_unsafe_noiommu_mode", takesNoIommu ? "Y" : "N");
	parameter("vfio_iommu_type1", "dma_entry_limit", String(DMA_ENTRY_LIMIT));
	parameter("vfio_iommu_type1", "allow_unsafe_interrupts", "N");
	parameter("vfio_iommu_type1", "disable_hugepages", "N");
	tree.addFile("/sys/module/vfio_pci/parameters/enable_sriov", pci.enableSriov ? "Y\n" : "N\n", READ_WRITE, (text) => {
		pci.setEnableSriov(text);
	});
}

function addIommu(tree: FileTree, path: string, iommu: MachineIommu, functions: readonly MachineFunction[]): void {
	const name = baseName(path);
	tree.own(path);
	tree.addDirectory(`${path}/devices`);
	addUevent(tree, path, {});
	tree.addLink(`${path}/subsystem`, IOMMU_CLASS);
	tree.addLink(`${IOMMU_CLASS}/${name}`, path);
	for (const one of functions) {
		tree.addLink(`${path}/devices/${one.device.name}`, placeOf(one.device));
		tree.addLink(`${placeOf(one.device)}/iommu`, path);
	}
	const { description } = iommu;
	if (description.driver === "intel-vtd") {
		const { CAP_REG, ECAP_REG } = description.registers;
		tree.addFile(`${path}/intel-iommu/cap`, `${CAP_REG.toString(16)}\n`);
		tree.addFile(`${path}/intel-iommu/ecap`, `${ECAP_REG.toString(16)}\n`);
		// ND: 2 ** (4 + 2 * ND) domains.
		tree.addFile(`${path}/intel-iommu/domains_supported`, `${2 ** (4 + 2 * Number(CAP_REG & 7n))}\n`);
	} else if (description.driver === "amd") {
		const { EFR, EFR2, CAPABILITY_HEADER } = description.registers;
		tree.addFile(`${path}/amd-iommu/cap`, `${CAPABILITY_HEADER.toString(16)}\n`);
		tree.addFile(`${path}/amd-iommu/features`, `${EFR.toString(16)}:${EFR2.toString(16)}\n`);
	}
}

function addFunction(tree: FileTree, bound: BoundFunction, pci: PciDrivers): void {
	const { device, hardware, vfio } = bound.one;
	const path = placeOf(device);
	const config = vfio?.config ?? new PciConfig(hardware);
	const { vendorId, deviceId, subsystemVendorId, subsystemId, classCode, revision } = hardware;
	const file = (name: string, content: string | Uint8Array, mode = READ_ONLY) =>
		tree.addFile(`${path}/${name}`, content, mode);
	file("vendor", `0x${hex(vendorId, 4)}\n`);
	file("device", `0x${hex(deviceId, 4)}\n`);
	file("subsystem_vendor", `0x${hex(subsystemVendorId, 4)}\n`);
	file("subsystem_device", `0x${hex(subsystemId, 4)}\n`);
	file("class", `0x${hex(classCode, 6)}\n`);
	file("revision", `0x${hex(revision, 2)}\n`);
	file("irq", `${config.u8(INTERRUPT_LINE)}\n`);
	file("resource", resourcesOf(hardware));
	file("config", config.bytes, READ_WRITE);
	file("modalias", `${modaliasOf(hardware)}\n`);
	file("numa_node", "-1\n", READ_WRITE);
	file("enable", "0\n", READ_WRITE); // VFIO enables it when a program opens it.
	file("ari_enabled", "0\n");
	file("broken_parity_status", "0\n", READ_WRITE);
	file("msi_bus", "1\n", READ_WRITE);
	tree.addFile(`${path}/driver_override`, `${bound.override ?? "(null)"}\n`, READ_WRITE, (text) => {
		pci.setOverride(bound, text);
	});
	file("remove", "", WRITE_ONLY);
	file("rescan", "", WRITE_ONLY);
	addUevent(tree, path, {
		...(bound.driver !== undefined && { DRIVER: bound.driver }),
		PCI_CLASS: hex(classCode, 4).toUpperCase(),
		PCI_ID: `${hex(vendorId, 4)}:${hex(deviceId, 4)}`.toUpperCase(),
		PCI_SUBSYS_ID: `${hex(subsystemVendorId, 4)}:${hex(subsystemId, 4)}`.toUpperCase(),
		PCI_SLOT_NAME: device.name,
		MODALIAS: modaliasOf(hardware),
	});
	tree.addLink(`${path}/subsystem`, PCI);
	if (hasGroup(bound.one)) tree.addLink(`${path}/iommu_group`, `${GROUPS}/${device.group.id}`);
	tree.addLink(`${PCI}/devices/${device.name}`, path);
	if (bound.driver !== undefined) {
		tree.addLink(`${path}/driver`, `${DRIVERS}/${bound.driver}`);
		tree.addLink(`${DRIVERS}/${bound.driver}/${device.name}`, path);
	}
	if (vfio?.isRegistered) addVfioDevice(tree, path, vfio.cdevName);
}

/** What vfio_register_dev() makes of a function. */
function addVfioDevice(tree: FileTree, parent: string, name: string): void {
	const path = `${parent}/vfio-dev/${name}`;
	const minor = Number(name.replace(/\D+/, ""));
	const number = `${VFIO_MAJOR}:${minor}`;
	tree.own(`${NUMBERS}/${number}`);
	tree.addDevice(`/dev/vfio/devices/${name}`, VFIO_MAJOR, minor);
	tree.addFile(`${path}/dev`, `${number}\n`);
	addUevent(tree, path, { MAJOR: VFIO_MAJOR, MINOR: minor, DEVNAME: `vfio/devices/${name}` });
	tree.addLink(`${path}/device`, parent);
	tree.addLink(`${path}/subsystem`, VFIO_CLASS);
	tree.addLink(`${VFIO_CLASS}/${name}`, path);
	tree.addLink(`${NUMBERS}/${number}`, path);
}

/** What vfio_create_group() makes of a group whose first device VFIO gets. */
function addVfioGroup(tree: FileTree, { name }: VfioGroup, minor: number): void {
	const path = `${GROUP_DEVICES}/${name}`;
	const number = `${GROUP_MAJOR}:${minor}`;
	tree.own(`${NUMBERS}/${number}`);
	tree.addDevice(`/dev/vfio/${name}`, GROUP_MAJOR, minor);
	tree.addFile(`${path}/dev`, `${number}\n`);
	addUevent(tree, path, { MAJOR: GROUP_MAJOR, MINOR: minor, DEVNAME: `vfio/${name}` });
	tree.addLink(`${path}/subsystem`, GROUP_CLASS);
	tree.addLink(`${GROUP_CLASS}/${name}`, path);
	tree.addLink(`${NUMBERS}/${number}`, path);
}

/** What a physical function of SR-IOV has, and the links between it and its virtual functions. drivers/pci/iov.c */
function addVirtualFunctions(tree: FileTree, physical: BoundFunction, pci: PciDrivers): void {
	const all = pci.virtualFunctionsOf(physical.address);
	if (all.length === 0) return;
	const path = placeOf(physical.one.device);
	const there = all.filter(({ isPresent }) => isPresent);
	tree.addFile(`${path}/sriov_totalvfs`, `${all.length}\n`);
	tree.addFile(`${path}/sriov_numvfs`, `${there.length}\n`, READ_WRITE, (text) => pci.setNumvfs(physical, text));
	tree.addFile(`${path}/sriov_drivers_autoprobe`, "1\n", READ_WRITE);
	const { offset, stride, deviceId } = physical.one.hardware.sriov!;
	tree.addFile(`${path}/sriov_offset`, `${offset}\n`);
	tree.addFile(`${path}/sriov_stride`, `${stride}\n`);
	tree.addFile(`${path}/sriov_vf_device`, `${hex(deviceId, 0)}\n`);
	tree.addFile(`${path}/sriov_vf_total_msix`, "0\n"); // vfio-pci lends them none
	there.forEach(({ one: { device } }, i) => {
		tree.addLink(`${path}/virtfn${i}`, placeOf(device));
		tree.addLink(`${placeOf(device)}/physfn`, path);
	});
}

/**
 * What the kernel would use a group's devices with, if it did. Unmapping is lazy (DMA-FQ) where IOMMU_DEFAULT_DMA_LAZY is the
 * default: drivers/iommu/Kconfig. Where the kernel has no DMA domains it is unknown.
 */
const defaultDomainType: { readonly [driver in IommuDescription["driver"]]: string } = {
	"intel-vtd": "DMA-FQ",
	amd: "DMA-FQ",
	s390: "DMA-FQ",
	"arm-smmu-v3": "DMA",
	riscv: "DMA",
	"arm-smmu-2023": "DMA",
	"s390-2023": "unknown",
	"pamu-2023": "unknown",
	none: "unknown",
};

/** vfio_noiommu_group_alloc() in drivers/vfio/group.c */
const NOIOMMU_GROUP = "vfio-noiommu";

function addGroup(tree: FileTree, group: Group, type: string): void {
	const path = `${GROUPS}/${group.id}`;
	for (const device of group.devices as PciDevice[]) tree.addLink(`${path}/devices/${device.name}`, placeOf(device));
	const regions = group.devices.flatMap((device) => device.driver.reservedRegions?.(device) ?? []);
	tree.addFile(`${path}/reserved_regions`, reservedRegionLines(regions).join(""));
	tree.addFile(`${path}/type`, `${type}\n`, READ_WRITE);
	if (!group.devices[0].hasIommu) tree.addFile(`${path}/name`, `${NOIOMMU_GROUP}\n`);
}

/** In the order of enum iommu_resv_type, with the names that sysfs has for them. */
const RESERVED_NAMES: { readonly [kind in ReservedKind]: string } = {
	direct: "direct",
	"direct-relaxable": "direct-relaxable",
	reserved: "reserved",
	msi: "msi",
	"software-msi": "msi",
};
const RESERVED_ORDER = Object.keys(RESERVED_NAMES);

/** What reserved_regions says of a group: in the order of their addresses, those of one kind that touch as one. */
export function reservedRegionLines(regions: readonly ReservedRegion[]): string[] {
	const order = ({ kind }: ReservedRegion) => RESERVED_ORDER.indexOf(kind);
	const sorted = [...regions].sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : order(a) - order(b)));
	const merged: { kind: ReservedKind; first: bigint; last: bigint }[] = [];
	for (const region of sorted) {
		const before = merged.findLast(({ kind }) => kind === region.kind);
		if (before === undefined || region.first > before.last + 1n) merged.push({ ...region });
		else if (region.last > before.last) before.last = region.last;
	}
	return merged.map(({ kind, first, last }) => `0x${hex(first, 16)} 0x${hex(last, 16)} ${RESERVED_NAMES[kind]}\n`);
}

const INTERRUPT_LINE = 0x3c;
/** Six BARs, the ROM, and with CONFIG_PCI_IOV the six BARs of virtual functions: PCI_BRIDGE_RESOURCES in include/linux/pci.h. */
const RESOURCES = 13;

// include/linux/ioport.h; the low bits are those of the BAR.
const IORESOURCE_IO = 0x100;
const IORESOURCE_MEM = 0x200;
const IORESOURCE_PREFETCH = 0x2000;
const IORESOURCE_SIZEALIGN = 0x40000;
const IORESOURCE_MEM_64 = 0x100000;
const BAR_IO = 1;
const BAR_64BIT = 4;
const BAR_PREFETCHABLE = 8;

function resourcesOf({ bars }: PciHardware): string {
	let text = "";
	for (let index = 0; index < RESOURCES; index++) {
		const bar = bars.find((candidate) => candidate.index === index);
		const [first, last, flags] =
			bar === undefined ? [0, 0, 0] : [bar.address, bar.address + BigInt(bar.size) - 1n, flagsOf(bar)];
		text += `0x${hex(first, 16)} 0x${hex(last, 16)} 0x${hex(flags, 16)}\n`;
	}
	return text;
}

function flagsOf({ space, prefetchable }: Bar): number {
	if (space === "io") return IORESOURCE_IO | IORESOURCE_SIZEALIGN | BAR_IO;
	const width = space === "memory64" ? IORESOURCE_MEM_64 | BAR_64BIT : 0;
	const prefetch = prefetchable ? IORESOURCE_PREFETCH | BAR_PREFETCHABLE : 0;
	return IORESOURCE_MEM | IORESOURCE_SIZEALIGN | width | prefetch;
}

function modaliasOf(hardware: PciHardware): string {
	const { vendorId, deviceId, subsystemVendorId, subsystemId, classCode } = hardware;
	const parts = [
		["v", vendorId, 8],
		["d", deviceId, 8],
		["sv", subsystemVendorId, 8],
		["sd", subsystemId, 8],
		["bc", classCode >>> 16, 2],
		["sc", (classCode >>> 8) & 0xff, 2],
		["i", classCode & 0xff, 2],
	] as const;
	return `pci:${parts.map(([name, value, digits]) => name + hex(value, digits).toUpperCase()).join("")}`;
}

function addUevent(tree: FileTree, path: string, values: { readonly [name: string]: string | number }): void {
	const lines = Object.entries(values).map(([name, value]) => `${name}=${value}\n`);
	tree.addFile(`${path}/uevent`, lines.join(""), READ_WRITE);
}

/** Every function is on a root bus of its own segment and number. */
function placeOf({ name }: PciDevice): string {
	return `/sys/devices/pci${name.slice(0, "0000:00".length)}/${name}`;
}

function baseName(path: string): string {
	return path.slice(path.lastIndexOf("/") + 1);
}

function hex(value: number | bigint, digits: number): string {
	return value.toString(16).padStart(digits, "0");
}
