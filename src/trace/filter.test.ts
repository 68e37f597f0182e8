import { describe, expect, test } from "vitest";
import { Errno } from "../uapi/errno.js";
import { Destroy, HwptAlloc, IoasMap, VfioIoas } from "../uapi/iommufd.js";
import { type AnyCommand, encode } from "../uapi/struct.js";
import { VfioDeviceBindIommufd } from "../uapi/vfio.js";
import type { TraceEvent } from "./event.js";
import { FilterError, TraceFilter } from "./filter.js";

const EINVAL = new Errno("EINVAL", "odd");

function ioctl(command: AnyCommand, values: object, more: { path?: string; result?: number | Errno } = {}): TraceEvent {
	const bytes = encode(command as typeof IoasMap, { size: command.size, ...values });
	const { path = "/dev/iommu", result = 0 } = more;
	const after = result instanceof Errno ? undefined : bytes;
	const event = {
		thread: 1,
		fd: 3,
		path,
		number: command.number,
		argument: 0x1000,
		command,
		before: bytes,
		after,
		result,
	};
	return { kind: "ioctl", event };
}

const transfer = (path: string, call = "pread64"): TraceEvent => ({
	kind: "transfer",
	event: { thread: 1, call, fd: 4, path, arguments: [], result: 4 },
});
const map = ioctl(IoasMap, { ioasId: 3 });
const failed = ioctl(IoasMap, { ioasId: 3 }, { result: EINVAL });
const destroy = ioctl(Destroy, { id: 4 });
const interrupt: TraceEvent = { kind: "interrupt", event: { device: "0000:00:02.0", message: "MSI" } };
const dma: TraceEvent = {
	kind: "dma",
	event: { kind: "fault", device: "0000:00:02.0", pasid: 0, iova: 0n, message: "no" },
};

const wanted = (text: string, ...events: TraceEvent[]) => {
	const filter = new TraceFilter(text, (name) => (name === "vfio0" ? "0000:00:02.0" : name));
	return events.map((event) => filter.wants(event));
};

describe("a filter", () => {
	test("of errors takes calls that failed, and what went wrong with devices", () => {
		expect(wanted("errors", map, failed, dma, interrupt)).toEqual([false, true, true, false]);
	});

	test("of names takes them with and without their prefix, in any case, with * and ?", () => {
		const bind = ioctl(VfioDeviceBindIommufd, {}, { path: "/dev/vfio/devices/vfio0" });
		expect(wanted("IOMMU_IOAS_*", map, destroy, bind)).toEqual([true, false, false]);
		expect(wanted("ioas_ma?,device_bind*", map, destroy, bind)).toEqual([true, false, true]);
		expect(wanted("!destroy", map, destroy, interrupt)).toEqual([true, false, true]);
		expect(wanted("*,!ioas_*", map, destroy)).toEqual([false, true]);
		expect(wanted("dma", map, dma, interrupt)).toEqual([false, true, false]);
	});

	test("of several kinds takes what all of them take", () => {
		expect(wanted("errors,ioas_map,destroy", map, failed, destroy)).toEqual([false, true, false]);
	});

	test("of an object takes the calls that name its id, and no other number", () => {
		expect(wanted("object=3", map, destroy)).toEqual([true, false]);
		expect(wanted("object=4,object=3", map, destroy)).toEqual([true, true]);
		expect(wanted("object=5", ioctl(IoasMap, { ioasId: 1, length: 5n }), ioctl(VfioIoas, { ioasId: 5 }))).toEqual([
			false,
			true,
		]);
	});

	test("of a device takes its file by either name, what it reports, and calls that name the id that it was bound to", () => {
		const bind = ioctl(VfioDeviceBindIommufd, { iommufd: 3, outDevid: 7 }, { path: "/dev/vfio/devices/vfio0" });
		const [alloc, other] = [7, 8].map((devId) => ioctl(HwptAlloc, { devId }));
		const events = [
			alloc,
			bind,
			alloc,
			other,
			transfer("[vfio-device 0000:00:02.0]"),
			transfer("/dev/vfio/devices/vfio1"),
		];
		for (const name of ["vfio0", "0000:00:02.0"])
			expect(wanted(`device=${name}`, ...events, dma)).toEqual([false, true, true, false, true, false, true]);
	});

	test.each(["", "foo=3", "device=x", "object=y", "a b", "errors,"])('"%s" is none', (text) => {
		expect(() => new TraceFilter(text)).toThrow(FilterError);
	});
});
