// IOMMU_GET_HW_INFO: what the IOMMU in front of a device says of itself. drivers/iommu/iommufd/device.c.

import { clearOut, copyOut } from "../memory/address-space.js";
import { Errno } from "../uapi/errno.js";
import { type GetHwInfo, HwCapabilities, HwInfoFlags, HwInfoType } from "../uapi/iommufd.js";
import type { Args } from "../uapi/struct.js";
import type { Call } from "./call.js";
import { BoundDevice } from "./device.js";

const NO_INFO = { type: HwInfoType.NONE, bytes: new Uint8Array(0) };

/** IOMMU_GET_HW_INFO */
export function getHwInfo(call: Call, query: Args<typeof GetHwInfo>): void {
	const { memory } = call.caller;
	const wanted = query.flags & HwInfoFlags.INPUT_TYPE ? query.inDataType : HwInfoType.NONE;
	const { device } = call.context.objects.get(query.devId, BoundDevice, "dev_id");
	const { driver } = device;
	if (!device.hasIommu)
		throw new Errno("EOPNOTSUPP", `${device.name} has no IOMMU in front of it to tell of`, "noiommu-mix");
	const info = driver.hwInfo?.(device, wanted) ?? NO_INFO;
	const copied = Math.min(query.dataLen, info.bytes.length);
	copyOut(memory, query.dataUptr, info.bytes.subarray(0, copied), "data_uptr");
	clearOut(memory, query.dataUptr + copied, query.dataLen - copied, "data_uptr");
	query.dataLen = info.bytes.length;
	query.outDataType = info.type;
	let capabilities = driver.capable(device, "dirty-tracking") ? HwCapabilities.DIRTY_TRACKING : 0;
	if (!driver.capable(device, "pci-ats")) capabilities |= HwCapabilities.PCI_ATS_NOT_SUPPORTED;
	query.outCapabilities = BigInt(capabilities);
	query.outMaxPasidLog2 = device.maxPasids === 0 ? 0 : Math.log2(device.maxPasids);
	call.respond();
}
