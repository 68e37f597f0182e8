import { expect, test } from "vitest";
import type { ReadableFile } from "../files/open-file.js";
import { disableFaults, reportPageRequest } from "../iommu/core/fault.js";
import type { PageRequest } from "../iommu/core/page-request.js";
import { PAGE_SIZE } from "../memory/address-space.js";
import { ArraySpace } from "../memory/array-space.js";
import { codeOf } from "../uapi/errno.js";
import {
	Destroy,
	FaultQueueAlloc,
	HwptAlloc,
	HwptAllocFlags,
	HwptPageResponse,
	HwptPgfault,
	PageResponseCode,
	PgfaultFlags,
	PgfaultPerm,
} from "../uapi/iommufd.js";
import { MockDeviceFlags } from "../uapi/iommufd-test.js";
import { decode, encode } from "../uapi/struct.js";
import { BoundDevice } from "./device.js";
import { TestGuest } from "./guest.testing.js";

const FAULT = HwptPgfault.size;
const ADDRESS = 0xdead0000n;

/** A page of memory to read to and to write from. */
const MEMORY = 0x4000;
const reader = new ArraySpace();
const memory = reader.map(MEMORY, PAGE_SIZE);

/** A device behind a HWPT that sends its faults to a queue. */
function scene() {
	const guest = new TestGuest();
	const { client } = guest;
	const { outFaultId: faultId, outFaultFd: fd } = client.call(FaultQueueAlloc, {});
	guest.addVdevice(1n);
	const hwptId = guest.addNested(HwptAllocFlags.FAULT_ID_VALID, faultId);
	guest.attach(hwptId);
	const { device } = client.fd.context.objects.get(guest.device.devId, BoundDevice, "");
	const queue = client.queue(fd);
	return { guest, client, device, faultId, fd, hwptId, queue };
}

function request(changes: Partial<PageRequest> = {}): PageRequest {
	const flags = PgfaultFlags.LAST_PAGE;
	return { flags, pasid: 0, group: 1, permissions: PgfaultPerm.READ, address: ADDRESS, ...changes };
}

function read(queue: ReadableFile, room = 8) {
	const bytes = memory.subarray(0, room * FAULT);
	const length = queue.read(reader, MEMORY, bytes.length);
	const faults = [];
	for (let at = 0; at < length; at += FAULT) faults.push(decode(HwptPgfault, bytes.subarray(at, at + FAULT)));
	return faults;
}

function answer(queue: ReadableFile, ...responses: { cookie: number; code?: number }[]): number {
	const { size } = HwptPageResponse;
	for (const [i, response] of responses.entries()) memory.set(encode(HwptPageResponse, response), i * size);
	return queue.write(reader, MEMORY, responses.length * size);
}

test("a page fault is read with the device that has it, and answered by its cookie", () => {
	const { guest, client, queue } = scene();
	expect([queue.readable, queue.writable, read(queue)]).toEqual([false, true, []]);
	client.test("TRIGGER_IOPF", { devId: guest.device.devId, grpid: 3, perm: 2, addr: ADDRESS });
	expect(queue.readable).toBe(true);
	const [fault] = read(queue);
	expect(fault).toMatchObject({
		flags: PgfaultFlags.LAST_PAGE,
		devId: guest.device.devId,
		pasid: 0,
		grpid: 3,
		perm: 2,
		addr: ADDRESS,
		length: 0,
		cookie: 1,
	});
	expect(queue.readable).toBe(false);
	expect(answer(queue, { cookie: 1, code: PageResponseCode.INVALID })).toBe(HwptPageResponse.size);
	expect(codeOf(() => answer(queue, { cookie: 1 }))).toBe("EINVAL");
});

test("faults of a PASID that isn't attached go to the nested HWPT of the device itself", () => {
	const { guest, client, queue } = scene();
	client.test("TRIGGER_IOPF", { devId: guest.device.devId, pasid: 7, grpid: 1, addr: ADDRESS });
	expect(read(queue)[0]).toMatchObject({ pasid: 7, flags: PgfaultFlags.LAST_PAGE | PgfaultFlags.PASID_VALID });
});

test("a group is delivered when its last request has come, all of it or none", () => {
	const { device, queue } = scene();
	reportPageRequest(device, request({ flags: 0, address: 0x1000n }));
	reportPageRequest(device, request({ flags: 0, address: 0x9000n, group: 2 }));
	reportPageRequest(device, request({ flags: 0, address: 0x2000n }));
	expect(queue.readable).toBe(false);
	reportPageRequest(device, request({ address: 0x3000n }));
	expect(codeOf(() => read(queue, 2))).toBe("EINVAL");
	expect(read(queue, 3).map(({ addr, cookie }) => [addr, cookie])).toEqual([
		[0x1000n, 1],
		[0x2000n, 1],
		[0x3000n, 1],
	]);
	reportPageRequest(device, request({ group: 2 }));
	expect(read(queue)).toHaveLength(2);
});

