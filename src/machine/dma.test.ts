import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { BUFFER_PAGES } from "../iommufd/client.testing.js";
import { IoasUnmap } from "../uapi/iommufd.js";
import { dmaRead, GUEST, guestPage, IOVA, nestOn, setUp } from "./nested-program.testing.js";

const machine = (name: string) => readFileSync(`machines/${name}.json`, "utf8");

test.each(["intel", "amd", "arm", "riscv"])("%s: a device reaches what an IOAS maps, as long as it does", (name) => {
	const set = setUp(machine(name));
	const { program, file, ioasId, client } = set;
	expect(dmaRead(set, guestPage(7))).toBe("fault");
	program.attach(file, ioasId);
	expect(dmaRead(set, guestPage(7))).toBe(7);
	client.call(IoasUnmap, { ioasId, iova: GUEST, length: BigInt(BUFFER_PAGES * 4096) });
	expect(dmaRead(set, guestPage(7))).toBe("fault");
	expect(set.events.map(({ kind }) => kind)).toEqual(["fault", "fault"]);
});

test.each(["intel", "amd", "arm"])(
	"%s: a DMA through both stages sees the stale entry before its invalidation, and the new one after",
	(name) => {
		const set = setUp(machine(name));
		const { hwptId, setPage, invalidate } = nestOn[name](set);
		setPage(8);
		set.program.attach(set.file, hwptId);
		expect(dmaRead(set, IOVA)).toBe(8);
		expect(set.events).toEqual([]);
		setPage(11);
		expect(dmaRead(set, IOVA)).toBe(8);
		expect(set.events[0]).toMatchObject({ kind: "stale", iova: IOVA });
		set.events.length = 0;
		invalidate();
		expect([dmaRead(set, IOVA), set.events]).toEqual([11, []]);
		set.program.detach(set.file);
		expect(dmaRead(set, IOVA)).toBe("fault");
	},
);
