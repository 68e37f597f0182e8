// A good beginning: what a VMM sets up, so that the random calls after it have something to break. What a machine can't do is left out.

import type { Caller } from "../../src/files/caller.js";
import type { OpenFile } from "../../src/files/open-file.js";
import { IommufdFile } from "../../src/iommufd/ioctls.js";
import type { ObjectKind } from "../../src/iommufd/object.js";
import { Errno } from "../../src/uapi/errno.js";
import {
	HwptAlloc,
	HwptAllocFlags,
	HwptDataType,
	HwQueueAlloc,
	HwQueueType,
	IoasAlloc,
	IoasMap,
	IoasMapFlags,
	VdeviceAlloc,
	VeventqAlloc,
	VeventqType,
	ViommuAlloc,
	ViommuType,
} from "../../src/uapi/iommufd.js";
import { CreateAccessFlags, MockDeviceFlags, TestCommand, TestOp, testVariants } from "../../src/uapi/iommufd-test.js";
import { encode } from "../../src/uapi/struct.js";
import { VfioDeviceAttachIommufdPt, VfioDeviceBindIommufd } from "../../src/uapi/vfio.js";

/** Where the caller has memory: for a call's struct, and to map. */
export interface Places {
	readonly argument: number;
	readonly buffer: number;
}

/** Makes the calls. `fd` is the context's number; `device`, an open of a VFIO device, is absent on a machine with the mock IOMMU. */
export function setUp(caller: Caller, fd: number, device: OpenFile | undefined, { argument, buffer }: Places): void {
	const found = caller.file(fd);
	if (found?.kind !== "ours" || !(found.file instanceof IommufdFile)) return;
	const { file } = found;
	const call = (to: OpenFile, number: number, struct: Uint8Array): void => {
		caller.memory.write(argument, struct);
		try {
			to.ioctl(caller, number, argument);
		} catch (error) {
			if (!(error instanceof Errno)) throw error;
		}
	};
	/** The newest object of a kind. */
	const newest = (kind: ObjectKind): number =>
		[...file.context.objects].findLast((object) => object.kind === kind)?.id ?? 0;

	call(file, IoasAlloc.number, encode(IoasAlloc, {}));
	const ioasId = newest("IOAS");
	const mapping = { flags: IoasMapFlags.READABLE | IoasMapFlags.WRITEABLE, ioasId, length: 0x8000n };
	call(file, IoasMap.number, encode(IoasMap, { ...mapping, userVa: BigInt(buffer) }));
	if (device === undefined) {
		const mock = { size: TestCommand.size, op: TestOp.MOCK_DOMAIN_FLAGS, id: ioasId, devFlags: MockDeviceFlags.PASID };
		call(file, TestCommand.number, encode(testVariants.MOCK_DOMAIN_FLAGS, mock));
		const access = {
			size: TestCommand.size,
			op: TestOp.CREATE_ACCESS,
			id: ioasId,
			flags: CreateAccessFlags.NEEDS_PIN_PAGES,
		};
		call(file, TestCommand.number, encode(testVariants.CREATE_ACCESS, access));
	} else {
		call(device, VfioDeviceBindIommufd.number, encode(VfioDeviceBindIommufd, { iommufd: fd }));
		call(device, VfioDeviceAttachIommufdPt.number, encode(VfioDeviceAttachIommufdPt, { ptId: ioasId }));
	}
	const devId = newest("DEVICE");
	call(file, HwptAlloc.number, encode(HwptAlloc, { flags: HwptAllocFlags.PASID, devId, ptId: ioasId }));
	call(file, HwptAlloc.number, encode(HwptAlloc, { flags: HwptAllocFlags.DIRTY_TRACKING, devId, ptId: ioasId }));
	call(file, HwptAlloc.number, encode(HwptAlloc, { flags: HwptAllocFlags.NEST_PARENT, devId, ptId: ioasId }));
	const hwptId = newest("HWPT_PAGING");
	for (const type of [ViommuType.SELFTEST, ViommuType.ARM_SMMUV3])
		call(file, ViommuAlloc.number, encode(ViommuAlloc, { type, devId, hwptId, dataLen: 8, dataUptr: buffer }));
	const viommuId = newest("VIOMMU");
	call(file, VdeviceAlloc.number, encode(VdeviceAlloc, { viommuId, devId, virtId: 1n }));
	for (const type of [VeventqType.SELFTEST, VeventqType.ARM_SMMUV3])
		call(file, VeventqAlloc.number, encode(VeventqAlloc, { viommuId, type, veventqDepth: 3 }));
	const queue = { viommuId, type: HwQueueType.SELFTEST, nestingParentIova: 0x1000n, length: 0x1000n };
	call(file, HwQueueAlloc.number, encode(HwQueueAlloc, queue));
	// The guest's tables: zeroes are a good beginning for most of them.
	for (const dataType of [HwptDataType.SELFTEST, HwptDataType.VTD_S1, HwptDataType.ARM_SMMUV3, HwptDataType.AMD_GUEST])
		for (const dataLen of [8, 16, 24, 32])
			for (const ptId of [viommuId, hwptId])
				call(file, HwptAlloc.number, encode(HwptAlloc, { devId, ptId, dataType, dataLen, dataUptr: buffer }));
}