test("a read takes as many whole groups as there is room for", () => {
	const { device, queue } = scene();
	for (let group = 0; group < 3; group++) reportPageRequest(device, request({ group }));
	expect(read(queue, 2).map(({ cookie }) => cookie)).toEqual([1, 2]);
	expect(answer(queue, { cookie: 1 })).toBe(8);
	// The lowest cookie that is free is used again.
	expect(read(queue).map(({ cookie }) => cookie)).toEqual([1]);
});

test("reads and writes are whole structs", () => {
	const { device, queue } = scene();
	expect(codeOf(() => queue.read(reader, MEMORY, FAULT + 1))).toBe("ESPIPE");
	expect(codeOf(() => queue.write(reader, MEMORY, 7))).toBe("ESPIPE");
	expect(queue.read(reader, MEMORY, 0)).toBe(0);
	expect(queue.write(reader, MEMORY, 0)).toBe(0);
	reportPageRequest(device, request());
	expect(codeOf(() => queue.read(reader, MEMORY, 0))).toBe("EINVAL");
});

test("answers are taken up to the first that is wrong", () => {
	const { device, queue } = scene();
	for (let group = 0; group < 3; group++) reportPageRequest(device, request({ group }));
	read(queue);
	expect(answer(queue, { cookie: 1 }, { cookie: 9 }, { cookie: 2 })).toBe(8);
	expect(codeOf(() => answer(queue, { cookie: 2, code: 2 }, { cookie: 2 }))).toBe("EINVAL");
	expect(answer(queue, { cookie: 2 }, { cookie: 3 })).toBe(16);
});

test("the device hears what its faults were answered with", () => {
	const { device, queue } = scene();
	const heard: unknown[] = [];
	device.driver.pageResponse = (_device, { group }, code) => heard.push([group, code]);
	reportPageRequest(device, request({ group: 5 }));
	reportPageRequest(device, request({ group: 6 }));
	const [five, six] = read(queue);
	answer(queue, { cookie: six.cookie, code: PageResponseCode.INVALID }, { cookie: five.cookie });
	expect(heard).toEqual([
		[6, PageResponseCode.INVALID],
		[5, PageResponseCode.SUCCESS],
	]);
});

test("faults in flight are answered when the device is moved elsewhere, read or not", () => {
	const { guest, client, device, queue, hwptId } = scene();
	const heard: number[] = [];
	device.driver.pageResponse = (_device, { group }, code) => {
		if (code === PageResponseCode.INVALID) heard.push(group);
	};
	reportPageRequest(device, request({ group: 1 }));
	const [{ cookie }] = read(queue);
	reportPageRequest(device, request({ group: 2 }));
	reportPageRequest(device, request({ group: 3, flags: 0 }));
	guest.attach(guest.ioasId);
	expect(heard).toEqual([2, 1]);
	expect(queue.readable).toBe(false);
	expect(codeOf(() => answer(queue, { cookie }))).toBe("EINVAL");
	client.call(Destroy, { id: hwptId });
	expect(device.unfinishedFaults).toBeUndefined();
});

test("faults are answered when what was attached for a PASID is detached", () => {
	const { guest, client, faultId, queue } = scene();
	const flags = HwptAllocFlags.PASID | HwptAllocFlags.FAULT_ID_VALID;
	const { devId } = guest.device;
	const { outHwptId: ptId } = client.call(HwptAlloc, { devId, ptId: guest.ioasId, flags, faultId });
	const devFlags = MockDeviceFlags.PASID;
	const mock = client.test("MOCK_DOMAIN_FLAGS", { id: ptId, devFlags });
	client.test("PASID_ATTACH", { id: mock.outStdevId, pasid: 9, ptId });
	client.test("TRIGGER_IOPF", { devId: mock.outIdevId, pasid: 9, grpid: 1 });
	client.test("TRIGGER_IOPF", { devId: mock.outIdevId, pasid: 0, grpid: 2 });
	client.test("PASID_DETACH", { id: mock.outStdevId, pasid: 9 });
	expect(read(queue).map(({ pasid }) => pasid)).toEqual([0]);
	// The device itself is still attached, and may fault on.
	client.test("TRIGGER_IOPF", { devId: mock.outIdevId, pasid: 0, grpid: 3 });
	expect(read(queue)).toHaveLength(1);
});

