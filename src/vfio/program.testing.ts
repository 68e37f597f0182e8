// A program that has VFIO devices and an iommufd open: for tests.

import type { Caller } from "../files/caller.js";
import type { OpenFile } from "../files/open-file.js";
import { TestClient } from "../iommufd/client.testing.js";
import type { IommufdFile } from "../iommufd/ioctls.js";
import type { FieldTable } from "../uapi/field.js";
import { type Command, encode } from "../uapi/struct.js";
import { VfioDeviceAttachIommufdPt, VfioDeviceBindIommufd, VfioDeviceDetachIommufdPt } from "../uapi/vfio.js";
import type { Values, WritableView } from "../uapi/view.js";
import type { VfioDevice } from "./device.js";
import { DeviceFile } from "./device-file.js";

const ARGUMENT = 0x1000_0000;

export class TestProgram {
	readonly client: TestClient;
	/** The fd of /dev/iommu. */
	readonly iommufd: number;

	/** @param iommufd an open of a machine's /dev/iommu; one without a machine if absent */
	constructor(iommufd?: IommufdFile) {
		this.client = new TestClient(undefined, {}, iommufd);
		this.iommufd = this.client.install(this.client.fd);
	}

	get caller(): Caller {
		return this.client;
	}

	open(device: VfioDevice): DeviceFile {
		return new DeviceFile(device, () => {});
	}

	/** Makes an ioctl on a file; returns its struct as it is afterwards. @throws Errno */
	call<F extends FieldTable>(file: OpenFile, command: Command<F>, values: Partial<Values<F>>): WritableView<F> {
		const view = command.newView();
		view.bytes.set(encode(command, values));
		this.client.memory.write(ARGUMENT, view.bytes);
		try {
			file.ioctl(this.client, command.number, ARGUMENT);
		} finally {
			this.client.memory.read(ARGUMENT, view.bytes);
		}
		return view;
	}

	/** @returns the device's id in the iommufd */
	bind(file: OpenFile, iommufd = this.iommufd): number {
		return this.call(file, VfioDeviceBindIommufd, { iommufd }).outDevid;
	}

	/** @returns the id of the HWPT */
	attach(file: OpenFile, ptId: number, pasid?: number): number {
		const values = pasid === undefined ? { ptId } : { ptId, pasid, flags: 1 };
		return this.call(file, VfioDeviceAttachIommufdPt, values).ptId;
	}

	detach(file: OpenFile, pasid?: number): void {
		this.call(file, VfioDeviceDetachIommufdPt, pasid === undefined ? {} : { pasid, flags: 1 });
	}
}
