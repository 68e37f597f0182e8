// /dev/vfio/N: an IOMMU group in the hands of one program, which puts it into a container and gets the devices in it. So programs
// did it before devices had files of their own, and the two ways exclude each other. drivers/vfio/group.c.

import type { Caller, Opener } from "../files/caller.js";
import type { OpenFile } from "../files/open-file.js";
import type { Group } from "../iommu/core/iommu.js";
import type { Context } from "../iommufd/context.js";
import { IommufdFile } from "../iommufd/ioctls.js";
import { compatIoas, ensureCompatIoas, setNoIommuMode } from "../iommufd/vfio-compat/vfio-compat.js";
import { copyIn, PAGE_SIZE } from "../memory/address-space.js";
import { Errno, hex } from "../uapi/errno.js";
import { strayIoctl } from "../uapi/ioctl-names.js";
import { readVfioCommand, respond } from "../uapi/rules.js";
import { Turn, Turns, whenFree } from "../uapi/turns.js";
import {
	VfioGroupFlags,
	VfioGroupGetDeviceFd,
	VfioGroupGetStatus,
	VfioGroupSetContainer,
	VfioGroupUnsetContainer,
} from "../uapi/vfio.js";
import { type Container, ContainerFile } from "./container.js";
import type { VfioDevice } from "./device.js";
import { DeviceFile } from "./device-file.js";
import { askedFor } from "./device-name.js";
import { checkToken } from "./vf-token.js";

const fdBytes = new Uint8Array(4);
const fdView = new DataView(fdBytes.buffer);

export class VfioGroup {
	/** "0", or "noiommu-0" where there is no IOMMU: the name in /dev/vfio. */
	readonly name: string;
	readonly iommuGroup: Group;
	/** VFIO has made the group up for a device without an IOMMU. */
	readonly isNoIommu: boolean;
	/** Of the calls that work on it. */
	readonly turn = new Turn("another call of this group is under way");
	/** Those that can be opened, the newest first. */
	readonly devices: VfioDevice[] = [];
	/** Devices that VFIO's driver has. */
	#drivers = 0;
	#file: GroupFile | undefined;
	#container: Container | undefined;
	#iommufd: Context | undefined;
	/** Devices that were opened through the container: each keeps the group's file. */
	#containerUsers = 0;
	/** Devices that were bound by their own files. */
	#cdevUsers = 0;

	constructor(iommuGroup: Group) {
		this.iommuGroup = iommuGroup;
		this.isNoIommu = !iommuGroup.devices[0].hasIommu;
		this.name = `${this.isNoIommu ? "noiommu-" : ""}${iommuGroup.id}`;
	}

	get path(): string {
		return `/dev/vfio/${this.name}`;
	}

	/** Whether a program has its file, or a device opened through it. */
	get isOpen(): boolean {
		return this.#file !== undefined;
	}

	get container(): Container | undefined {
		return this.#container;
	}

	/** The iommufd that stands in for its container. */
	get iommufd(): Context | undefined {
		return this.#iommufd;
	}

	/** A device has a driver now, which is VFIO's. */
	add(device: VfioDevice): void {
		device.group = this;
		this.devices.unshift(device);
		this.#drivers++;
	}

	/** The driver is to leave a device: it can't be opened any more. */
	hide(device: VfioDevice): void {
		this.devices.splice(this.devices.indexOf(device), 1);
	}

