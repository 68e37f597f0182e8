// A device as a file, /dev/vfio/devices/vfioN or what its group's GET_DEVICE_FD returns: which handler answers which ioctl.
// drivers/vfio/device_cdev.c, vfio_main.c and pci/vfio_pci_core.c.

import type { Caller, Opener } from "../files/caller.js";
import type { MappableFile, Mapping, PositionedFile } from "../files/open-file.js";
import { IommufdFile } from "../iommufd/ioctls.js";
import { type AddressSpace, copyIn } from "../memory/address-space.js";
import { Errno } from "../uapi/errno.js";
import { belongsTo, strayIoctl } from "../uapi/ioctl-names.js";
import { checkFields, readCommand, readThrough, readVfioCommand, respond, respondField } from "../uapi/rules.js";
import type { AnyCommand } from "../uapi/struct.js";
import { Turns, whenFree } from "../uapi/turns.js";
import {
	VFIO_PCI_NUM_IRQS,
	VFIO_PCI_NUM_REGIONS,
	VfioDeviceAttachFlags,
	VfioDeviceAttachIommufdPt,
	VfioDeviceBindFlags,
	VfioDeviceBindIommufd,
	VfioDeviceDetachFlags,
	VfioDeviceDetachIommufdPt,
	VfioDeviceFeature,
	VfioDeviceFlags,
	VfioDeviceGetInfo,
	VfioDeviceGetIrqInfo,
	VfioDeviceGetPciHotResetInfo,
	VfioDeviceGetRegionInfo,
	VfioDeviceIoeventfd,
	VfioDevicePciHotReset,
	VfioDeviceReset,
	VfioDeviceSetIrqs,
} from "../uapi/vfio.js";
import type { VfioDevice } from "./device.js";
import { deviceFeature } from "./feature.js";
import type { VfioGroup } from "./group.js";
import { getIrqInfo, setIrqs } from "./irq.js";
import { placeAt, readRegion, writeRegion } from "./region-access.js";
import { mapRegion } from "./region-mapping.js";
import { getRegionInfo } from "./regions.js";
import { checkToken, UUID_SIZE } from "./vf-token.js";

/**
 * open(2) of the device's file.
 * @param settle see DeviceFile
 * @throws EPERM for who may not reach all of the machine's memory, which a device without an IOMMU does
 */
export function openCdev(device: VfioDevice, opener: Opener, settle: () => void): DeviceFile {
	if (!device.device.hasIommu && !opener.capable("CAP_SYS_RAWIO"))
		throw new Errno(
			"EPERM",
			`${device.name} has no IOMMU, and so reaches all memory: to open it takes CAP_SYS_RAWIO`,
			"noiommu-rights",
		);
	return new DeviceFile(device, settle);
}

/**
 * One open of a device: struct vfio_device_file. By its own file it answers nothing but BIND_IOMMUFD until it is bound, and only one open can
 * be; through its group it is ready at once.
 */
export class DeviceFile implements PositionedFile, MappableFile {
	readonly path: string;
	readonly device: VfioDevice;
	readonly #settle: () => void;
	/** Through which it was opened, if so. */
	readonly #group: VfioGroup | undefined;
	/** Whether it can be used: access_granted. */
	#isBound: boolean;

	/**
	 * @param settle has files released that have been closed: another open of the device, or an attached one
	 * @param group which has opened the device; undefined for the device's own file
	 */
	constructor(device: VfioDevice, settle: () => void, group?: VfioGroup) {
		this.path = group === undefined ? `/dev/vfio/devices/${device.cdevName}` : `[vfio-device ${device.name}]`;
		this.device = device;
		this.#settle = settle;
		this.#group = group;
		this.#isBound = group !== undefined;
	}

