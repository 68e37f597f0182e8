import { expect, test } from "vitest";
import { codeOf } from "../uapi/errno.js";
import { Destroy, IoasAlloc, VdeviceAlloc } from "../uapi/iommufd.js";
import { BoundDevice } from "./device.js";
import { TestGuest } from "./guest.testing.js";
import { Viommu } from "./viommu.js";

test("a device has one number in one vIOMMU, and a number has one device", () => {
	const guest = new TestGuest();
	guest.addVdevice(1n);
	expect(codeOf(() => guest.addVdevice(2n))).toBe("EEXIST");
	const other = guest.addDevice();
	expect(codeOf(() => guest.addVdevice(1n, other.devId))).toBe("EEXIST");
	guest.addVdevice(0xffffffffffffffffn, other.devId);
});

test("a vDEVICE needs a vIOMMU and a device, and leaves nothing when it can't be", () => {
	const guest = new TestGuest();
	const { client, viommuId, device } = guest;
	const other = guest.addDevice();
	guest.addVdevice(1n);
	const before = client.fd.context.objects.size;
	const alloc = (values: { viommuId: number; devId: number; virtId: bigint }) =>
		codeOf(() => client.call(VdeviceAlloc, values));
	expect(alloc({ viommuId: device.devId, devId: 99, virtId: 3n })).toBe("ENOENT");
	expect(alloc({ viommuId, devId: device.stdevId, virtId: 3n })).toBe("ENOENT");
	expect(alloc({ viommuId, devId: other.devId, virtId: 1n })).toBe("EEXIST");
	expect(client.fd.context.objects.size).toBe(before);
	expect(guest.addVdevice(3n, other.devId)).toBeGreaterThan(0);
});

test("a device behind another IOMMU can't be in the vIOMMU's guest", () => {
	const guest = new TestGuest();
	const { objects } = guest.client.fd.context;
	const { device } = objects.get(guest.device.devId, BoundDevice, "");
	Object.assign(device, { iommu: {} });
	expect(codeOf(() => guest.addVdevice(1n))).toBe("EINVAL");
});

test("the vIOMMU finds a device by its number, until the vDEVICE is destroyed", () => {
	const guest = new TestGuest();
	const { client } = guest;
	const { objects } = client.fd.context;
	const viommu = objects.get(guest.viommuId, Viommu, "");
	const { device } = objects.get(guest.device.devId, BoundDevice, "");
	const id = guest.addVdevice(5n);
	expect(viommu.findDevice(5n)).toBe(device);
	expect(viommu.virtualIdOf(device)).toBe(5n);
	expect(codeOf(() => client.call(Destroy, { id: guest.viommuId }))).toBe("EBUSY");
	client.call(Destroy, { id });
	expect(viommu.findDevice(5n)).toBeUndefined();
	expect(codeOf(() => viommu.virtualIdOf(device))).toBe("ENOENT");
	client.call(Destroy, { id: guest.viommuId });
});

test("a device that goes away takes its vDEVICE along, whose id nothing else gets until the context is closed", () => {
	const guest = new TestGuest();
	const { client, device } = guest;
	const id = guest.addVdevice(1n);
	client.call(Destroy, { id: device.stdevId });
	expect(codeOf(() => client.call(Destroy, { id }))).toBe("ENOENT");
	client.call(Destroy, { id: guest.viommuId });
	const fresh = Array.from({ length: 8 }, () => client.call(IoasAlloc, {}).outIoasId);
	expect(fresh).toContain(device.devId);
	expect(fresh).not.toContain(id);
	client.fd.release();
	expect(client.fd.context.objects.size).toBe(0);
});

test("the number of a vDEVICE that has gone can be had by another device", () => {
	const guest = new TestGuest();
	guest.addVdevice(1n);
	guest.client.call(Destroy, { id: guest.device.stdevId });
	guest.addVdevice(1n, guest.addDevice().devId);
});
