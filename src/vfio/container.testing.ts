// A program that has groups and containers open: for tests.

import { BUFFER, BUFFER_PAGES, TestClient } from "../iommufd/client.testing.js";
import type { FieldTable } from "../uapi/field.js";
import { type AnyCommand, type Command, encode } from "../uapi/struct.js";
import {
	VfioExtension,
	VfioGroupGetDeviceFd,
	VfioGroupGetStatus,
	VfioGroupSetContainer,
	VfioGroupUnsetContainer,
	VfioSetIommu,
} from "../uapi/vfio.js";
import type { Values, WritableView } from "../uapi/view.js";
import { Container, ContainerFile, type ContainerPlatform } from "./container.js";
import type { VfioDevice } from "./device.js";
import { DeviceFile } from "./device-file.js";
import { GroupFile, VfioGroup } from "./group.js";
import { TestBus } from "./hardware.testing.js";

const ARGUMENT = 0x1000_0000;

export { BUFFER, BUFFER_PAGES };

export class ContainerProgram {
	readonly bus = new TestBus();
	readonly client = new TestClient();
	readonly containers: ContainerPlatform;

	constructor(takesNoIommu = false) {
		const { frames, memlock, budget } = this.client.platform;
		this.containers = { frames, memlock, budget, settle: () => this.client.platform.settle(), takesNoIommu };
	}

	/** Adds a function in a group of its own, or in one that is there. */
	addDevice(group?: VfioGroup, ...has: Parameters<TestBus["add"]> | []): VfioDevice {
		const [hardware, sriov, , place] = has;
		const device = this.bus.add(hardware, sriov, group?.iommuGroup, place);
		(group ?? new VfioGroup(device.device.group)).add(device);
		return device;
	}

	/** Opens a group's file; returns the fd. @throws Errno */
	openGroup({ group }: VfioDevice): number {
		return this.client.install(group!.open(this.client, () => {}));
	}

	openContainer(): number {
		return this.client.install(new ContainerFile(new Container(this.containers)));
	}

	/** The fd of a container of type 1 with a function's group in it. */
	containerOf(device: VfioDevice, type: number = VfioExtension.TYPE1v2_IOMMU): number {
		const container = this.openContainer();
		this.setContainer(this.openGroup(device), container);
		this.plain(container, VfioSetIommu.number, type);
		return container;
	}

	setContainer(group: number, container: number): void {
		this.client.memory.write(ARGUMENT, new Uint8Array(Int32Array.of(container).buffer));
		this.plain(group, VfioGroupSetContainer.number, ARGUMENT);
	}

	unsetContainer(group: number): void {
		this.plain(group, VfioGroupUnsetContainer.number, 0);
	}

	status(group: number): number {
		return this.call(group, VfioGroupGetStatus, {}).flags;
	}

	/** @returns the fd */
	getDevice(group: number, name: string): number {
		this.client.memory.write(ARGUMENT, new TextEncoder().encode(`${name}\0`));
		return this.plain(group, VfioGroupGetDeviceFd.number, ARGUMENT);
	}

	/** Makes an ioctl without a struct. @throws Errno */
	plain(fd: number, command: number, argument: number): number {
		const found = this.client.file(fd);
		if (found?.kind !== "ours") throw new Error(`fd ${fd} is not a file of ours`);
		return found.file.ioctl(this.client, command, argument);
	}

	/** Makes an ioctl; returns its struct as it is afterwards. @param behind what follows the struct @throws Errno */
	call<F extends FieldTable>(
		fd: number,
		command: Command<F>,
		values: Partial<Values<F>>,
		behind: Uint8Array = new Uint8Array(),
	): WritableView<F> {
		const view = command.newView();
		view.bytes.set(encode(command, values));
		this.client.memory.write(ARGUMENT, view.bytes);
		this.client.memory.write(ARGUMENT + view.bytes.length, behind);
		try {
			this.plain(fd, (command as AnyCommand).number, ARGUMENT);
		} finally {
			this.client.memory.read(ARGUMENT, view.bytes);
		}
		return view;
	}

	/** What follows a struct of the last call. */
	behind(command: AnyCommand, length: number): Uint8Array {
		const bytes = new Uint8Array(length);
		this.client.memory.read(ARGUMENT + command.size, bytes);
		return bytes;
	}

	close(fd: number): void {
		this.client.close(fd);
	}

	file(fd: number): DeviceFile | GroupFile {
		const found = this.client.file(fd);
		if (found?.kind === "ours" && (found.file instanceof DeviceFile || found.file instanceof GroupFile))
			return found.file;
		throw new Error(`fd ${fd} is neither a device's nor a group's`);
	}
}
