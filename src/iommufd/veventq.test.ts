import { expect, test } from "vitest";
import type { ReadableFile } from "../files/open-file.js";
import { PAGE_SIZE } from "../memory/address-space.js";
import { ArraySpace } from "../memory/array-space.js";
import { codeOf } from "../uapi/errno.js";
import { Destroy, VEVENTQ_MAX_DEPTH, VeventHeader, VeventqAlloc, VeventqFlags, VeventqType } from "../uapi/iommufd.js";
import { ViommuEventSelftest } from "../uapi/iommufd-test.js";
import { decode } from "../uapi/struct.js";
import { TestGuest } from "./guest.testing.js";

const HEADER = VeventHeader.size;
const EVENT = HEADER + ViommuEventSelftest.size;

/** A page of memory to read to. */
const MEMORY = 0x4000;
const reader = new ArraySpace();
const memory = reader.map(MEMORY, PAGE_SIZE);

/** A device with the number 0x99 in a guest that has a queue for its events. */
function scene(veventqDepth = 2) {
	const guest = new TestGuest();
	const { client } = guest;
	const vdeviceId = guest.addVdevice(0x99n);
	const nestedId = guest.addNested();
	guest.attach(nestedId);
	const alloc = { viommuId: guest.viommuId, type: VeventqType.SELFTEST, veventqDepth };
	const { outVeventqId: id, outVeventqFd: fd } = client.call(VeventqAlloc, alloc);
	const trigger = () => client.test("TRIGGER_VEVENT", { devId: guest.device.devId });
	return { guest, client, vdeviceId, nestedId, alloc, id, fd, queue: client.queue(fd), trigger };
}

/** What a read gives: sequence numbers, with what the event says, or "lost". */
function read(queue: ReadableFile, room = 1024): [number, number | "lost"][] {
	const bytes = memory.subarray(0, room);
	const length = queue.read(reader, MEMORY, room);
	const events: [number, number | "lost"][] = [];
	for (let at = 0; at < length; ) {
		const { flags, sequence } = decode(VeventHeader, bytes.subarray(at));
		if (flags & VeventqFlags.LOST_EVENTS) {
			events.push([sequence, "lost"]);
			at += HEADER;
		} else {
			events.push([sequence, decode(ViommuEventSelftest, bytes.subarray(at + HEADER)).virtId]);
			at += EVENT;
		}
	}
	return events;
}

test("events are numbered, and name the device as the guest knows it", () => {
	const { queue, trigger } = scene();
	expect([queue.readable, queue.writable, read(queue)]).toEqual([false, false, []]);
	trigger();
	trigger();
	expect(queue.readable).toBe(true);
	expect(read(queue)).toEqual([
		[0, 0x99],
		[1, 0x99],
	]);
	expect(queue.readable).toBe(false);
	trigger();
	expect(read(queue)).toEqual([[2, 0x99]]);
});

test("events that don't fit are lost: a header at the end says so, with the last number that was lost", () => {
	const { queue, trigger } = scene(1);
	for (let i = 0; i < 4; i++) trigger();
	expect(read(queue)).toEqual([
		[0, 0x99],
		[3, "lost"],
	]);
	expect(queue.readable).toBe(false);
});

test("an event after lost ones takes the place of the header: the gap in the numbers says enough", () => {
	const { queue, trigger } = scene(1);
	for (let i = 0; i < 3; i++) trigger();
	expect(read(queue, EVENT)).toEqual([[0, 0x99]]);
	trigger();
	expect(read(queue)).toEqual([[3, 0x99]]);
});

test("a header of lost events that doesn't fit in a read waits for the next one", () => {
	const { queue, trigger } = scene(1);
	trigger();
	trigger();
	expect(read(queue, EVENT + HEADER - 1)).toEqual([[0, 0x99]]);
	expect(queue.readable).toBe(true);
	expect(read(queue, HEADER)).toEqual([[1, "lost"]]);
});

test("a read gives whole events, and is EINVAL where not one fits", () => {
	const { queue, trigger } = scene();
	expect(codeOf(() => read(queue, HEADER - 1))).toBe("EINVAL");
	expect(read(queue, HEADER)).toEqual([]);
	trigger();
	trigger();
	expect(codeOf(() => read(queue, EVENT - 1))).toBe("EINVAL");
	expect(read(queue, 2 * EVENT - 1)).toEqual([[0, 0x99]]);
	expect(read(queue)).toEqual([[1, 0x99]]);
});

