// What the files of IOMMU_TEST_CMD have in common: how an op is tied to its handler, and a look at the caller's pages.

import { MockDevice } from "../../iommu/drivers/selftest.js";
import { type AddressSpace, type Backing, copyIn, Extents, PAGE_SIZE } from "../../memory/address-space.js";
import { Errno } from "../../uapi/errno.js";
import { type TestArgs, TestOp, type TestOpName, testVariants } from "../../uapi/iommufd-test.js";
import { worked } from "../../uapi/slices.js";
import type { Call } from "../call.js";
import { BoundDevice } from "../device.js";

export type TestHandler = (call: Call) => void;

/** An entry of the table of ops: the op's number, and a handler that gets the op's variant of the struct. */
export function on<Op extends TestOpName>(
	op: Op,
	handle: (call: Call, args: TestArgs<Op>) => void,
): [number, TestHandler] {
	const args = testVariants[op].view as TestArgs<Op>;
	return [TestOp[op], (call) => handle(call, args)];
}

/** What it takes to look at a page of a process, as slices.ts counts. */
const PER_PAGE = 3000;

const found = new Extents();
const probe = new Uint8Array(1);

/** The page that a process has at an address. @throws EOVERFLOW for the last page of all, EFAULT */
export function pageOf(space: AddressSpace, address: number): { backing: Backing; page: number } {
	// gup_fast_fallback() in mm/gup.c: where the page ends has to be an address.
	if (address + PAGE_SIZE >= 2 ** 64)
		throw new Errno("EOVERFLOW", "uptr is in the last page of the 64-bit space", "overflow");
	// A page that was never touched has to be there, as it is after get_user_pages().
	copyIn(space, address, probe, "uptr");
	found.clear();
	space.resolve(Math.floor(address / PAGE_SIZE), 1, false, found);
	const there = { backing: found.backing[0], page: found.page[0] };
	worked(PER_PAGE);
	return there;
}

/** @throws ENOENT when there is no device of that id, EINVAL when it is a real one */
export function mockDevice(call: Call, id: number, field: string): MockDevice {
	const { device } = call.context.objects.get(id, BoundDevice, field);
	if (device instanceof MockDevice) return device;
	throw new Errno("EINVAL", `${field} is ${id}, and ${device.name} is not a mock device`);
}