	/** The driver has left it. With the last one the group leaves its container. @returns whether it was that */
	remove(device: VfioDevice): boolean {
		device.group = undefined;
		this.#drivers--;
		if (this.#drivers > 0) return false;
		this.#container?.remove(this);
		this.#container = undefined;
		return true;
	}

	/**
	 * open(2) of its file.
	 * @param settle see GroupFile
	 * @throws ENODEV, EPERM for who may not reach all of the machine's memory, which devices without an IOMMU do, EBUSY for who comes second
	 */
	open(opener: Opener, settle: () => void): GroupFile {
		this.#checkAlive();
		if (this.isNoIommu && !opener.capable("CAP_SYS_RAWIO"))
			throw new Errno(
				"EPERM",
				`group ${this.name} has no IOMMU, and so reaches all memory: to open it takes CAP_SYS_RAWIO`,
				"noiommu-rights",
			);
		if (this.#cdevUsers > 0)
			throw new Errno(
				"EBUSY",
				`${this.#openDevices()} of group ${this.name} was opened by its own file, in /dev/vfio/devices: the group can't be opened as long as it is`,
				"group-in-use",
			);
		if (this.#file !== undefined)
			throw new Errno(
				"EBUSY",
				`${this.path} is open already, or a device that was opened through it: only one open of it can be`,
				"bound-elsewhere",
			);
		this.#file = new GroupFile(this, settle);
		return this.#file;
	}

	/** By name. */
	#openDevices(): string {
		const names = this.devices.filter(({ isOpen }) => isOpen).map(({ name }) => name);
		return names.join(", ") || "a device";
	}

	/** Its file has been closed, but devices that were opened through the container keep it. */
	fileClosed(): void {
		if (this.#containerUsers === 0) this.#end();
	}

	#end(): void {
		this.#leave();
		this.#file = undefined;
	}

	#leave(): void {
		this.#container?.remove(this);
		this.#container = undefined;
		this.#iommufd?.drop();
		this.#iommufd = undefined;
	}

	/** A device is bound by its own file: as long as it is, the group can't be opened. @throws EBUSY */
	blockByCdev(): void {
		if (this.#file !== undefined)
			throw new Errno(
				"EBUSY",
				`${this.path} is open: as long as it is, devices of the group are opened through it only`,
				"group-in-use",
			);
		this.#cdevUsers++;
	}

	unblockByCdev(): void {
		this.#cdevUsers--;
	}

	/** @throws ENODEV when its last device has lost its driver */
	#checkAlive(): void {
		if (this.#drivers === 0) throw new Errno("ENODEV", `group ${this.name} has no device of VFIO's any more`);
	}

	get #hasIommu(): boolean {
		return this.#container !== undefined || this.#iommufd !== undefined;
	}

	/** VFIO_GROUP_GET_STATUS. Viable is a group that nobody has, or that we have. */
	get status(): number {
		this.#checkAlive();
		if (this.#hasIommu) return VfioGroupFlags.VIABLE | VfioGroupFlags.CONTAINER_SET;
		return this.iommuGroup.isClaimed ? 0 : VfioGroupFlags.VIABLE;
	}

	/**
	 * VFIO_GROUP_SET_CONTAINER
	 * @param fd the caller's, of a container or of an iommufd in its place
	 */
	setContainer(caller: Caller, fd: number, turns: Turns): void {
		const found = caller.file(fd);
		if (found === undefined) throw new Errno("EBADF", `the container's fd is ${fd}, which is not open`, "fd");
		if (this.#hasIommu) throw new Errno("EINVAL", `group ${this.name} is in a container already`, "container-order");
		this.#checkAlive();
		const file = found.kind === "ours" ? found.file : undefined;
		if (file instanceof ContainerFile) {
			turns.take(file.container.turn);
			file.container.add(this, caller);
			this.#container = file.container;
		} else if (file instanceof IommufdFile) {
			const { context } = file;
			turns.take(context.turn);
			if (this.isNoIommu) setNoIommuMode(context);
			else ensureCompatIoas(context);
			context.hold();
			this.#iommufd = context;
		} else
			throw new Errno(
				"EBADFD",
				`the container's fd is ${fd}, which is neither an open of /dev/vfio/vfio nor of /dev/iommu`,
				"container-fd",
			);
	}

	/** VFIO_GROUP_UNSET_CONTAINER @throws EINVAL when it is in none, EBUSY while a device is open */
	unsetContainer(): void {
		if (!this.#hasIommu) throw new Errno("EINVAL", `group ${this.name} is in no container`, "container-order");
		if (this.#containerUsers > 0)
			throw new Errno(
				"EBUSY",
				`${this.#openDevices()} of group ${this.name} is open, and needs the container`,
				"container-in-use",
			);
		this.#leave();
	}

	/**
	 * Opens a device for who has the group's file.
	 * @throws EINVAL when there is no container yet, or nothing that it maps with, EPERM, and what the iommufd throws
	 */
	openDevice(device: VfioDevice, caller: Caller, settle: () => void): DeviceFile {
		if (!this.#hasIommu)
			throw new Errno(
				"EINVAL",
				`group ${this.name} is in no container: VFIO_GROUP_SET_CONTAINER comes before GET_DEVICE_FD`,
				"container-order",
			);
		const context = this.#iommufd;
		if (context !== undefined && this.isNoIommu && !device.isOpen) checkNoIommu(device, context, caller);
		const isFirst = !device.isOpen;
		device.openThroughGroup(() => this.#take(device, caller));
		if (context !== undefined && isFirst && !this.isNoIommu) {
			try {
				device.attach(compatIoas(context).id);
			} catch (error) {
				device.close();
				throw error;
			}
		}
		return new DeviceFile(device, settle, this);
	}

	/** What a device's first open takes. @returns how it is given back */
	#take(device: VfioDevice, caller: Caller): () => void {
		if (this.#iommufd !== undefined) return this.isNoIommu ? () => {} : device.bindTo(this.#iommufd);
		if (!this.#container!.hasBackEnd)
			throw new Errno(
				"EINVAL",
				`the container of group ${this.name} has no IOMMU yet: VFIO_SET_IOMMU comes first`,
				"container-order",
			);
		if (this.isNoIommu && !caller.capable("CAP_SYS_RAWIO"))
			throw new Errno("EPERM", `${device.name} has no IOMMU: to open it takes CAP_SYS_RAWIO`, "noiommu-rights");
		this.#containerUsers++;
		return () => {
			this.#containerUsers--;
			if (this.#containerUsers === 0 && this.#file?.isClosed) this.#end();
		};
	}
}

/** @throws EPERM for who may not reach all memory, or who has shown to expect that something is translated */
function checkNoIommu({ name }: VfioDevice, context: Context, caller: Caller): void {
	if (!caller.capable("CAP_SYS_RAWIO"))
		throw new Errno("EPERM", `${name} has no IOMMU: to open it by an iommufd takes CAP_SYS_RAWIO`, "noiommu-rights");
	if (context.vfioIoas !== undefined)
		throw new Errno(
			"EPERM",
			`${name} has no IOMMU, and the iommufd has an IOAS for VFIO's ioctls, which wouldn't be used`,
			"noiommu-mix",
		);
}

/** The one open of a group's file. */
export class GroupFile implements OpenFile {
	readonly path: string;
	readonly group: VfioGroup;
	readonly #settle: () => void;
	isClosed = false;

	/** @param settle has files released that have been closed: devices that were opened through the group, or its container */
	constructor(group: VfioGroup, settle: () => void) {
		this.path = group.path;
		this.group = group;
		this.#settle = settle;
	}

	ioctl(caller: Caller, command: number, argument: number): number {
		this.#settle();
		using turns = Turns.take(this.group.turn);
		switch (command) {
			case VfioGroupGetDeviceFd.number:
				return this.#getDeviceFd(caller, argument, turns);
			case VfioGroupGetStatus.number:
				readVfioCommand(caller.memory, argument, VfioGroupGetStatus);
				VfioGroupGetStatus.view.flags = this.group.status;
				respond(caller.memory, argument, VfioGroupGetStatus, VfioGroupGetStatus.size);
				return 0;
			case VfioGroupSetContainer.number:
				copyIn(caller.memory, argument, fdBytes, "the container's fd", "container-fd");
				this.group.setContainer(caller, fdView.getInt32(0, true), turns);
				return 0;
			case VfioGroupUnsetContainer.number:
				turns.take(this.group.container?.turn);
				turns.take(this.group.iommufd?.turn);
				this.group.unsetContainer();
				return 0;
			default:
				throw strayIoctl("ENOTTY", command, "a VFIO group", ["group"]);
		}
	}

	release(): void {
		this.isClosed = true;
		const { group } = this;
		whenFree([() => group.turn, () => group.container?.turn, () => group.iommufd?.turn], () => group.fileClosed());
	}

	/** VFIO_GROUP_GET_DEVICE_FD */
	#getDeviceFd(caller: Caller, argument: number, turns: Turns): number {
		const text = readString(caller, argument);
		for (const device of this.group.devices) {
			const asked = askedFor(text, device.name);
			if (asked === undefined) continue;
			checkToken(device.sriov, asked.token, device.name);
			for (const turn of [this.group.container?.turn, device.turn, this.group.iommufd?.turn]) turns.take(turn);
			return caller.install(this.group.openDevice(device, caller, this.#settle));
		}
		const names = this.group.devices.map(({ name }) => name).join(", ");
		throw new Errno("ENODEV", `group ${this.group.name} has no device "${text}", but ${names}`, "device-name");
	}
}

/** strndup_user(): what is up to the first 0, of a page at most. @throws EFAULT, EINVAL */
function readString(caller: Caller, address: number): string {
	const bytes = new Uint8Array(PAGE_SIZE);
	const got = caller.memory.read(address, bytes);
	const end = bytes.subarray(0, got).indexOf(0);
	if (end >= 0) return String.fromCharCode(...bytes.subarray(0, end));
	if (got < PAGE_SIZE) throw new Errno("EFAULT", `no name of a device can be read at ${hex(address)}`, "data-pointer");
	throw new Errno("EINVAL", `the name of a device at ${hex(address)} is longer than a page`, "device-name");
}
