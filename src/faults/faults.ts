// Places at which Linux may run out of memory, and where we can be made to say that it did: CONFIG_FAULT_INJECTION.
// lib/fault-inject.c, and iommufd_should_fail() in drivers/iommu/iommufd/selftest.c.
//
// The engine says where such a place is. Who has set an injector says, each time that one is come by, whether it fails. All
// calls of the engine are synchronous, so the injector is the one of the call that is being made. As a rule there is none, and
// then a place costs one comparison.

import { Errno } from "../uapi/errno.js";

/**
 * What fails, by the name of its directory in debugfs: an allocation of a few bytes, one of a page, and what only a kernel with
 * CONFIG_IOMMUFD_TEST has, places of iommufd's own.
 */
export type FaultKind = "failslab" | "fail_page_alloc" | "fail_iommufd";

export interface FaultInjector {
	/**
	 * A place is come by.
	 * @param what what is allocated, or done: "an area"
	 * @returns whether it fails
	 */
	shouldFail(kind: FaultKind, what: string): boolean;
}

let injector: FaultInjector | undefined;

/** Does something, and asks at each place that it comes by. */
export function withFaults<T>(by: FaultInjector, action: () => T): T {
	const before = injector;
	injector = by;
	try {
		return action();
	} finally {
		injector = before;
	}
}

/** Does something on top of what is under way, whose places it has nothing to do with. */
export function withoutFaults(action: () => void): void {
	const before = injector;
	injector = undefined;
	try {
		action();
	} finally {
		injector = before;
	}
}

/** Memory is allocated here. @throws ENOMEM when it is to fail */
export function allocation(what: string, kind: FaultKind = "failslab"): void {
	if (injector?.shouldFail(kind, what)) throw new Errno("ENOMEM", `fault injection: there is no memory for ${what}`);
}

/** Something is done here that iommufd's own tests can have fail. @returns whether it is to fail */
export function iommufdFails(what: string): boolean {
	return injector?.shouldFail("fail_iommufd", what) ?? false;
}
