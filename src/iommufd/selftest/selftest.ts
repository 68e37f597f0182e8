// IOMMU_TEST_CMD: what the kernel's own tests do to iommufd from inside. drivers/iommu/iommufd/selftest.c.

import { Errno, hex } from "../../uapi/errno.js";
import type { TestArgs, TestCommand } from "../../uapi/iommufd-test.js";
import type { Args } from "../../uapi/struct.js";
import type { Call } from "../call.js";
import { Ioas } from "../ioas.js";
import { accessHandlers } from "./access-ops.js";
import { checkHandlers } from "./check-ops.js";
import { deviceHandlers } from "./device-ops.js";
import { dmabufHandlers } from "./dmabuf-ops.js";
import { on, type TestHandler } from "./test-op.js";

/** IOMMU_TEST_CMD */
export function testCommand(call: Call, command: Args<typeof TestCommand>): void {
	const handler = handlers.get(command.op);
	if (handler === undefined) throw new Errno("EOPNOTSUPP", `there is no IOMMU_TEST_OP ${command.op}`);
	handler(call);
}

/** Reserves a range that nothing but the end of the IOAS gives back. */
function addReserved(call: Call, args: TestArgs<"ADD_RESERVED">): void {
	const { start, length } = args;
	if (length === 0n) throw new Errno("EINVAL", "length is 0: nothing is to be reserved", "zero-length");
	const last = start + length - 1n;
	if (last >= 1n << 64n)
		throw new Errno(
			"EOVERFLOW",
			`start ${hex(start)} + length ${hex(length)} goes beyond the 64-bit space`,
			"overflow",
		);
	call.context.objects.get(args.id, Ioas, "id").map.reserve(start, last, undefined, "ADD_RESERVED");
}

/** How much memory Linux takes at a time while it pins. We take none, so there is nothing to limit. */
function setMemoryLimit(_call: Call, args: TestArgs<"SET_TEMP_MEMORY_LIMIT">): void {
	if (args.limit < 12) throw new Errno("EINVAL", `limit is ${args.limit}, less than one entry of 12 bytes`);
}

const handlers: ReadonlyMap<number, TestHandler> = new Map([
	on("ADD_RESERVED", addReserved),
	on("SET_TEMP_MEMORY_LIMIT", setMemoryLimit),
	...deviceHandlers,
	...checkHandlers,
	...accessHandlers,
	...dmabufHandlers,
]);
