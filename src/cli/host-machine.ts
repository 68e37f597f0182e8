// ioasis machines capture: a machine file from what a Linux host shows of itself in /sys: its IOMMUs, its PCI functions and their groups,
// and what the firmware has reserved. Documentation/ABI/testing/: sysfs-bus-pci, sysfs-class-iommu*, sysfs-kernel-iommu_groups

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { capabilitiesIn } from "./pci-capabilities.js";

export interface Captured {
	/** As a machine file has it. */
	readonly machine: object;
	/** What couldn't be had, or was left out: a line each. */
	readonly notes: readonly string[];
}

/** A field that is undefined isn't in the file. */
export type Fields = Readonly<Record<string, unknown>>;

const PCI = "sys/bus/pci/devices";
const IOMMUS = "sys/class/iommu";
const GROUPS = "sys/kernel/iommu_groups";
/** Base class of bridges: they aren't given to programs. */
const BRIDGE = "0x06";
/** IORESOURCE_* of <linux/ioport.h>. */
const [IO, MEMORY, PREFETCH, MEMORY_64] = [0x100, 0x200, 0x2000, 0x100000];
const BARS = 6;
/** What AMD's driver reserves itself: the HyperTransport range. */
const HYPERTRANSPORT = "0x000000fd00000000";

/** What Linux doesn't show of an IOMMU, by how its name begins: as a machine that ships has it. */
const UNSHOWN: Readonly<Record<string, string>> = { smmu3: "arm", riscv: "riscv", s390: "s390" };

/** Of a machine that ships: its first IOMMU, without functions. */
export type ShippedIommu = (machine: string) => Fields;

export class HostMachine {
	readonly #root: string;
	readonly #shipped: ShippedIommu;
	readonly #notes: string[] = [];
	#saysResets: boolean | undefined;

	/** @param root where the tree is: "/", or a directory that has a copy of its sys/ */
	constructor(root: string, shipped: ShippedIommu) {
		this.#root = root;
		this.#shipped = shipped;
	}

	/** @throws Error when there are no PCI functions to be seen */
	capture(name: string): Captured {
		const addresses = this.#list(PCI).sort();
		if (addresses.length === 0) throw new Error(`no PCI functions are in ${join(this.#root, PCI)}`);
		const functions = addresses.filter((address) => !this.#isBridge(address));
		const behind = new Map<string | undefined, string[]>();
		for (const address of functions) {
			const iommu = this.#iommuOf(address);
			behind.set(iommu, [...(behind.get(iommu) ?? []), address]);
		}
		const iommus = [...behind]
			.filter(([iommu]) => iommu !== undefined || behind.size === 1)
			.map(([iommu, members]) => this.#iommu(iommu, members));
		const without = behind.get(undefined)?.length ?? 0;
		if (without > 0 && behind.size > 1) this.#note(`${without} functions are behind no IOMMU, and are left out`);
		return {
			machine: { name, description: `as ${name} was captured from /sys`, iommus },
			notes: this.#notes,
		};
	}

	#isBridge(address: string): boolean {
		return this.#text(`${PCI}/${address}/class`)?.startsWith(BRIDGE) ?? false;
	}

	#iommuOf(address: string): string | undefined {
		return this.#link(`${PCI}/${address}/iommu`);
	}

	#iommu(name: string | undefined, addresses: readonly string[]): Fields {
		// What isn't for DMA there, s390's driver tells by the registers.
		const hasRegions = name?.startsWith("s390") !== true;
		const devices = addresses.map((address) => this.#function(address, addresses, hasRegions));
		if (name === undefined) {
			this.#note("no function is behind an IOMMU: is it switched off (intel_iommu=on, the firmware's settings)?");
			return { driver: "none", devices: devices.map((fields) => ({ ...fields, group: undefined })) };
		}
		const at = (file: string) => this.#hex(`${IOMMUS}/${name}/${file}`);
		const [capability, extended] = [at("intel-iommu/cap"), at("intel-iommu/ecap")];
		if (capability !== undefined && extended !== undefined)
			return { driver: "intel-vtd", registers: { CAP_REG: capability, ECAP_REG: extended }, devices };
		const features = this.#text(`${IOMMUS}/${name}/amd-iommu/features`)?.split(":");
		if (features !== undefined) {
			const [efr, efr2] = features.map(asHex);
			return {
				driver: "amd",
				registers: { EFR: efr, EFR2: efr2, CAPABILITY_HEADER: at("amd-iommu/cap") },
				devices,
			};
		}
		const kind = Object.keys(UNSHOWN).find((kind) => name.startsWith(kind));
		if (kind === undefined) {
			this.#note(`${name} is no IOMMU that ioasis has: its functions are put behind none`);
			return { driver: "none", devices: devices.map((fields) => ({ ...fields, group: undefined })) };
		}
		this.#note(`Linux doesn't show the registers of ${name}: those of the machine that ships were taken`);
		return { ...this.#shipped(UNSHOWN[kind]), devices };
	}

	#function(address: string, others: readonly string[], hasRegions: boolean): Fields {
		const at = `${PCI}/${address}`;
		const config = this.#bytes(`${at}/config`) ?? new Uint8Array();
		if (config.length <= 64) this.#note(`${address}: only root sees its capabilities`);
		const { sriov, msix, express, flr, ...capabilities } = capabilitiesIn(config);
		const bars = this.#bars(at);
		const fits = msix !== undefined && bars.some(({ index, size }) => index === msix.bar && msix.tableOffset < size);
		if (msix !== undefined && !fits)
			this.#note(`${address}: its MSI-X table is in BAR${msix.bar}, which isn't shown: left out`);
		const physical = this.#link(`${at}/physfn`);
		return {
			address,
			vendor: this.#hex(`${at}/vendor`),
			device: this.#hex(`${at}/device`),
			subsystemVendor: this.#hex(`${at}/subsystem_vendor`),
			subsystem: this.#hex(`${at}/subsystem_device`),
			revision: Number(this.#hex(`${at}/revision`) ?? 0),
			class: this.#hex(`${at}/class`),
			group: this.#sharedGroup(address, others),
			bars: bars.length > 0 ? bars : undefined,
			...withoutZeroes(capabilities),
			express: express || undefined,
			msix: fits ? msix : undefined,
			canReset: flr || this.#canReset(address) ? undefined : false,
			sriov: (sriov && express) || undefined,
			virtualFunctionOf: physical !== undefined && others.includes(physical) ? physical : undefined,
			firmwareRegions: hasRegions ? this.#regions(address) : undefined,
		};
	}

	/** Before Linux 5.15 nothing says so, of any function. */
	#canReset(address: string): boolean {
		const methodOf = (one: string) => this.#text(`${PCI}/${one}/reset_method`);
		this.#saysResets ??= this.#list(PCI).some((one) => methodOf(one) !== undefined);
		return !this.#saysResets || Boolean(methodOf(address));
	}

