// Devices that the hardware can't tell apart, or can't keep from one another: they are attached together.
// struct iommu_group in drivers/iommu/iommu.c.

import { allocation } from "../../faults/faults.js";
import { Errno, hex } from "../../uapi/errno.js";
import type { Attachment, Device, Domain, Group, GroupOwner, GroupWatcher } from "./iommu.js";
import { Notes } from "./notes.js";
import { NO_PASID, type Pasid } from "./pasid.js";

export class IommuGroup implements Group {
	readonly id: number;
	readonly devices: Device[] = [];
	readonly watchers = new Set<GroupWatcher>();
	readonly notes = new Notes();
	/** What the group's devices translate through now. */
	#domain: Domain | undefined;
	readonly #attachments = new Map<Pasid, Attachment>();
	#owner: GroupOwner | undefined;
	/** Who has claimed it last, for a reason. */
	#ownerName = "";
	#claims = 0;

	constructor(id: number) {
		this.id = id;
	}

	attachment(pasid: Pasid): Attachment | undefined {
		return this.#attachments.get(pasid);
	}

	claim(owner: GroupOwner, name: string): void {
		if (this.#claims > 0 && this.#owner !== owner) {
			this.#owner?.turn?.requireFree();
			throw new Errno(
				"EPERM",
				`group ${this.id} (${this.#members()}) is in other hands: ${this.#ownerName} has it`,
				"group-in-use",
			);
		}
		if (this.#claims === 0) this.#takeOver();
		this.#owner = owner;
		this.#ownerName = name;
		this.#claims++;
	}

	claimAlone(owner: GroupOwner, name: string): void {
		if (this.#claims > 0) {
			if (this.#owner !== owner) this.#owner?.turn?.requireFree();
			throw new Errno(
				"EPERM",
				`group ${this.id} (${this.#members()}) isn't viable: ${this.#ownerName} has it`,
				"group-in-use",
			);
		}
		this.#takeOver();
		this.#owner = owner;
		this.#ownerName = name;
		this.#claims = 1;
	}

	useByKernel(driver: string): void {
		if (this.#claims > 0 && this.#owner !== undefined)
			throw new Errno(
				"EBUSY",
				`${driver} can't have a device of group ${this.id}: ${this.#ownerName} has the group`,
				"group-in-use",
			);
		this.#ownerName = `the kernel's driver ${driver}`;
		this.#claims++;
	}

	#members(): string {
		return this.devices.map(({ name }) => name).join(", ");
	}

	get isClaimed(): boolean {
		return this.#claims > 0;
	}

	#takeOver(): void {
		for (const device of this.devices) checkCanBeBlocked(device);
		this.#setDomain(this.#blockedDomain);
	}

	release(): void {
		this.#claims--;
		if (this.#claims === 0) this.#owner = undefined;
	}

	attach(domain: Domain, handle: object): void {
		if (this.#attachments.has(NO_PASID))
			throw new Errno("EBUSY", `group ${this.id} is attached to a domain already`, "attached-already");
		this.#checkDriver(domain);
		this.#setDomain(domain);
		this.#attachments.set(NO_PASID, { domain, handle });
	}

	replace(domain: Domain, handle: object): void {
		this.#setDomain(domain);
		this.#attachments.set(NO_PASID, { domain, handle });
	}

	detach(): void {
		this.#setDomain(this.#blockedDomain);
		this.#attachments.delete(NO_PASID);
		this.notes.tell();
	}

	attachPasid(domain: Domain, pasid: Pasid, handle: object): void {
		const driver = this.devices[0].driver;
		if (!domain.setDevicePasid || !driver.blockedDomain.setDevicePasid)
			throw new Errno("EOPNOTSUPP", `${driver.name} can't attach a PASID`, "hardware-lacks");
		this.#checkDriver(domain);
		if (pasid === NO_PASID) throw new Errno("EINVAL", "PASID 0 is the device itself", "pasid-range");
		for (const device of this.devices)
			if (device.maxPasids > 0 && pasid >= device.maxPasids)
				throw new Errno(
					"EINVAL",
					`PASID ${pasid} is beyond the last PASID of ${device.name}, ${device.maxPasids - 1}`,
					"pasid-range",
				);
		if (this.#attachments.has(pasid))
			throw new Errno("EBUSY", `PASID ${pasid} of group ${this.id} is attached already`, "attached-already");
		this.#setPasid(domain, pasid, undefined);
		this.#attachments.set(pasid, { domain, handle });
	}

	replacePasid(domain: Domain, pasid: Pasid, handle: object): void {
		if (!domain.setDevicePasid)
			throw new Errno("EOPNOTSUPP", `${domain.driver.name} can't attach a PASID`, "hardware-lacks");
		this.#checkDriver(domain);
		const current = this.#attachments.get(pasid);
		if (pasid === NO_PASID || current === undefined)
			throw new Errno("EINVAL", `PASID ${pasid} of group ${this.id} is not attached`, "not-attached");
		if (current.domain !== domain) this.#setPasid(domain, pasid, current.domain);
		this.#attachments.set(pasid, { domain, handle });
	}

	detachPasid(pasid: Pasid): void {
		const current = this.#attachments.get(pasid);
		if (current === undefined) return;
		for (const device of this.devices)
			if (device.maxPasids > 0) this.#blockedDomain.setDevicePasid?.(device, pasid, current.domain);
		this.#attachments.delete(pasid);
		this.notes.tell();
	}

	get #blockedDomain(): Domain {
		return this.devices[0].driver.blockedDomain;
	}

	#checkDriver(domain: Domain): void {
		const driver = this.devices[0].driver;
		if (domain.driver !== driver)
			throw new Errno(
				"EINVAL",
				`a domain of ${domain.driver.name} doesn't fit a device behind ${driver.name}`,
				"domain-does-not-fit",
			);
	}

	/** Switches every device, or none: a device that refuses takes those before it back. */
	#setDomain(domain: Domain): void {
		if (this.#domain === domain) return;
		const old = this.#domain ?? this.#blockedDomain;
		this.#switchAll(
			this.devices,
			(device) => {
				noteAttachment(domain);
				domain.attachDevice(device, old);
			},
			(device) => old.attachDevice(device, domain),
		);
		this.#domain = domain;
		for (const watcher of this.watchers) watcher.attached(domain);
		this.notes.tell();
	}

	#setPasid(domain: Domain, pasid: Pasid, old: Domain | undefined): void {
		const before = old ?? this.#blockedDomain;
		this.#switchAll(
			this.devices.filter((device) => device.maxPasids > 0),
			(device) => {
				noteAttachment(domain);
				domain.setDevicePasid?.(device, pasid, old);
			},
			(device) => before.setDevicePasid?.(device, pasid, domain),
		);
		this.notes.tell();
	}

	#switchAll(devices: readonly Device[], change: (device: Device) => void, undo: (device: Device) => void): void {
		for (let i = 0; i < devices.length; i++) {
			try {
				change(devices[i]);
			} catch (error) {
				for (let done = 0; done < i; done++) undo(devices[done]);
				throw error;
			}
		}
	}
}

/** What a driver keeps of a device that it attaches. To block a device takes no memory: it has to succeed. */
function noteAttachment(domain: Domain): void {
	if (domain.type !== "blocked") allocation("what a driver keeps of an attached device");
}

/** @throws EINVAL for a device that must reach some memory also while nobody has it: then nobody can take it over */
function checkCanBeBlocked(device: Device): void {
	const region = device.driver.reservedRegions?.(device).find(({ kind }) => kind === "direct");
	if (region !== undefined)
		throw new Errno(
			"EINVAL",
			`the firmware wants ${hex(region.first)} to ${hex(region.last)} mapped one to one for ${device.name} at all times`,
			"firmware-region",
		);
}
