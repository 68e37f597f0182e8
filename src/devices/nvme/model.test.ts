import * as v from "valibot";
import { describe, expect, test } from "vitest";
import { MemoryStore } from "../block-store.js";
import { TestPort } from "../port.testing.js";
import { TestDriver } from "./driver.testing.js";
import { Cns, IdentifyNamespace } from "./identify.js";
import { nvme } from "./model.js";

const parse = (options: Record<string, unknown>) => v.parse(nvme.options, options);
/** The option that is wrong, and why. */
function problem(options: Record<string, unknown>): string {
	const { issues } = v.safeParse(nvme.options, options);
	return `${v.getDotPath(issues![0])}: ${issues![0].message}`;
}

function blocksOf(options: Record<string, unknown>, files = {}): number[] {
	const driver = new TestDriver({ options, files });
	driver.enable();
	const ids = [...new Uint32Array(driver.identify(Cns.ACTIVE_NAMESPACES).slice().buffer)].filter((id) => id !== 0);
	return ids.map((id) => IdentifyNamespace.number(driver.identify(Cns.NAMESPACE, id), "NSZE"));
}

test("without options it is 64 MiB of memory", () => {
	expect(blocksOf({})).toEqual([131072]);
});

test("each size and each file is a namespace", () => {
	expect(blocksOf({ size: "1M:2M", lba: "4096" })).toEqual([256, 512]);
	expect(blocksOf({ size: [4096, "8K"] })).toEqual([8, 16]);
	const files = { "a.img": new MemoryStore(5000), "b.img": new MemoryStore(1024) };
	expect(blocksOf({ file: "a.img:b.img" }, files)).toEqual([9, 2]);
	expect(blocksOf({ file: ["a.img"] }, files)).toEqual([9]);
});

test("a file is opened as one may write it, or not", () => {
	const opened: [string, boolean][] = [];
	for (const options of [{ file: "a" }, { file: "a", readonly: "" }])
		nvme.create(new TestPort(), parse(options), {
			address: "0000:01:00.0",
			openBlocks(path, isReadOnly) {
				opened.push([path, isReadOnly]);
				return new MemoryStore(4096);
			},
			wire: () => {
				throw new Error("no wire");
			},
			now: () => 0n,
			gone: () => {},
		});
	expect(opened).toEqual([
		["a", false],
		["a", true],
	]);
});

test("the files that could be opened are closed when one can't be, or is too small", () => {
	let open = 0;
	const create = (second: () => MemoryStore) =>
		nvme.create(new TestPort(), parse({ file: "a:b" }), {
			address: "0000:01:00.0",
			openBlocks(path) {
				const store = path === "a" ? new MemoryStore(4096) : second();
				open++;
				store.close = () => open--;
				return store;
			},
			wire: () => {
				throw new Error("no wire");
			},
			now: () => 0n,
			gone: () => {},
		});
	const none = () => {
		throw new Error("b can't be opened: ENOENT");
	};
	expect(() => create(none)).toThrow("b can't be opened: ENOENT");
	expect(() => create(() => new MemoryStore(100))).toThrow("file b: 100 bytes are less than a block, which has 512");
	expect(open).toBe(0);
});

test("whether its files can be had is found before it is made, and they are closed again", () => {
	let open = 0;
	const host = {
		address: "0000:01:00.0",
		openBlocks(path: string) {
			if (path === "missing") throw new Error("missing can't be opened: ENOENT");
			open++;
			return Object.assign(new MemoryStore(path === "small" ? 100 : 4096), { close: () => open-- });
		},
		wire: () => {
			throw new Error("no wire");
		},
		now: () => 0n,
		gone: () => {},
	};
	const check = (options: Record<string, unknown>) => nvme.check!(parse(options), host);
	check({});
	check({ file: "a:b" });
	expect(() => check({ file: "a:missing" })).toThrow("missing can't be opened: ENOENT");
	expect(() => check({ file: "small" })).toThrow("file small: 100 bytes are less than a block, which has 512");
	expect(open).toBe(0);
});

test.each([
	[{ size: "1Q" }, 'size.0: "1Q" is no size: write it as 4096, 64K, 512M, 1G or 1T'],
	[{ size: "1M", file: "a" }, "size: a disk has a file or a size, not both"],
	[{ file: "" }, "file.0: a file's path is expected here"],
	[{ readonly: "" }, "readonly: only a file can be read-only: memory would be all zeroes"],
	[{ file: "a", readonly: "maybe" }, 'readonly: "maybe" is neither on nor off'],
	[{ lba: "1024" }, "lba: blocks have 512 or 4096 bytes"],
	[{ lba: "256" }, 'lba: "256" is no number from 512 to 4096'],
	[{ serial: "" }, "serial: a serial number has 1 to 20 characters of ASCII"],
	[{ serial: "x".repeat(21) }, "serial: a serial number has 1 to 20 characters of ASCII"],
	[{ queues: "0" }, 'queues: "0" is no number from 1 to 1024'],
	[{ stride: "12" }, "stride: a doorbell's stride is a power of two from 4 on"],
	[{ cmb: "5K" }, "cmb: the Controller Memory Buffer has a power of two of bytes, from 4K to 1G, or 0"],
	[{ size: "1K:".repeat(64).concat("1K") }, "size: at most 64 values are expected here"],
])("a wrong option is named: %j", (options, message) => {
	expect(problem(options)).toBe(message);
});

test("an option that isn't there is an error", () => {
	expect(problem({ speed: "9" })).toContain("speed");
});

describe("BAR 0", () => {
	test("is laid out as the machines that ship have it", () => {
		expect(nvme.identity(parse({}))).toMatchObject({
			bars: [{ index: 0, size: 16384, space: "memory64" }],
			msix: { vectors: 65, bar: 0, tableOffset: 8192, pendingOffset: 12288 },
		});
		expect(nvme.pages!(parse({}))).toEqual([{ bar: 0, offset: 4096, length: 4096, kind: "doorbell" }]);
	});

	test.each([
		[{ queues: 1 }, 4096, 2, 16384],
		[{ queues: 1024, stride: 4 }, 3 * 4096, 1025, 65536],
		[{ queues: 64, stride: 1024 }, 33 * 4096, 65, 262144],
	])("has room for all doorbells and vectors of %j", (options, doorbells, vectors, size) => {
		const { bars, msix } = nvme.identity(parse(options));
		expect([bars[0].size, msix?.vectors]).toEqual([size, vectors]);
		expect(nvme.pages!(parse(options))[0].length).toBe(doorbells);
		expect(msix!.tableOffset).toBe(4096 + doorbells);
		expect(msix!.pendingOffset).toBeGreaterThanOrEqual(msix!.tableOffset + 16 * vectors);
		expect(size).toBeGreaterThanOrEqual(msix!.pendingOffset + 8 * Math.ceil(vectors / 64));
	});

	test("serves its last queue", () => {
		const driver = new TestDriver({ options: { queues: 3, stride: 1024 } });
		driver.enable();
		driver.createQueues(3, 4, { vector: 3, interrupts: true });
		driver.port.interrupts.length = 0;
		driver.do(3, { opcode: 0, namespace: 1 });
		expect(driver.port.interrupts).toEqual([3]);
	});
});

test("a Controller Memory Buffer is BAR 2, plain memory", () => {
	const options = parse({ cmb: "64K" });
	expect(nvme.identity(options).bars[1]).toEqual({ index: 2, size: 65536, space: "memory64", prefetchable: true });
	expect(nvme.pages!(options)[1]).toEqual({ bar: 2, offset: 0, length: 65536, kind: "memory" });
});
