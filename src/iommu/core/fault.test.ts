import { expect, test } from "vitest";
import { TableMemory } from "../../pagetable/table-memory.js";
import { codeOf } from "../../uapi/errno.js";
import { PageResponseCode, PgfaultFlags } from "../../uapi/iommufd.js";
import { MockDeviceFlags } from "../../uapi/iommufd-test.js";
import { SelftestIommu } from "../drivers/selftest.js";
import { disableFaults, enableFaults, reportPageRequest } from "./fault.js";
import type { FaultGroup } from "./iommu.js";
import { NO_PASID } from "./pasid.js";

const PASID = 5;

/** A device with a domain that takes its faults, and one that doesn't. */
function scene() {
	const iommu = new SelftestIommu(new TableMemory());
	const device = iommu.addDevice(MockDeviceFlags.PASID);
	const taking = iommu.driver.domainAllocPagingFlags(device, 0, undefined);
	const other = iommu.driver.domainAllocPagingFlags(device, 0, undefined);
	const groups: FaultGroup[] = [];
	taking.faultHandler = (group) => groups.push(group);
	device.group.claim({}, "a test");
	const report = (flags: number = PgfaultFlags.LAST_PAGE, group = 1) =>
		codeOf(() => reportPageRequest(device, { flags, pasid: PASID, group, permissions: 1, address: 0n }));
	return { device, taking, other, groups, report };
}

test("a device may fault as long as a domain that takes its faults is attached, for itself or for a PASID", () => {
	const { device, taking, other } = scene();
	const mayFault = () => device.unfinishedFaults !== undefined;
	device.group.attach(other, {});
	expect(mayFault()).toBe(false);
	device.group.attachPasid(taking, PASID, {});
	device.group.replace(taking, {});
	device.group.replacePasid(other, PASID, {});
	expect(mayFault()).toBe(true);
	device.group.detach();
	expect(mayFault()).toBe(false);
});

test("a request with a PASID belongs to what is attached for it, one without to what is attached to the device", () => {
	const { device, taking, other, groups, report } = scene();
	device.group.attach(other, {});
	device.group.attachPasid(taking, PASID, {});
	expect(report()).toBe("EINVAL");
	expect(report(PgfaultFlags.LAST_PAGE | PgfaultFlags.PASID_VALID)).toBe("ok");
	expect(groups.map(({ attachment }) => attachment)).toEqual([device.group.attachment(PASID)]);
	device.group.detachPasid(PASID);
	expect(report(PgfaultFlags.LAST_PAGE | PgfaultFlags.PASID_VALID)).toBe("EINVAL");
	expect(device.group.attachment(NO_PASID)?.domain).toBe(other);
});

test("what is left of a group when the device may no longer fault is forgotten", () => {
	const { device, taking, other, groups, report } = scene();
	device.group.attach(taking, {});
	expect(report(0)).toBe("ok");
	device.group.replace(other, {});
	device.group.replace(taking, {});
	report();
	expect(groups.map(({ requests }) => requests.length)).toEqual([1]);
});

test("faults are enabled once, and only where there is a way to answer", () => {
	const { device } = scene();
	enableFaults(device);
	expect(codeOf(() => enableFaults(device))).toBe("EBUSY");
	disableFaults(device);
	const mute = { ...device.driver, pageResponse: undefined };
	expect(codeOf(() => enableFaults(Object.assign(Object.create(device), { driver: mute })))).toBe("ENODEV");
});

test("an answer goes to the driver with the last request of the group", () => {
	const { device, taking, groups, report } = scene();
	const answers: unknown[] = [];
	device.driver.pageResponse = (_device, request, code) => answers.push([request.flags, code]);
	device.group.attach(taking, {});
	report(0);
	report();
	groups[0].respond(PageResponseCode.SUCCESS);
	expect(answers).toEqual([[PgfaultFlags.LAST_PAGE, PageResponseCode.SUCCESS]]);
});