	ioctl(caller: Caller, command: number, argument: number): number {
		this.#settle();
		using turns = Turns.take(this.device.turn);
		if (command === VfioDeviceBindIommufd.number) this.#bind(caller, argument, turns);
		else if (!this.#isBound) throw this.#notBound(command);
		else return this.#serve(caller, command, argument, turns);
		return 0;
	}

	readAt(memory: AddressSpace, address: number, length: number, position: number): number {
		if (!this.#isBound)
			throw new Errno("EINVAL", `a read of ${this.path}, which isn't bound to an iommufd yet`, "bind-first");
		return readRegion(this.device, memory, address, length, position);
	}

	writeAt(memory: AddressSpace, address: number, length: number, position: number): number {
		if (!this.#isBound)
			throw new Errno("EINVAL", `a write to ${this.path}, which isn't bound to an iommufd yet`, "bind-first");
		return writeRegion(this.device, memory, address, length, position);
	}

	placeAt(position: number): string {
		return placeAt(position);
	}

	mmap(offset: number, length: number): Mapping {
		if (!this.#isBound)
			throw new Errno("EINVAL", `an mmap of ${this.path}, which isn't bound to an iommufd yet`, "bind-first");
		return { backing: mapRegion(this.device, offset, length), release: () => {} };
	}

	release(): void {
		if (!this.#isBound) return;
		this.#isBound = false;
		const { device } = this;
		const openedBy = this.#group;
		const needed = [
			() => openedBy?.turn,
			() => openedBy?.container?.turn,
			() => device.turn,
			() => (device.context ?? openedBy?.iommufd)?.turn,
		];
		whenFree(needed, () => {
			const { group } = device;
			device.close();
			if (openedBy === undefined) group?.unblockByCdev();
		});
	}

	#notBound(command: number): Errno {
		if (!belongsTo("device", command)) return strayIoctl("EINVAL", command, this.path, ["device"]);
		return new Errno(
			"EINVAL",
			`this open of ${this.path} is not bound to an iommufd: BIND_IOMMUFD comes first`,
			"bind-first",
		);
	}

	#serve(caller: Caller, command: number, argument: number, turns: Turns): number {
		this.device.wake();
		if (this.#group === undefined && this.#serveOwnFile(caller, command, argument, turns)) return 0;
		return this.#serveAny(caller, command, argument);
	}

	/** What can be asked only of a device that was opened by its own file. @returns whether it was that */
	#serveOwnFile(caller: Caller, command: number, argument: number, turns: Turns): boolean {
		switch (command) {
			case VfioDeviceAttachIommufdPt.number:
				turns.take(this.device.context?.turn);
				this.#attach(caller, argument);
				return true;
			case VfioDeviceDetachIommufdPt.number:
				turns.take(this.device.context?.turn);
				this.#detach(caller, argument);
				return true;
			default:
				return false;
		}
	}

	/** What does not depend on how the device was opened. @throws ENOTTY */
	#serveAny(caller: Caller, command: number, argument: number): number {
		switch (command) {
			case VfioDeviceFeature.number:
				read(caller, argument, VfioDeviceFeature);
				checkFields(VfioDeviceFeature);
				return deviceFeature(this.device, VfioDeviceFeature.view, caller, argument);
			case VfioDeviceGetInfo.number:
				this.#getInfo(caller, argument);
				break;
			case VfioDeviceGetRegionInfo.number:
				read(caller, argument, VfioDeviceGetRegionInfo);
				getRegionInfo(this.device, VfioDeviceGetRegionInfo.view, caller.memory, argument);
				answer(caller, argument, VfioDeviceGetRegionInfo);
				break;
			case VfioDeviceGetIrqInfo.number:
				read(caller, argument, VfioDeviceGetIrqInfo);
				getIrqInfo(this.device, VfioDeviceGetIrqInfo.view);
				answer(caller, argument, VfioDeviceGetIrqInfo);
				break;
			case VfioDeviceSetIrqs.number:
				read(caller, argument, VfioDeviceSetIrqs);
				setIrqs(this.device, VfioDeviceSetIrqs.view, caller, argument);
				break;
			case VfioDeviceIoeventfd.number:
				read(caller, argument, VfioDeviceIoeventfd);
				this.device.ioEventFds.set(caller, VfioDeviceIoeventfd.view);
				break;
			case VfioDeviceReset.number:
				this.device.reset();
				break;
			case VfioDeviceGetPciHotResetInfo.number:
				read(caller, argument, VfioDeviceGetPciHotResetInfo);
				throw this.#noBusReset();
			case VfioDevicePciHotReset.number:
				this.#hotReset(caller, argument);
				break;
			case VfioDeviceAttachIommufdPt.number:
			case VfioDeviceDetachIommufdPt.number:
				throw new Errno(
					"ENOTTY",
					`${this.path} was opened through its group, and is attached to what the group's container maps`,
					"group-in-use",
				);
			default:
				throw strayIoctl("ENOTTY", command, this.path, ["device"]);
		}
		return 0;
	}

	/** VFIO_DEVICE_BIND_IOMMUFD */
	#bind(caller: Caller, argument: number, turns: Turns): void {
		readCommand(caller.memory, argument, VfioDeviceBindIommufd);
		const { iommufd, flags, tokenUuidPtr } = VfioDeviceBindIommufd.view;
		checkFields(VfioDeviceBindIommufd);
		if (iommufd < 0) throw new Errno("EINVAL", `iommufd is ${iommufd}, which is no fd`, "fd-of-iommu");
		if (this.#group !== undefined)
			throw new Errno(
				"EINVAL",
				`${this.path} was opened through its group, and can't be bound to an iommufd`,
				"group-in-use",
			);
		const { group } = this.device;
		group?.blockByCdev();
		try {
			const token = flags & VfioDeviceBindFlags.TOKEN ? tokenUuidPtr : undefined;
			this.#bindToIommufd(caller, argument, iommufd, token, turns);
		} catch (error) {
			group?.unblockByCdev();
			throw error;
		}
	}

	/** @param token where a VF token is, if one is given */
	#bindToIommufd(caller: Caller, argument: number, iommufd: number, token: number | undefined, turns: Turns): void {
		if (this.#isBound)
			throw new Errno(
				"EINVAL",
				`this open of ${this.path} is bound already: it is bound once, and stays so until it is closed`,
				"bound-elsewhere",
			);
		let uuid: Uint8Array | undefined;
		if (token !== undefined) {
			uuid = new Uint8Array(UUID_SIZE);
			copyIn(caller.memory, token, uuid, "token_uuid_ptr");
		}
		checkToken(this.device.sriov, uuid, this.device.name);
		const { context } = iommufdOf(caller, iommufd);
		turns.take(context.turn);
		VfioDeviceBindIommufd.view.outDevid = this.device.bind(context, caller.thread);
		try {
			respondField(caller.memory, argument, VfioDeviceBindIommufd, "outDevid");
		} catch (error) {
			this.device.close();
			throw error;
		}
		this.#isBound = true;
	}

	/** VFIO_DEVICE_ATTACH_IOMMUFD_PT */
	#attach(caller: Caller, argument: number): void {
		const { view } = VfioDeviceAttachIommufdPt;
		const argsz = read(caller, argument, VfioDeviceAttachIommufdPt);
		checkFields(VfioDeviceAttachIommufdPt);
		const withPasid = (view.flags & VfioDeviceAttachFlags.PASID) !== 0;
		if (withPasid) readThrough(caller.memory, argument, VfioDeviceAttachIommufdPt, "pasid", argsz);
		view.ptId = withPasid ? this.device.attachPasid(view.pasid, view.ptId) : this.device.attach(view.ptId);
		try {
			respondField(caller.memory, argument, VfioDeviceAttachIommufdPt, "ptId");
		} catch (error) {
			// As in Linux, also when it was a PASID that was attached.
			this.device.detach();
			throw error;
		}
	}

	/** VFIO_DEVICE_DETACH_IOMMUFD_PT. No error when nothing is attached. */
	#detach(caller: Caller, argument: number): void {
		const { view } = VfioDeviceDetachIommufdPt;
		const argsz = read(caller, argument, VfioDeviceDetachIommufdPt);
		checkFields(VfioDeviceDetachIommufdPt);
		if (view.flags & VfioDeviceDetachFlags.PASID) {
			readThrough(caller.memory, argument, VfioDeviceDetachIommufdPt, "pasid", argsz);
			this.device.detachPasid(view.pasid);
		} else this.device.detach();
	}