	/** "start end flags" in lines. A BAR that isn't there is all zeroes. */
	#bars(at: string): { index: number; size: number; space?: string; prefetchable?: true }[] {
		const lines = this.#text(`${at}/resource`)?.split("\n").slice(0, BARS) ?? [];
		return lines.flatMap((line, index) => {
			const [start, end, flags] = line.split(" ").map(Number);
			const size = end - start + 1;
			if (!(flags & (IO | MEMORY)) || !Number.isInteger(Math.log2(size))) return [];
			const space = flags & IO ? "io" : flags & MEMORY_64 ? "memory64" : undefined;
			return [{ index, size, ...(space && { space }), ...(flags & PREFETCH && { prefetchable: true as const }) }];
		});
	}

	/** The group's number, where others are in it as well. */
	#sharedGroup(address: string, others: readonly string[]): number | undefined {
		const group = this.#link(`${PCI}/${address}/iommu_group`);
		const isShared = others.some((other) => other !== address && this.#link(`${PCI}/${other}/iommu_group`) === group);
		return group !== undefined && isShared ? Number(group) : undefined;
	}

	/** The group's, told of its first function. Windows of interrupts are the IOMMU's own affair. */
	#regions(address: string): Fields[] | undefined {
		const group = this.#link(`${PCI}/${address}/iommu_group`);
		if (group === undefined || this.#list(`${GROUPS}/${group}/devices`).sort()[0] !== address) return undefined;
		const lines = this.#text(`${GROUPS}/${group}/reserved_regions`)?.split("\n") ?? [];
		const regions = lines.flatMap((line) => {
			const [first, last, kind] = line.split(" ");
			if (first === HYPERTRANSPORT) return [];
			if (kind === "reserved") return [{ kind, first: asHex(first), last: asHex(last) }];
			return kind?.startsWith("direct") ? [{ kind: "direct", first: asHex(first), last: asHex(last) }] : [];
		});
		return regions.length > 0 ? regions : undefined;
	}

	#note(text: string): void {
		if (!this.#notes.includes(text)) this.#notes.push(text);
	}

	#hex(path: string): string | undefined {
		const text = this.#text(path);
		return text === undefined || text === "" ? undefined : asHex(text);
	}

	#text(path: string): string | undefined {
		return this.#attempt(() => readFileSync(join(this.#root, path), "utf8").trim());
	}

	#bytes(path: string): Uint8Array | undefined {
		return this.#attempt(() => readFileSync(join(this.#root, path)));
	}

	#link(path: string): string | undefined {
		return this.#attempt(() => basename(readlinkSync(join(this.#root, path))));
	}

	#list(path: string): string[] {
		return this.#attempt(() => readdirSync(join(this.#root, path))) ?? [];
	}

	/** What isn't there, or may not be read, is nothing. */
	#attempt<T>(read: () => T): T | undefined {
		try {
			return read();
		} catch {
			return undefined;
		}
	}
}

/** "0x29d3", also of "29d3" and of what begins with zeroes. */
function asHex(text: string): string {
	const digits = text
		.trim()
		.replace(/^0x/i, "")
		.replace(/^0+(?=.)/, "")
		.toLowerCase();
	return `0x${digits}`;
}

function withoutZeroes(fields: Fields): Fields {
	return Object.fromEntries(Object.entries(fields).filter(([, value]) => Boolean(value)));
}