test("a device that is attached to nothing that takes faults is told so at once", () => {
	const { guest, device, queue } = scene();
	const heard: number[] = [];
	device.driver.pageResponse = (_device, _request, code) => heard.push(code);
	guest.attach(guest.parentId);
	expect(codeOf(() => reportPageRequest(device, request()))).toBe("EINVAL");
	disableFaults(device);
	expect(codeOf(() => reportPageRequest(device, request({ flags: 0 })))).toBe("EINVAL");
	expect(heard).toEqual([PageResponseCode.INVALID, PageResponseCode.INVALID]);
	expect(queue.readable).toBe(false);
});

test("faults that can't be copied stay in the queue, and answers that can't be read wait", () => {
	const { device, queue } = scene();
	for (const group of [1, 2]) reportPageRequest(device, request({ group }));
	const end = MEMORY + PAGE_SIZE;
	expect(codeOf(() => queue.read(reader, end, 2 * FAULT))).toBe("EFAULT");
	expect(queue.read(reader, end - FAULT, 2 * FAULT)).toBe(FAULT);
	expect(queue.readable).toBe(true);
	expect(read(queue).map(({ grpid, cookie }) => [grpid, cookie])).toEqual([[2, 2]]);
	const { size } = HwptPageResponse;
	memory.set(encode(HwptPageResponse, { cookie: 1 }), PAGE_SIZE - size);
	expect(codeOf(() => queue.write(reader, end, size))).toBe("EFAULT");
	expect(queue.write(reader, end - size, 2 * size)).toBe(size);
	expect(answer(queue, { cookie: 2 })).toBe(size);
});

test("who waits is told when there is something to read, and when there is nothing left", () => {
	const { device, queue } = scene();
	const seen: boolean[] = [];
	queue.onReadableChange = () => seen.push(queue.readable);
	reportPageRequest(device, request({ group: 1 }));
	reportPageRequest(device, request({ group: 2 }));
	read(queue, 1);
	read(queue);
	expect(seen).toEqual([true, false]);
});

test("the queue is destroyed after its file is closed and its HWPTs are gone", () => {
	const { guest, client, faultId, fd, hwptId } = scene();
	expect(codeOf(() => client.call(Destroy, { id: faultId }))).toBe("EBUSY");
	client.close(fd);
	expect(codeOf(() => client.call(Destroy, { id: faultId }))).toBe("EBUSY");
	guest.attach(guest.ioasId);
	client.call(Destroy, { id: hwptId });
	client.call(Destroy, { id: faultId });
});

test("the queue's file keeps the context, and closing it last leaves nothing", () => {
	const { client, device, fd } = scene();
	const heard: number[] = [];
	device.driver.pageResponse = (_device, _request, code) => heard.push(code);
	reportPageRequest(device, request());
	client.fd.release();
	expect(heard).toEqual([]);
	client.close(fd);
	expect(heard).toEqual([PageResponseCode.INVALID]);
	expect(client.fd.context.objects.size).toBe(0);
	expect(client.platform.tables.tablesInUse).toBe(0);
});

test("a HWPT can't be made with a queue that isn't there, and is then not there either", () => {
	const { guest, client, faultId } = scene();
	const before = client.fd.context.objects.size;
	const { devId } = guest.device;
	const alloc = (id: number, flags: number) =>
		codeOf(() => client.call(HwptAlloc, { devId, ptId: guest.ioasId, flags, faultId: id }));
	expect(alloc(99, HwptAllocFlags.FAULT_ID_VALID)).toBe("ENOENT");
	expect(alloc(guest.ioasId, HwptAllocFlags.FAULT_ID_VALID)).toBe("ENOENT");
	expect(alloc(faultId, HwptAllocFlags.FAULT_ID_VALID | HwptAllocFlags.NEST_PARENT)).toBe("EOPNOTSUPP");
	expect(client.fd.context.objects.size).toBe(before);
});

test("an answer that can't be written hands out no fd", () => {
	const { client } = scene();
	const files = client.files.size;
	const before = client.fd.context.objects.size;
	const bytes = encode(FaultQueueAlloc, {});
	client.memory.map(0x7100_0000, 0x1000).set(bytes);
	const readOnly = client.memory.map(0x7200_0000, 0x1000, { writable: false });
	readOnly.set(bytes);
	expect(codeOf(() => client.fd.ioctl(client, FaultQueueAlloc.number, 0x7200_0000))).toBe("EFAULT");
	expect([client.files.size, client.fd.context.objects.size]).toEqual([files, before]);
	expect(client.fd.ioctl(client, FaultQueueAlloc.number, 0x7100_0000)).toBe(0);
});
