// IOMMU_OPTION: single values of a context or an object. iommufd_option() in drivers/iommu/iommufd/main.c.

import { Errno } from "../uapi/errno.js";
import { type Option, OptionId, OptionOp } from "../uapi/iommufd.js";
import type { Args } from "../uapi/struct.js";
import type { Call } from "./call.js";
import { Ioas } from "./ioas.js";

type OptionArgs = Args<typeof Option>;

/** IOMMU_OPTION */
export function option(call: Call, option: OptionArgs): void {
	switch (option.optionId) {
		case OptionId.RLIMIT_MODE:
			rlimitMode(call, option);
			break;
		case OptionId.HUGE_PAGES:
			hugePages(call, option);
			break;
		default:
			throw new Errno("EOPNOTSUPP", `there is no option ${option.optionId}`, "option");
	}
	call.respondField("val64");
}

/** For whom pinned memory is counted: 0 the user, 1 the process. */
function rlimitMode(call: Call, option: OptionArgs): void {
	const { context, caller } = call;
	if (option.objectId !== 0)
		throw new Errno(
			"EOPNOTSUPP",
			`RLIMIT_MODE holds for the whole context: object_id is ${option.objectId}, and must be 0`,
			"option",
		);
	switch (option.op) {
		case OptionOp.GET:
			option.val64 = context.accountMode === "mm" ? 1n : 0n;
			return;
		case OptionOp.SET:
			if (!caller.capable("CAP_SYS_RESOURCE"))
				throw new Errno("EPERM", "setting RLIMIT_MODE takes CAP_SYS_RESOURCE", "rlimit-mode");
			if (context.objects.size > 0)
				throw new Errno(
					"EBUSY",
					`RLIMIT_MODE can be set only before the first object is made: there are ${context.objects.size}`,
					"rlimit-mode",
				);
			if (option.val64 > 1n)
				throw new Errno("EINVAL", `RLIMIT_MODE is 0 (user) or 1 (process), not ${option.val64}`, "option");
			context.accountMode = option.val64 === 0n ? "user" : "mm";
			return;
		default:
			throw new Errno("EOPNOTSUPP", `RLIMIT_MODE takes the ops SET and GET, not ${option.op}`, "option");
	}
}

/** Whether an IOAS may map with pages larger than 4096 bytes. */
function hugePages(call: Call, option: OptionArgs): void {
	const { map } = call.context.objects.get(option.objectId, Ioas, "object_id");
	switch (option.op) {
		case OptionOp.GET:
			option.val64 = map.largePagesDisabled ? 0n : 1n;
			return;
		case OptionOp.SET:
			if (option.val64 > 1n)
				throw new Errno("EINVAL", `HUGE_PAGES is 0 (off) or 1 (on), not ${option.val64}`, "option");
			if (option.val64 === 0n) map.disableLargePages();
			else map.enableLargePages();
			return;
		default:
			throw new Errno("EOPNOTSUPP", `HUGE_PAGES takes the ops SET and GET, not ${option.op}`, "option");
	}
}