test("events that can't be copied stay in the queue", () => {
	const { queue, trigger } = scene(2);
	for (let i = 0; i < 3; i++) trigger();
	const end = MEMORY + PAGE_SIZE;
	expect(codeOf(() => queue.read(reader, end - HEADER, 1024))).toBe("EFAULT");
	expect(queue.read(reader, end - EVENT, 1024)).toBe(EVENT);
	expect(queue.read(reader, end - EVENT, 1024)).toBe(EVENT);
	expect(codeOf(() => queue.read(reader, end, 1024))).toBe("EFAULT");
	expect(queue.readable).toBe(true);
	expect(read(queue)).toEqual([[2, "lost"]]);
});

test("events take no answer", () => {
	const { queue } = scene();
	expect(codeOf(() => queue.write(reader, MEMORY, 8))).toBe("EINVAL");
	expect(codeOf(() => queue.ioctl(new TestGuest().client, 0, 0))).toBe("ENOTTY");
});

test("who waits is told when there is something to read, and when there is nothing left", () => {
	const { queue, trigger } = scene();
	const seen: boolean[] = [];
	queue.onReadableChange = () => seen.push(queue.readable);
	trigger();
	trigger();
	read(queue, EVENT);
	read(queue);
	expect(seen).toEqual([true, false]);
});

test("a device has events only as long as it is attached to a nested HWPT of the vIOMMU", () => {
	const { guest, client, vdeviceId, nestedId, queue, trigger } = scene();
	// Without its vDEVICE it still has the number that it was attached with.
	client.call(Destroy, { id: vdeviceId });
	trigger();
	expect(read(queue)).toEqual([[0, 0x99]]);
	guest.attach(guest.ioasId);
	expect(codeOf(trigger)).toBe("ENOENT");
	expect(codeOf(() => guest.attach(nestedId))).toBe("ENOENT");
	guest.addVdevice(5n);
	guest.attach(nestedId);
	trigger();
	expect(read(queue)).toEqual([[1, 5]]);
});

test("without a queue for its type an event is EOPNOTSUPP", () => {
	const { client, id, fd, trigger } = scene();
	expect(codeOf(() => client.call(Destroy, { id }))).toBe("EBUSY");
	client.close(fd);
	trigger();
	client.call(Destroy, { id });
	expect(codeOf(trigger)).toBe("EOPNOTSUPP");
});

test("a vIOMMU has one queue of a type, and is in use as long as it has one", () => {
	const { guest, client, alloc, id } = scene();
	expect(codeOf(() => client.call(VeventqAlloc, alloc))).toBe("EEXIST");
	expect(client.call(VeventqAlloc, { ...alloc, type: VeventqType.ARM_SMMUV3 }).outVeventqId).toBeGreaterThan(id);
	expect(codeOf(() => client.call(Destroy, { id: guest.viommuId }))).toBe("EBUSY");
});

test("a queue that can't be is refused, and leaves nothing", () => {
	const { guest, client, alloc, fd, id } = scene();
	client.close(fd);
	client.call(Destroy, { id });
	const before = [client.fd.context.objects.size, client.files.size];
	const refused = (changes: object) => codeOf(() => client.call(VeventqAlloc, { ...alloc, ...changes }));
	expect(refused({ type: VeventqType.DEFAULT, veventqDepth: 0 })).toBe("EOPNOTSUPP");
	expect(refused({ flags: 1 })).toBe("EOPNOTSUPP");
	expect(refused({ reserved: 1 })).toBe("EOPNOTSUPP");
	expect(refused({ veventqDepth: 0, viommuId: 99 })).toBe("EINVAL");
	expect(refused({ veventqDepth: VEVENTQ_MAX_DEPTH + 1 })).toBe("EINVAL");
	expect(refused({ viommuId: guest.parentId })).toBe("ENOENT");
	expect([client.fd.context.objects.size, client.files.size]).toEqual(before);
	expect(refused({ veventqDepth: VEVENTQ_MAX_DEPTH })).toBe("ok");
});
