// IOMMU_IOAS_NOIOMMU_GET_PA: where an IOVA leads to, for who does DMA with a device that has no IOMMU in front of it.
// iommufd_ioas_noiommu_get_pa() in drivers/iommu/iommufd/ioas.c.

import { Errno, hex } from "../uapi/errno.js";
import type { IoasNoiommuGetPa } from "../uapi/iommufd.js";
import type { Args } from "../uapi/struct.js";
import type { Call } from "./call.js";
import { Ioas } from "./ioas.js";
import { LAST_IOVA } from "./iova-ranges.js";

/** IOMMU_IOAS_NOIOMMU_GET_PA. Only for an IOAS that such a device is attached to, and none of our machines has one. */
export function noiommuGetPa(
	call: Call,
	{ flags, reserved, length, iova, ioasId }: Args<typeof IoasNoiommuGetPa>,
): void {
	if (!call.caller.capable("CAP_SYS_RAWIO")) throw new Errno("EPERM", "physical addresses take CAP_SYS_RAWIO");
	if (flags || reserved)
		throw new Errno("EOPNOTSUPP", `flags is ${hex(flags)} and __reserved ${hex(reserved)}: both must be 0`);
	if (length === 0n) throw new Errno("EINVAL", "length is 0: there is no address to be told");
	if (iova === LAST_IOVA) throw new Errno("EOVERFLOW", `an IOVA of ${hex(iova)} is out of range`);
	const ioas = call.context.objects.get(ioasId, Ioas, "ioas_id");
	if (ioas.map.areas.firstIn(iova, iova) === undefined)
		throw new Errno("ENOENT", `no physical address: nothing is mapped at IOVA ${hex(iova)} of ${ioas}`);
	throw new Errno("EOPNOTSUPP", `no device without an IOMMU is attached to ${ioas}`);
}
