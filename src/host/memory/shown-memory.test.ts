// What a client sees when it maps a part of one of our files, and who knows when it doesn't any more.

import { afterAll, beforeAll, expect, test } from "vitest";
import { asClient, buildHarness } from "../testing/harness.testing.js";
import type { Files, Region } from "../testing/questions.testing.js";

const ENXIO = -6;
const EPERM = -1;
const EACCES = -13;
const EINVAL = -22;

let cleanUp: () => void;
beforeAll(async () => {
	cleanUp = await buildHarness();
});
afterAll(() => cleanUp());

test("a mapping shows what the device has there, and the device sees what is written to it", async () => {
	const { answer } = await asClient((client) => {
		const { ask, mmap, memoryAt } = client;
		const fd = client.open("/dev/iommu", client.O_RDWR);
		const offset = ask<number>(fd, { what: "add region", text: "register" });
		const memory = memoryAt(mmap(8192, 3, client.MAP_SHARED, fd, offset), 8192);
		const before = memory.toString("latin1", 0, 8);
		memory.write("program!");
		const device = ask<Region>(fd, { what: "region" });
		return { before, device, after: memory.toString("latin1", 0, 14) };
	});
	expect(answer.before).toBe("register");
	expect(answer.device).toEqual({ mappings: 1, text: "program!" });
	expect(answer.after).toBe("program!device");
});

test("what can't be mapped is refused as Linux does it", async () => {
	const { answer } = await asClient((client) => {
		const { ask, mmap, MAP_SHARED } = client;
		const fd = client.open("/dev/iommu", client.O_RDWR);
		const readOnly = client.open("/dev/iommu", client.O_RDONLY);
		for (const each of [readOnly, fd]) ask(each, { what: "add region", text: "register" });
		const refused = [mmap(8192, 3, MAP_SHARED, fd, 8192), mmap(4096, 3, MAP_SHARED, fd, 4096)];
		refused.push(mmap(8192, 7, MAP_SHARED, fd, 4096), mmap(8192, 3, MAP_SHARED, readOnly, 4096));
		refused.push(mmap(8192, 3, MAP_SHARED, fd, 100), mmap(0, 3, MAP_SHARED, fd, 4096));
		return { refused, rounded: mmap(8000, 1, MAP_SHARED, fd, 4096) > 0, region: ask<Region>(fd, { what: "region" }) };
	});
	expect(answer.refused).toEqual([ENXIO, ENXIO, EPERM, EACCES, EINVAL, EINVAL]);
	expect(answer.rounded).toBe(true);
	expect(answer.region.mappings).toBe(1);
});

test("a region is in use until the last munmap, in this process and in its children", async () => {
	const { answer } = await asClient((client) => {
		const { ask, mmap, munmap, inChild } = client;
		const fd = client.open("/dev/iommu", client.O_RDWR);
		const copy = client.dup(fd);
		const offset = ask<number>(fd, { what: "add region", text: "register" });
		const mapped = () => ask<Region>(fd, { what: "region" }).mappings;
		const first = mmap(8192, 3, client.MAP_SHARED, fd, offset);
		const second = mmap(8192, 3, client.MAP_SHARED, copy, offset);
		munmap(first, 4096);
		const seen = [mapped()];
		munmap(first + 4096, 4096);
		munmap(second, 8192);
		seen.push(mapped());
		inChild(({ mmap }) => mmap(8192, 3, 1, 3, 4096), null, ["ignore", "pipe", "inherit", fd]);
		seen.push(mapped());
		return { seen, flags: client.fcntl(fd, 1, 0), works: ask<{ file: number }>(fd, { what: "who" }).file };
	});
	expect(answer).toEqual({ seen: [2, 0, 0], flags: 0, works: 1 });
});

test("a file of which something is mapped is released with the last mapping", async () => {
	const { answer, outcome } = await asClient((client) => {
		const { ask, mmap, munmap, close } = client;
		const watcher = client.open("/dev/iommu", client.O_RDWR);
		const fd = client.open("/dev/iommu", client.O_RDWR);
		const offset = ask<number>(fd, { what: "add region", text: "register" });
		const address = mmap(8192, 3, client.MAP_SHARED, fd, offset);
		close(fd);
		const mapped = ask<Files>(watcher, { what: "settle" });
		const region = ask<Region>(watcher, { what: "region" });
		munmap(address, 8192);
		const after = ask<Files>(watcher, { what: "settle" });
		return { mapped, region, after, home: ask<Region>(watcher, { what: "region" }) };
	});
	expect(answer.mapped.open).toEqual([1, 2]);
	expect(answer.region).toEqual({ mappings: 1, text: "register" });
	expect(answer.after).toEqual({ open: [1], released: [2] });
	expect(answer.home).toEqual({ mappings: 0, text: "register" });
	expect(outcome.report).toMatchObject({ leftovers: [], stillOpen: [] });
});
