// What the PCI functions of a machine do: the models behind their registers, by vendor and device ID.

import { EDU_DEVICE_ID, EDU_VENDOR_ID, EduDevice } from "../devices/edu.js";
import type { Endpoint, EndpointPort } from "../devices/endpoint.js";
import { NO_PASID } from "../iommu/core/pasid.js";
import type { Dma } from "../iommu/dma/dma.js";
import type { VfioDevice } from "../vfio/device.js";
import { NO_MASTER } from "../vfio/interrupts.js";

/** The model of a function; undefined when there is none, so that nothing is behind its registers. */
export function endpointOf({ device, hardware, config, interrupts }: VfioDevice, dma: Dma): Endpoint | undefined {
	if (hardware.vendorId !== EDU_VENDOR_ID || hardware.deviceId !== EDU_DEVICE_ID) return undefined;
	const refused = (iova: bigint, write: boolean, pasid = NO_PASID) =>
		config.isBusMaster ? undefined : dma.refuse({ device, pasid, iova, write }, NO_MASTER);
	const port: EndpointPort = {
		readMemory: (iova, into, pasid) => refused(iova, false, pasid) ?? dma.read(device, iova, into, pasid),
		writeMemory: (iova, from, pasid) => refused(iova, true, pasid) ?? dma.write(device, iova, from, pasid),
		interrupt: (vector) => interrupts.raise(vector),
		deassert: () => interrupts.deassert(),
		wake: () => {},
		memoryOf: (bar, offset) => {
			throw new Error(`BAR ${bar} has no plain memory at ${offset}`);
		},
		setDoorbell: () => {},
		tell: () => {},
	};
	return new EduDevice(port);
}
