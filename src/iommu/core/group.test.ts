import { expect, test } from "vitest";
import { TableMemory } from "../../pagetable/table-memory.js";
import { codeOf, Errno } from "../../uapi/errno.js";
import { deviceBehind } from "../drivers/function.testing.js";
import { VtdRegisters } from "../drivers/intel-vtd/registers.js";
import { IntelVtdDriver } from "../drivers/intel-vtd.js";
import { IommuGroup } from "./group.js";
import type { Device, Domain } from "./iommu.js";
import { NO_PASID } from "./pasid.js";

const OWNER = {};

/** Three devices of one group, the first without PASIDs, and what their driver is asked to attach, in order. */
function setUp() {
	const driver = new IntelVtdDriver(new TableMemory());
	const unit = driver.addIommu(new VtdRegisters(0x19ed008c40780c66n, 0x3ef9ea6f050dfn));
	const alone = [0, 10, 10].map((pasidBits) => deviceBehind(unit, { pasidBits }));
	const group = new IommuGroup(1);
	const devices = alone.map(({ pci }) => unit.probe(pci, group));
	const attached: string[] = [];
	const named = (name: string, domain: Domain) => {
		const { attachDevice, setDevicePasid } = domain;
		domain.attachDevice = (device, old) => {
			refuse(device);
			attachDevice.call(domain, device, old);
			attached.push(`${devices.indexOf(device as never)} ${name}`);
		};
		domain.setDevicePasid = (device, pasid, old) => {
			refuse(device);
			setDevicePasid?.call(domain, device, pasid, old);
			attached.push(`${devices.indexOf(device as never)} ${name} ${pasid}`);
		};
		return domain;
	};
	let refusing: Device | undefined;
	const refuse = (device: Device) => {
		if (device === refusing) throw new Errno("EIO", "for a test");
	};
	const alloc = (name: string) => named(name, driver.domainAllocPagingFlags(devices[1], 0, undefined));
	named("blocked", driver.blockedDomain);
	const seen = () => attached.splice(0);
	return {
		group,
		devices,
		alloc,
		seen,
		refuseAt: (index: number | undefined) => {
			refusing = index === undefined ? undefined : devices[index];
		},
	};
}

test("all devices of a group are attached, or none: one that refuses takes those before it back", () => {
	const { group, alloc, seen, refuseAt } = setUp();
	const [one, two] = [alloc("one"), alloc("two")];
	refuseAt(2);
	expect(codeOf(() => group.attach(one, OWNER))).toBe("EIO");
	expect([seen(), group.attachment(NO_PASID)]).toEqual([["0 one", "1 one", "0 blocked", "1 blocked"], undefined]);
	refuseAt(undefined);
	group.attach(one, OWNER);
	seen();
	refuseAt(1);
	expect(codeOf(() => group.replace(two, OWNER))).toBe("EIO");
	expect([seen(), group.attachment(NO_PASID)?.domain]).toEqual([["0 two", "0 one"], one]);
});

test("so is a PASID, for the devices that have any", () => {
	const { group, alloc, seen, refuseAt } = setUp();
	const [one, two] = [alloc("one"), alloc("two")];
	refuseAt(2);
	expect(codeOf(() => group.attachPasid(one, 7, OWNER))).toBe("EIO");
	expect([seen(), group.attachment(7)]).toEqual([["1 one 7", "1 blocked 7"], undefined]);
	refuseAt(undefined);
	group.attachPasid(one, 7, OWNER);
	seen();
	refuseAt(2);
	expect(codeOf(() => group.replacePasid(two, 7, OWNER))).toBe("EIO");
	expect([seen(), group.attachment(7)?.domain]).toEqual([["1 two 7", "1 one 7"], one]);
	refuseAt(undefined);
	group.detachPasid(7);
	expect([seen(), group.attachment(7)]).toEqual([["1 blocked 7", "2 blocked 7"], undefined]);
});

test("a PASID must be one that every device can send which has any, and is attached once", () => {
	const { group, alloc } = setUp();
	const domain = alloc("one");
	const attach = (pasid: number) => codeOf(() => group.attachPasid(domain, pasid, OWNER));
	expect([attach(0), attach(1023), attach(1024), attach(1023)]).toEqual(["EINVAL", "ok", "EINVAL", "EBUSY"]);
	expect([
		codeOf(() => group.replacePasid(domain, 5, OWNER)),
		codeOf(() => group.replacePasid(domain, 0, OWNER)),
	]).toEqual(["EINVAL", "EINVAL"]);
});
