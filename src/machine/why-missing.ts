// Why a path of a machine leads nowhere, and what is there instead: for whoever looks for a device on a machine that hasn't it.

import type { VfioRegistry } from "../vfio/registry.js";
import { type BoundFunction, NO_DRIVER, type PciDrivers, VFIO_PCI } from "./pci-drivers.js";

/** How many of what there is are named. */
const MOST_NAMED = 6;
const FUNCTION = /^\/sys\/(?:bus\/pci\/devices|devices\/pci[^/]+)\/([^/]+)(?:\/(.+))?$/;
const ADDRESS = /^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/;

/** What there is to look for. */
export interface Present {
	/** The machine's name. */
	readonly name: string;
	readonly pci: PciDrivers;
	readonly vfio: VfioRegistry;
}

/**
 * @param path one that isn't there, from the root, without links as far as it leads
 * @returns undefined for one that isn't about devices
 */
export function whyMissing(present: Present, path: string): string | undefined {
	if (path.startsWith("/dev/vfio/devices/"))
		return noFunctions(present) ?? `${present.name} has ${inWords(cdevs(present), "no device of VFIO's")}`;
	if (path.startsWith("/dev/vfio/"))
		return noFunctions(present) ?? whyNoGroup(present, path.slice("/dev/vfio/".length));
	const ofFunction = FUNCTION.exec(path);
	if (ofFunction !== null) {
		const [, address, file] = ofFunction;
		const bound = present.pci.present.find((one) => one.address === address);
		return bound === undefined ? whyNoFunction(present, address) : whyNoFile(present, bound, file ?? "");
	}
	if (path.startsWith("/sys/devices/pci") || path.startsWith("/sys/bus/pci/devices")) return noFunctions(present);
	if (path.startsWith("/sys/bus/pci/drivers/"))
		return `${present.name} has ${inWords(present.pci.names, "no drivers")}: a driver is one that the machine file names`;
	if (path.startsWith("/sys/kernel/iommu_groups/"))
		return noFunctions(present) ?? `${present.name} has ${inWords(iommuGroups(present), "no IOMMU, so no groups")}`;
	if (path.startsWith("/sys/class/vfio-dev/") || path.startsWith("/sys/class/vfio/"))
		return noFunctions(present) ?? `${present.name} has ${inWords(cdevs(present), "no device of VFIO's")}`;
	return undefined;
}

function noFunctions({ name, pci }: Present): string | undefined {
	return pci.functions.length > 0 ? undefined : `${name} has no PCI functions: try --machine intel`;
}

function whyNoGroup(present: Present, name: string): string {
	const { pci, vfio } = present;
	const groups = vfio.groups.map(([, group]) => group);
	const number = Number(/^(?:noiommu-)?(\d+)$/.exec(name)?.[1] ?? Number.NaN);
	const ofNumber = groups.find(({ iommuGroup }) => iommuGroup.id === number);
	if (ofNumber !== undefined)
		return `that group is ${ofNumber.path}: its functions are ${ofNumber.isNoIommu ? "behind no IOMMU" : "behind an IOMMU"}`;
	const withoutVfio = pci.present.filter(({ one: { device } }) => device.hasIommu && device.group.id === number);
	if (withoutVfio.length > 0) {
		const [{ address }] = withoutVfio;
		return `nothing in that group has the driver ${VFIO_PCI}: write "${VFIO_PCI}" to driver_override of ${address} and ${address} to drivers_probe, or leave "driver" out of the machine file`;
	}
	const known = groups.map((group) => `${group.path} (${group.devices.map(({ device }) => device.name).join(", ")})`);
	return `${present.name} has ${inWords(known, `no function with the driver ${VFIO_PCI}`)}`;
}

function whyNoFunction(present: Present, address: string): string | undefined {
	if (!ADDRESS.test(address)) return noFunctions(present);
	const absent = present.pci.functions.find((one) => one.address === address);
	if (absent !== undefined)
		return `it is a virtual function that isn't made: write how many there shall be to sriov_numvfs of ${absent.one.description.virtualFunctionOf}`;
	return (
		noFunctions(present) ??
		`${present.name} has ${inWords(
			present.pci.present.map(({ address: one }) => one),
			"no functions",
		)}`
	);
}

function whyNoFile({ pci }: Present, { address, driver, one }: BoundFunction, file: string): string {
	const [first] = file.split("/");
	if (first === "iommu_group" || first === "iommu") return `${address} is behind no IOMMU`;
	if (first === "vfio-dev") return `${address} has ${driver ?? NO_DRIVER} for a driver, not ${VFIO_PCI}`;
	if (first === "driver") return `${address} has no driver`;
	if (first.startsWith("sriov_") || first.startsWith("virtfn")) {
		const count = pci.virtualFunctionsOf(address).length;
		if (count > 0)
			return `${address} can have ${count} virtual function${count === 1 ? "" : "s"}, and has ${pci.numvfs(address)}`;
		return `${address} can have no virtual functions: in a machine file it would have "sriov": true, and they "virtualFunctionOf"`;
	}
	if (first === "physfn") return `${address} is no virtual function`;
	if (/^resource\d/.test(first)) return `${address} has no such BAR`;
	if (one.vfio === undefined && first === "config") return `${address} is none of VFIO's`;
	return `${address} has no such file on this machine`;
}

function cdevs({ vfio }: Present): string[] {
	return vfio.devices.map(({ cdevName, device }) => `${cdevName} (${device.name})`);
}

function iommuGroups({ pci }: Present): string[] {
	const behind = pci.present.filter(({ one }) => one.device.hasIommu);
	return [...new Set(behind.map(({ one }) => one.device.group.id))].map((id) => `group ${id}`);
}

/** "one, two and three", "one, two and 7 more" */
function inWords(all: readonly string[], none: string): string {
	if (all.length === 0) return none;
	const named = all.length > MOST_NAMED ? all.slice(0, MOST_NAMED - 1) : all;
	const rest = all.length - named.length;
	const words = rest > 0 ? [...named, `${rest} more`] : named;
	return words.length === 1 ? words[0] : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}
