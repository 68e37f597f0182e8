// Page faults: a device asks for pages that aren't there, and waits until somebody answers. drivers/iommu/io-pgfault.c

import { allocation } from "../../faults/faults.js";
import { Errno } from "../../uapi/errno.js";
import { PageResponseCode, PgfaultFlags } from "../../uapi/iommufd.js";
import type { Attachment, Device, Domain } from "./iommu.js";
import type { PageRequest } from "./page-request.js";
import { NO_PASID } from "./pasid.js";

/** A device that never ends a group would have us keep all of its requests. */
const MOST_UNFINISHED = 65536;

/**
 * Lets a device ask for pages from now on. A driver calls it when it attaches a domain that has a fault handler.
 * @throws ENODEV where the driver has no way to answer, EBUSY when the device may do so already
 */
export function enableFaults(device: Device): void {
	if (!device.driver.pageResponse)
		throw new Errno(
			"ENODEV",
			`${device.name} can't fault: ${device.driver.name} has no way to answer a page request`,
			"page-faults",
		);
	if (device.unfinishedFaults !== undefined)
		throw new Errno("EBUSY", `faults of ${device.name} are enabled already`, "page-faults");
	allocation("the page faults of a device");
	device.unfinishedFaults = [];
}

/** Undoes enableFaults(). Groups of which the last request has not come yet are forgotten. */
export function disableFaults(device: Device): void {
	device.unfinishedFaults = undefined;
}

/** The attached domains of a device that want page faults: the device may fault as long as there is one. */
export class FaultUsers {
	readonly #device: Device;
	#count = 0;

	constructor(device: Device) {
		this.#device = device;
	}

	/**
	 * Attaches a domain in the place of another one, if any.
	 * @param attach does it
	 * @throws what enableFaults() and `attach` throw; nothing has changed here then
	 */
	replace(domain: Domain, old: Domain | undefined, attach: () => void): void {
		const isFirst = this.#count === 0 && domain.faultHandler !== undefined;
		if (isFirst) enableFaults(this.#device);
		try {
			attach();
		} catch (error) {
			if (isFirst) disableFaults(this.#device);
			throw error;
		}
		const before = this.#count;
		if (domain.faultHandler) this.#count++;
		if (old?.faultHandler) this.#count--;
		if (this.#count === 0 && (isFirst || before > 0)) disableFaults(this.#device);
	}
}

/**
 * Takes a page request from a device. When it ends a group, the handler of the domain gets the group.
 * @throws EINVAL when nobody would answer, ENOMEM; the device has been told so then
 */
export function reportPageRequest(device: Device, request: PageRequest): void {
	const attachment = attachmentInCharge(device, request);
	const unfinished = device.unfinishedFaults;
	const handler = attachment?.domain.faultHandler;
	if (attachment === undefined || handler === undefined || unfinished === undefined) {
		device.driver.pageResponse?.(device, request, PageResponseCode.INVALID);
		throw new Errno("EINVAL", `${device.name} is attached to nothing that takes page faults`, "page-faults");
	}
	if (!(request.flags & PgfaultFlags.LAST_PAGE)) {
		allocation("a page fault");
		if (unfinished.length === MOST_UNFINISHED)
			throw new Errno(
				"ENOMEM",
				`${device.name} has ${MOST_UNFINISHED} page faults of groups without a last one`,
				"page-faults",
			);
		unfinished.push(request);
		return;
	}
	const earlier = unfinished.filter((other) => other.group === request.group);
	device.unfinishedFaults = unfinished.filter((other) => other.group !== request.group);
	try {
		allocation("a group of page faults");
	} catch (error) {
		device.driver.pageResponse?.(device, request, PageResponseCode.INVALID);
		throw error;
	}
	handler({
		device,
		requests: [...earlier, request],
		attachment,
		respond: (code) => device.driver.pageResponse?.(device, request, code),
	});
}

/** What a request's address is an address of. */
function attachmentInCharge(device: Device, { flags, pasid }: PageRequest): Attachment | undefined {
	const { group, driver } = device;
	const ofDevice = group.attachment(NO_PASID);
	if (!(flags & PgfaultFlags.PASID_VALID)) return ofDevice;
	const ofPasid = group.attachment(pasid);
	if (ofPasid !== undefined || !driver.userPasidTable) return ofPasid;
	// User space keeps the table of PASIDs in what it attached to the device itself.
	return ofDevice?.domain.type === "nested" ? ofDevice : undefined;
}
