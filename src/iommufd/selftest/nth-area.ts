// How a fuzzer names an IOVA that is mapped without knowing any: MOCK_FLAGS_ACCESS_SYZ.
// iommufd_test_syz_conv_iova_id() in drivers/iommu/iommufd/selftest.c.

import { type IoasCopyOfTests, IoasCopyTestFlags } from "../../uapi/iommufd-test.js";
import type { Args } from "../../uapi/struct.js";
import type { Call } from "../call.js";
import { Ioas, ioasCopy } from "../ioas.js";

/** IOMMU_IOAS_COPY of a kernel with CONFIG_IOMMUFD_TEST. What src_iova stands for is in the answer. */
export function ioasCopyOfTests(call: Call, copy: Args<typeof IoasCopyOfTests>): void {
	if (copy.flags & IoasCopyTestFlags.ACCESS_SYZ) {
		copy.flags &= ~IoasCopyTestFlags.ACCESS_SYZ;
		const source = call.context.objects.find(copy.srcIoasId);
		if (source instanceof Ioas) copy.srcIova = iovaOfNthArea(source, copy.srcIova);
	}
	ioasCopy(call, copy);
}

/** @param packed the number of an area, and in the high half an offset into it */
export function iovaOfNthArea(ioas: Ioas, packed: bigint): bigint {
	let number = Number(packed & 0xffffffffn);
	for (const area of ioas.map.areas) {
		if (number === 0) return BigInt.asUintN(64, area.first + (packed >> 32n));
		number--;
	}
	return 0n;
}
