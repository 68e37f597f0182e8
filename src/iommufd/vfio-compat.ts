// VFIO's container interface on an iommufd. drivers/iommu/iommufd/vfio_compat.c.

import { Errno } from "../uapi/errno.js";
import { type VfioIoas, VfioIoasOp } from "../uapi/iommufd.js";
import type { Args } from "../uapi/struct.js";
import type { Call } from "./call.js";
import { Ioas } from "./ioas.js";

/** IOMMU_VFIO_IOAS: which IOAS the container ioctls work on. */
export function vfioIoas(call: Call, request: Args<typeof VfioIoas>): void {
	const { context } = call;
	switch (request.op) {
		case VfioIoasOp.GET:
			if (context.vfioIoas === undefined) throw new Errno("ENODEV", "no IOAS has been set for VFIO's ioctls");
			request.ioasId = context.vfioIoas.id;
			call.respond();
			return;
		case VfioIoasOp.SET:
			context.vfioIoas = context.objects.get(request.ioasId, Ioas, "ioas_id");
			return;
		case VfioIoasOp.CLEAR:
			context.vfioIoas = undefined;
			return;
		default:
			throw new Errno("EOPNOTSUPP", `op ${request.op} is none of GET, SET and CLEAR`);
	}
}
