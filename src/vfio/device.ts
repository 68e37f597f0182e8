// A PCI function in the hands of VFIO: which program has it, and what it is attached to.
// struct vfio_device in include/linux/vfio.h; drivers/vfio/iommufd.c.

import type { Endpoint } from "../devices/endpoint.js";
import { NO_PASID, type Pasid } from "../iommu/core/pasid.js";
import type { PciDevice } from "../iommu/core/pci.js";
import { attachDevice, detachDevice, replaceDevice } from "../iommufd/attach.js";
import type { Context } from "../iommufd/context.js";
import { type BoundDevice, bindDevice, unbindDevice } from "../iommufd/device.js";
import { Errno } from "../uapi/errno.js";
import { ConfigSpace } from "./config-space.js";
import { Interrupts } from "./interrupts.js";
import { LowPower } from "./low-power.js";
import { PciConfig, type PciHardware } from "./pci-config.js";
import type { SriovRole } from "./vf-token.js";

/** PASIDs are kept as positive ints. */
const LAST_PASID = 0x7fffffff;

export class VfioDevice {
	/** "vfio0", or "noiommu-vfio0" where there is no IOMMU: the name in /dev/vfio/devices. */
	readonly cdevName: string;
	readonly device: PciDevice;
	readonly hardware: PciHardware;
	readonly sriov: SriovRole;
	/** The function's own. */
	readonly config: PciConfig;
	/** What is behind its BARs; undefined where nothing is, which reads as all ones. */
	endpoint: Endpoint | undefined;
	/** Where what it sends goes to. */
	readonly interrupts: Interrupts;
	/** The configuration space of the program that has it. */
	#configSpace: ConfigSpace | undefined;
	#bound: BoundDevice | undefined;
	#isAttached = false;
	/** The PASIDs that were attached as such. PASID 0 can be: then it is the device itself that is attached. */
	readonly #pasids = new Set<Pasid>();
	/** Whether the program has let it sleep. */
	readonly lowPower: LowPower;

	constructor(cdevName: string, device: PciDevice, hardware: PciHardware, sriov: SriovRole) {
		this.cdevName = cdevName;
		this.device = device;
		this.hardware = hardware;
		this.sriov = sriov;
		this.config = new PciConfig(hardware);
		this.interrupts = new Interrupts(device.name, this.config);
		this.lowPower = new LowPower(device.name);
	}

	/** "0000:00:03.0" */
	get name(): string {
		return this.device.name;
	}

	get isBound(): boolean {
		return this.#bound !== undefined;
	}

	/**
	 * Gives the function to the program that has opened it.
	 * @returns its id in the iommufd
	 * @throws EINVAL when it has been given away already, and what bindDevice() throws
	 */
	bind(context: Context): number {
		if (this.#bound !== undefined)
			throw new Errno("EINVAL", `${this.name} is bound already: a device can be bound by one open of its file only`);
		this.#bound = bindDevice(context, this.device);
		this.#resetFunction();
		const { interrupts } = this;
		this.#configSpace = new ConfigSpace(this.hardware, this.config, this.sriov.kind === "virtual", {
			setIntxDisabled: (isDisabled) => interrupts.setDisabled(isDisabled),
			reset: () => this.#resetFunction(),
			get msiVectors() {
				return interrupts.msiVectors;
			},
		});
		if (this.sriov.kind === "virtual" && this.sriov.token) this.sriov.token.users++;
		return this.#bound.id;
	}

	/** Takes it back from the program that had it. */
	unbind(): void {
		const bound = this.#theBound();
		this.interrupts.close();
		this.#configSpace = undefined;
		this.#resetFunction();
		this.config.restore();
		for (const pasid of [...this.#pasids].sort((a, b) => a - b)) this.detachPasid(pasid);
		this.detach();
		unbindDevice(bound);
		this.#bound = undefined;
		this.lowPower.leave();
		if (this.sriov.kind === "virtual" && this.sriov.token) this.sriov.token.users--;
	}

	/**
	 * Attaches the device, or moves it to something else.
	 * @returns the id of the HWPT
	 */
	attach(ptId: number): number {
		const bound = this.#theBound();
		const hwptId = this.#isAttached ? replaceDevice(bound, NO_PASID, ptId) : attachDevice(bound, NO_PASID, ptId);
		this.#isAttached = true;
		return hwptId;
	}

	/** Undoes attach(); no error when nothing is attached. */
	detach(): void {
		if (!this.#isAttached) return;
		detachDevice(this.#theBound(), NO_PASID);
		this.#isAttached = false;
	}

	/** The same for a PASID. */
	attachPasid(pasid: Pasid, ptId: number): number {
		const bound = this.#theBound();
		if (this.#pasids.has(pasid)) return replaceDevice(bound, pasid, ptId);
		if (pasid > LAST_PASID) throw new Errno("ENOSPC", `PASID ${pasid} is beyond the last one, ${LAST_PASID}`);
		const hwptId = attachDevice(bound, pasid, ptId);
		this.#pasids.add(pasid);
		return hwptId;
	}

	detachPasid(pasid: Pasid): void {
		if (!this.#pasids.delete(pasid)) return;
		detachDevice(this.#theBound(), pasid);
	}

	/** Of those who have it, who are the only ones that ask. */
	get configSpace(): ConfigSpace {
		if (this.#configSpace === undefined) throw new Error(`${this.name} is not bound`);
		return this.#configSpace;
	}

	/** @throws EINVAL when Linux has no way to reset this function alone */
	reset(): void {
		if (!this.hardware.canReset) throw new Errno("EINVAL", `${this.name} can't be reset without others`);
		this.#resetFunction();
	}

	/** As far as it can be. What its configuration space has is saved before, and restored after it. */
	#resetFunction(): void {
		if (this.hardware.canReset) this.endpoint?.reset();
	}

	/** The callers are ioctls that a device answers only when it is bound. */
	#theBound(): BoundDevice {
		if (this.#bound === undefined) throw new Error(`${this.name} is not bound`);
		return this.#bound;
	}
}
