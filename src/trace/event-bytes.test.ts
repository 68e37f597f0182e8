import { expect, test } from "vitest";
import { Errno } from "../uapi/errno.js";
import { commandOf } from "./commands.js";
import type { TraceEvent } from "./event.js";
import { EventReader, EventWriter, type Printed } from "./event-bytes.js";

const path = "/dev/iommu";
const call = { thread: 4711, fd: 7, path, number: 0x3b81, argument: 0x7ffc_0010, command: commandOf(path, 0x3b81) };
const struct = Uint8Array.of(12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
const transfer = {
	thread: 1,
	call: "pread64",
	fd: 3,
	path: "/dev/vfio/devices/vfio0",
	arguments: [0x1000, 4, 2 ** 41],
};

const events: readonly TraceEvent[] = [
	{ kind: "ioctl", event: { ...call, before: struct, after: struct.with(8, 1), result: 0 } },
	{
		kind: "ioctl",
		event: { ...call, before: undefined, after: undefined, result: new Errno("EFAULT", "no struct", "struct-pointer") },
	},
	{ kind: "open", event: { thread: 2, path: "/dev/\u{1f600}", flags: 0o2000002, result: 3 } },
	{ kind: "open", event: { thread: 2, path, flags: 2, result: new Errno("EMFILE", "too many") } },
	{ kind: "transfer", event: { ...transfer, result: 4 } },
	{ kind: "transfer", event: { ...transfer, call: "mmap", fd: -1, result: undefined } },
	{
		kind: "transfer",
		event: {
			...transfer,
			result: 4,
			access: { place: "BAR0+0x8", length: 4, isWrite: false, bytes: Uint8Array.of(1, 2, 3, 4) },
		},
	},
	{
		kind: "dma",
		event: { kind: "stale", device: "0000:00:02.0", pasid: 1, iova: 0xffff_ffff_ffff_f000n, message: "it is old" },
	},
	{ kind: "interrupt", event: { device: "0000:00:02.0", message: "lost" } },
	{ kind: "device", event: { device: "0000:00:02.0", message: "no such command" } },
	{ kind: "note", event: { message: "n" } },
];

test("what was told is read, in its order, with its times and what stands between", () => {
	const reader = new EventReader();
	const read: Printed[] = [];
	const writer = new EventWriter((bytes, length) => read.push(reader.read(bytes.slice(0, length))));
	const timings = events.map((_, i) => ({
		at: 1_795_765_409_754.25 + i,
		seconds: i % 2 === 0 ? 0.000_017 : undefined,
	}));
	for (const [i, event] of events.entries()) writer.event(event, timings[i]);
	writer.text("IOVA 0x1000\n  is nothing");
	expect(read).toEqual([
		...events.map((event, i) => ({ event, timing: timings[i] })),
		{ text: "IOVA 0x1000\n  is nothing" },
	]);
});