	/** VFIO_DEVICE_GET_INFO */
	#getInfo(caller: Caller, argument: number): void {
		const argsz = read(caller, argument, VfioDeviceGetInfo);
		const { view } = VfioDeviceGetInfo;
		view.flags = VfioDeviceFlags.PCI | (this.device.hardware.canReset ? VfioDeviceFlags.RESET : 0);
		view.numRegions = VFIO_PCI_NUM_REGIONS;
		view.numIrqs = VFIO_PCI_NUM_IRQS;
		view.capOffset = 0;
		respond(caller.memory, argument, VfioDeviceGetInfo, argsz);
	}

	/** VFIO_DEVICE_PCI_HOT_RESET */
	#hotReset(caller: Caller, argument: number): never {
		read(caller, argument, VfioDevicePciHotReset);
		checkFields(VfioDevicePciHotReset);
		const { count } = VfioDevicePciHotReset.view;
		if (this.#group === undefined && count !== 0)
			throw new Errno(
				"EINVAL",
				`count is ${count}, and must be 0: a device that was opened by its own file is reset without group fds`,
			);
		if (this.#group !== undefined && count === 0)
			throw new Errno("EINVAL", "count is 0: a device that was opened through its group is reset with group fds");
		throw this.#noBusReset();
	}

	#noBusReset(): Errno {
		return new Errno("ENODEV", `${this.device.name} is on a root bus, which can't be reset`, "no-reset");
	}
}

function read(caller: Caller, argument: number, command: AnyCommand): number {
	return readVfioCommand(caller.memory, argument, command);
}

/** The whole struct, which every caller has. */
function answer(caller: Caller, argument: number, command: AnyCommand): void {
	respond(caller.memory, argument, command, command.size);
}

/** @throws EBADF when the fd isn't open, EBADFD when it isn't an iommufd */
function iommufdOf(caller: Caller, fd: number): IommufdFile {
	const found = caller.file(fd);
	if (found === undefined) throw new Errno("EBADF", `iommufd is ${fd}, which is not open`, "fd");
	if (found.kind !== "ours" || !(found.file instanceof IommufdFile))
		throw new Errno("EBADFD", `iommufd is ${fd}, which is not an open of /dev/iommu`, "fd-of-iommu");
	return found.file;
}
