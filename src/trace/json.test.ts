import { expect, test } from "vitest";
import { Errno } from "../uapi/errno.js";
import { hints } from "../uapi/hints.js";
import { IoasMap } from "../uapi/iommufd.js";
import { encode } from "../uapi/struct.js";
import type { TraceEvent } from "./event.js";
import { jsonOf } from "./json.js";

const timing = { at: 1_700_000_000_123.456, seconds: 0.0000125 };
const json = (event: TraceEvent) => JSON.parse(jsonOf(event, timing));

const before = encode(IoasMap, {
	size: IoasMap.size,
	flags: 6,
	ioasId: 1,
	userVa: 0x7f00_1000n,
	length: 4096n,
	iova: 0n,
});
const after = encode(IoasMap, {
	size: IoasMap.size,
	flags: 6,
	ioasId: 1,
	userVa: 0x7f00_1000n,
	length: 4096n,
	iova: 1n << 60n,
});
const call = { thread: 9, fd: 3, path: "/dev/iommu", number: IoasMap.number, argument: 0x10, command: IoasMap };

test("a call has what was given and answered by the names in C: flags as a list, addresses as strings, lengths as numbers", () => {
	expect(json({ kind: "ioctl", event: { ...call, before, after, result: 0 } })).toEqual({
		time: "2023-11-14T22:13:20.123456Z",
		seconds: 0.0000125,
		event: "call",
		call: "ioctl",
		thread: 9,
		fd: 3,
		path: "/dev/iommu",
		command: "IOMMU_IOAS_MAP",
		in: { flags: ["WRITEABLE", "READABLE"], ioas_id: 1, user_va: "0x7f001000", length: 4096, iova: "0x0" },
		result: 0,
		out: { iova: "0x1000000000000000" },
	});
});

test("a call that failed has errno, reason and what to do instead of a result", () => {
	const result = new Errno("EINVAL", "odd\x1b", "alignment");
	const line = jsonOf({ kind: "ioctl", event: { ...call, before, after: undefined, result } }, timing);
	expect([line.includes("\n"), line.includes("\x1b")]).toEqual([false, false]);
	const { errno, reason, hint, advice, out, result: none } = JSON.parse(line);
	expect({ errno, reason, hint, advice }).toEqual({
		errno: "EINVAL",
		reason: "odd\x1b",
		hint: "alignment",
		advice: hints.alignment.advice,
	});
	expect([out, none]).toEqual([undefined, undefined]);
});

test("a register has its place and value, and what devices report is an event of its own kind", () => {
	const access = { place: "BAR0+0x8", length: 4, isWrite: false, bytes: Uint8Array.of(1, 2, 3, 4) };
	const event = {
		thread: 9,
		call: "pread64",
		fd: 4,
		path: "/dev/vfio/devices/vfio0",
		arguments: [],
		result: 4,
		access,
	};
	expect(json({ kind: "transfer", event })).toMatchObject({
		place: "BAR0+0x8",
		length: 4,
		value: "0x04030201",
		result: 4,
	});
	const fault = { kind: "fault", device: "0000:00:02.0", pasid: 0, iova: 4096n, message: "no" } as const;
	expect(json({ kind: "dma", event: fault })).toMatchObject({
		event: "dma",
		kind: "fault",
		iova: "0x1000",
		message: "no",
	});
	expect(json({ kind: "note", event: { message: "lost" } })).toMatchObject({ event: "note", message: "lost" });
});
