// What the PCI functions of a machine do: the models behind their registers, by vendor and device ID.

import { EDU_DEVICE_ID, EDU_VENDOR_ID, EduDevice } from "../devices/edu.js";
import type { Endpoint, EndpointPort } from "../devices/endpoint.js";
import type { Dma } from "../iommu/dma.js";
import type { VfioDevice } from "../vfio/device.js";

/** The model of a function; undefined when there is none, so that nothing is behind its registers. */
export function endpointOf({ device, hardware, interrupts }: VfioDevice, dma: Dma): Endpoint | undefined {
	if (hardware.vendorId !== EDU_VENDOR_ID || hardware.deviceId !== EDU_DEVICE_ID) return undefined;
	const port: EndpointPort = {
		readMemory: (iova, into, pasid) => dma.read(device, iova, into, pasid),
		writeMemory: (iova, from, pasid) => dma.write(device, iova, from, pasid),
		interrupt: (vector) => interrupts.raise(vector),
		deassert: () => interrupts.deassert(),
	};
	return new EduDevice(port);
}
