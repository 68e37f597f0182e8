import fc from "fast-check";
import { expect, test } from "vitest";
import type { PagingDomain } from "../../iommu/core/iommu.js";
import { ArrayBacking } from "../../memory/array-space.js";
import { pageOf } from "../../memory/page-number.js";
import { codeOf } from "../../uapi/errno.js";
import { encode } from "../../uapi/struct.js";
import {
	VfioBitmap,
	VfioDirtyPagesFlags,
	VfioDmaMapFlags,
	VfioDmaUnmapFlags,
	VfioExtension,
	VfioIommuDirtyPages,
	VfioIommuGetInfo,
	VfioIommuMapDma,
	VfioIommuType1DirtyBitmapGet,
	VfioIommuType1InfoDmaAvail,
	VfioIommuUnmapDma,
} from "../../uapi/vfio.js";
import { BUFFER, ContainerProgram } from "../container.testing.js";
import type { Place } from "../hardware.testing.js";

const { READ, WRITE, VADDR } = VfioDmaMapFlags;
const { GET_DIRTY_BITMAP, ALL } = VfioDmaUnmapFlags;
const RW = READ | WRITE;
const { TYPE1_IOMMU, TYPE1v2_IOMMU } = VfioExtension;

/** Where the memory is read-only, a device's, and where bitmaps are. */
const READ_ONLY = 0x3000_0000;
const REGISTERS = 0x4000_0000;
const BITMAP = 0x5000_0000;
const IOVA = 0x10_0000n;

/** What QEMU's intel-iommu says of itself, with addresses of 48 bits and of 39. */
const QEMU_48 = [0xd2008c222f0686n, 0x480080f00f4an] as const;
const QEMU_39 = [0xd2008c22260286n, 0xf00f4an] as const;

class Registers extends ArrayBacking {
	readonly isDeviceMemory = true;
}

/** A program whose device is in a container. */
function scene(type: number = TYPE1v2_IOMMU) {
	const program = new ContainerProgram();
	const { memory, platform } = program.client;
	memory.map(READ_ONLY, 4 * 4096, { writable: false });
	memory.map(REGISTERS, 4 * 4096, { backing: new Registers("BAR 0", new Uint8Array(4 * 4096)) });
	memory.map(BITMAP, 4096);
	const device = program.addDevice();
	const container = program.containerOf(device, type);
	const dma = (flags: number, vaddr: number | bigint, iova: bigint, size: bigint) =>
		codeOf(() => program.call(container, VfioIommuMapDma, { flags, vaddr: BigInt(vaddr), iova, size }));
	const unmap = (iova: bigint, size: bigint, flags = 0) => {
		let unmapped = 0n;
		const code = codeOf(() => {
			unmapped = program.call(container, VfioIommuUnmapDma, { flags, iova, size }).size;
		});
		return code === "ok" ? unmapped : code;
	};
	const dirty = (flags: number, behind?: Uint8Array, argsz?: number) =>
		codeOf(() =>
			program.call(
				container,
				VfioIommuDirtyPages,
				{ flags, argsz: argsz ?? VfioIommuDirtyPages.size + (behind?.length ?? 0) },
				behind,
			),
		);
	/** Which frame a page of IOVA leads to; -1 where nothing is mapped. */
	const frameAt = (page: number) => {
		const { table } = device.device.group.attachment(0)!.domain as unknown as {
			table: { translate(page: number): number };
		};
		return table.translate(page);
	};
	const available = () => {
		const bytes = infoOf(program, container, 512);
		return capability(bytes, 3)?.getUint32(8, true);
	};
	const locked = () => platform.memlock.shown(memory).locked;
	return { program, platform, memory, device, container, dma, unmap, dirty, frameAt, available, locked };
}

/** GET_INFO's struct and what follows it. */
function infoOf(program: ContainerProgram, container: number, argsz: number): Uint8Array {
	const bytes = new Uint8Array(Math.max(argsz, VfioIommuGetInfo.size));
	const view = program.call(container, VfioIommuGetInfo, { argsz });
	bytes.set(view.bytes);
	bytes.set(program.behind(VfioIommuGetInfo, bytes.length - VfioIommuGetInfo.size), VfioIommuGetInfo.size);
	return bytes;
}

function capability(bytes: Uint8Array, id: number): DataView | undefined {
	const view = new DataView(bytes.buffer);
	for (let at = view.getUint32(16, true); at !== 0; at = view.getUint32(at + 4, true))
		if (view.getUint16(at, true) === id) return new DataView(bytes.buffer, at);
	return undefined;
}

test("GET_INFO has all capabilities, or says how long the answer is", () => {
	const { program, container } = scene();
	const whole = infoOf(program, container, 512);
	const view = new DataView(whole.buffer);
	const ids = [];
	for (let at = view.getUint32(16, true); at !== 0; at = view.getUint32(at + 4, true))
		ids.push(view.getUint16(at, true));
	expect(ids).toEqual([2, 3, 1]); // migration, what is available, ranges of IOVA
	expect(view.getUint32(4, true)).toBe(3);
	expect(capability(whole, 2)?.getBigUint64(16, true)).toBe(4096n);
	expect(capability(whole, 2)?.getBigUint64(24, true)).toBe(1n << 28n);
	expect(capability(whole, 3)?.getUint32(8, true)).toBe(65535);
	const ranges = capability(whole, 1)!;
	// Below and beyond VT-d's window of interrupts.
	expect(ranges.getUint32(8, true)).toBe(2);
	expect([0, 1, 2].map((i) => ranges.getBigUint64(16 + 8 * i, true))).toEqual([0n, 0xfedf_ffffn, 0xfef0_0000n]);

	const size = 24 + 32 + VfioIommuType1InfoDmaAvail.size + 4 + 16 + 32;
	const short = program.call(container, VfioIommuGetInfo, { argsz: size - 1 });
	expect([short.argsz, short.flags, short.capOffset]).toEqual([size, 3, 0]);
	expect(program.call(container, VfioIommuGetInfo, { argsz: size }).capOffset).toBe(24);
	expect(program.call(container, VfioIommuGetInfo, { argsz: 16 }).argsz).toBe(size);
	expect(codeOf(() => program.call(container, VfioIommuGetInfo, { argsz: 15 }))).toBe("EINVAL");
});

test("what can't be mapped is refused in the order in which Linux looks", () => {
	const { dma, available } = scene();
	expect(dma(RW, BUFFER, IOVA, 0n)).toBe("EINVAL");
	expect(dma(0, BUFFER, (1n << 64n) - 4096n, 8192n)).toBe("EOVERFLOW");
	expect(dma(0, (1n << 64n) - 4096n, IOVA, 8192n)).toBe("EOVERFLOW");
	expect(dma(RW, BUFFER, (1n << 64n) - 8192n, 8192n)).toBe("EINVAL"); // beyond the IOMMU's, and no more
	expect(dma(8, BUFFER, IOVA, 4096n)).toBe("EINVAL");
	expect(dma(0, BUFFER, IOVA, 4096n)).toBe("EINVAL");
	expect(dma(RW | VADDR, BUFFER, IOVA, 4096n)).toBe("EINVAL");
	expect(dma(RW, BUFFER + 1, IOVA, 4096n)).toBe("EINVAL");
	expect(dma(RW, BUFFER, IOVA, 4095n)).toBe("EINVAL");
	expect(dma(RW, BUFFER, 0xfee0_0000n, 4096n)).toBe("EINVAL");
	expect(dma(RW, BUFFER, 1n << 60n, 4096n)).toBe("EINVAL");
	expect(dma(RW, 0x1234_0000, IOVA, 4096n)).toBe("EFAULT");
	expect(dma(RW, 0x7fff_ffff_f000, IOVA, 4096n)).toBe("EFAULT");
	expect(dma(RW, READ_ONLY, IOVA, 4096n)).toBe("EFAULT");
	expect(dma(READ, READ_ONLY, IOVA, 4096n)).toBe("ok");
	expect(dma(RW, 0x1234_0000, IOVA, 4096n)).toBe("EEXIST");
	expect(available()).toBe(65534);
});

test("a container has 65535 mappings at most", () => {
	const { program, container, dma, unmap, available } = scene();
	// As a program does it that reuses its struct: call() takes long for so many.
	const view = VfioIommuMapDma.newView();
	Object.assign(view, { argsz: view.bytes.length, flags: READ, vaddr: BigInt(BUFFER), size: 4096n });
	for (let i = 0; i < 65535; i++) {
		view.iova = BigInt(i) * 4096n;
		program.client.memory.write(BITMAP, view.bytes);
		program.plain(container, VfioIommuMapDma.number, BITMAP);
	}
	expect([available(), dma(READ, BUFFER, 1n << 40n, 4096n)]).toEqual([0, "ENOSPC"]);
	expect([unmap(0n, 4096n), dma(READ, BUFFER, 1n << 40n, 4096n)]).toEqual([4096n, "ok"]);
	expect([unmap(0n, 0n, ALL), available()]).toEqual([65535n * 4096n, 65535]);
});

test("each mapping is charged to the process, also that of one without a limit; a device's registers aren't", () => {
	const { program, platform, dma, unmap, locked } = scene();
	const { client } = program;
	client.memlockLimit = 3 * 4096;
	expect([dma(RW, BUFFER, IOVA, 4n * 4096n), locked()]).toEqual(["ok", 4]); // CAP_IPC_LOCK
	client.capabilities.delete("CAP_IPC_LOCK");
	expect(dma(RW, BUFFER, 0n, 4096n)).toBe("ENOMEM");
	unmap(IOVA, 4n * 4096n);
	expect([dma(RW, BUFFER, IOVA, 2n * 4096n), dma(RW, BUFFER, 0n, 4096n), locked()]).toEqual(["ok", "ok", 3]);
	expect([dma(RW, REGISTERS, 2n * IOVA, 4n * 4096n), locked(), platform.frames.pinned]).toEqual(["ok", 3, 7]);
	// Sixteen pages are there, and then none: which comes first decides.
	expect(dma(RW, BUFFER, 3n * IOVA, 17n * 4096n)).toBe("ENOMEM");
	client.memlockLimit = 40 * 4096;
	expect([dma(RW, BUFFER, 3n * IOVA, 17n * 4096n), locked()]).toEqual(["EFAULT", 3]);
	expect(platform.memlock.shown(client.memory).pinned).toBe(0);
});

test("the first version unmaps a mapping by its beginning, the second by nothing but all of it", () => {
	for (const [type, cut] of [
		[TYPE1_IOMMU, 0n],
		[TYPE1v2_IOMMU, "EINVAL"],
	] as const) {
		const { dma, unmap } = scene(type);
		dma(RW, BUFFER, IOVA, 4n * 4096n);
		dma(RW, BUFFER, IOVA + 8n * 4096n, 4n * 4096n);
		expect(unmap(IOVA + 4096n, 4096n)).toBe(cut);
		expect(unmap(IOVA + 4096n, 16n * 4096n)).toBe(cut);
		expect(unmap(IOVA, 4096n)).toBe(type === TYPE1_IOMMU ? 4n * 4096n : "EINVAL");
		expect(unmap(0n, IOVA)).toBe(0n);
		expect(unmap(0n, 1n << 40n)).toBe(type === TYPE1_IOMMU ? 4n * 4096n : 8n * 4096n);
	}
});

test("a mapping's memory can go over to another address, and to another process", () => {
	const { program, container, dma, unmap, locked, frameAt } = scene();
	const { memory } = program.client;
	dma(RW, BUFFER, IOVA, 2n * 4096n);
	const frame = frameAt(pageOf(IOVA));
	expect(dma(VADDR, BUFFER, 0n, 4096n)).toBe("ENOENT");
	expect(dma(VADDR, BUFFER, IOVA, 2n * 4096n)).toBe("EINVAL");
	expect(unmap(IOVA, 2n * 4096n, VfioDmaUnmapFlags.VADDR)).toBe(2n * 4096n);
	expect(unmap(IOVA, 2n * 4096n, VfioDmaUnmapFlags.VADDR)).toBe("EINVAL");
	expect(dma(VADDR, BUFFER, IOVA, 4096n)).toBe("EINVAL");
	// A group can't come meanwhile.
	const other = program.openGroup(program.addDevice());
	expect(codeOf(() => program.setContainer(other, container))).toBe("EBUSY");
	expect(dma(VADDR, BUFFER + 4096, IOVA, 2n * 4096n)).toBe("ok");
	expect([frameAt(pageOf(IOVA)), locked()]).toEqual([frame, 2]);
	expect(codeOf(() => program.setContainer(other, container))).toBe("ok");
	expect([unmap(IOVA, 2n * 4096n), memory.name]).toEqual([2n * 4096n, "test client"]);
});

test("groups share a domain, and what is mapped goes with the last of them", () => {
	const { program, platform, device, container, dma } = scene();
	dma(RW, BUFFER, IOVA, 4096n);
	const second = program.addDevice();
	const group = program.openGroup(second);
	program.setContainer(group, container);
	const domainOf = ({ device: { group: iommuGroup } }: typeof device) => iommuGroup.attachment(0)?.domain;
	expect(domainOf(second)).toBe(domainOf(device));
	program.unsetContainer(group);
	expect([domainOf(second), platform.frames.pinned]).toEqual([undefined, 1]);
	program.setContainer(group, container);
	for (const [fd, found] of program.client.files)
		if (found.kind === "ours" && found.file.path === "/dev/vfio/0") program.close(fd);
	expect([domainOf(device), platform.frames.pinned]).toEqual([undefined, 1]);
	program.close(group);
	expect(platform.frames.pinned).toBe(0);
	// The container is as new.
	expect(codeOf(() => program.call(container, VfioIommuGetInfo, {}))).toBe("EINVAL");
});

/** Adds a group of its own to a container; returns its device, its fd and what came of it. */
function joined({ program, container }: ReturnType<typeof scene>, place: Place) {
	const device = program.addDevice(undefined, {}, undefined, undefined, place);
	const fd = program.openGroup(device);
	const code = codeOf(() => program.setContainer(fd, container));
	return { device, code, leave: () => program.unsetContainer(fd) };
}

test("a group whose IOMMU differs has a domain of its own, which shows all mappings, and the others keep them", () => {
	const on = scene();
	const { device, platform, dma, unmap, frameAt } = on;
	dma(RW, BUFFER, IOVA, 8192n);
	const other = joined(on, { unit: [QEMU_48[0], QEMU_48[1]] });
	expect(other.code).toBe("ok");
	const { domain } = other.device.device.group.attachment(0)! as unknown as {
		domain: { table: { translate(page: number): number } };
	};
	expect(domain).not.toBe(device.device.group.attachment(0)!.domain);
	expect(domain.table.translate(pageOf(IOVA) + 1)).toBe(frameAt(pageOf(IOVA) + 1));
	expect(domain.table.translate(pageOf(IOVA) + 2)).toBe(-1);
	expect(dma(RW, BUFFER, 2n * IOVA, 4096n)).toBe("ok");
	expect(domain.table.translate(pageOf(2n * IOVA))).toBe(frameAt(pageOf(2n * IOVA)));
	other.leave();
	expect([frameAt(pageOf(IOVA)) >= 0, platform.frames.pinned]).toEqual([true, 3]);
	expect(unmap(IOVA, 8192n)).toBe(8192n);
});

test("what a group can't use can't be mapped as long as it is there", () => {
	const region = { kind: "reserved", first: 0x9000_0000n, last: 0x9000_0fffn } as const;
	const on = scene();
	const { dma, unmap } = on;
	const at = (iova: bigint) => dma(RW, BUFFER, iova, 4096n);
	const other = joined(on, { firmwareRegions: [region] });
	expect([at(0x8fff_f000n), at(0x9000_0000n), at(0x9000_1000n)]).toEqual(["ok", "EINVAL", "ok"]);
	other.leave();
	expect([at(0x9000_0000n), at(0xfee0_0000n)]).toEqual(["ok", "EINVAL"]);
	expect(joined(on, { firmwareRegions: [region] }).code).toBe("EINVAL");
	unmap(0x9000_0000n, 4096n);
	expect(joined(on, { firmwareRegions: [region] }).code).toBe("ok");
});

test("a group whose IOMMU can't translate what is mapped is refused, and narrows the IOVAs as long as it is there", () => {
	const on = scene();
	const { dma, unmap } = on;
	const beyond = 1n << 39n;
	const at = (iova: bigint) => dma(RW, BUFFER, iova, 4096n);
	expect(at(beyond)).toBe("ok");
	expect(joined(on, { unit: QEMU_39 }).code).toBe("EINVAL");
	unmap(beyond, 4096n);
	const other = joined(on, { unit: QEMU_39 });
	expect([other.code, at(beyond - 4096n), at(beyond)]).toEqual(["ok", "ok", "EINVAL"]);
	other.leave();
	expect(at(beyond)).toBe("ok");
});

test("dirty pages are all pages, in the second version, between START and STOP", () => {
	expect(scene(TYPE1_IOMMU).dirty(VfioDirtyPagesFlags.START)).toBe("EACCES");
	const { memory, dma, unmap, dirty } = scene();
	const bitmap = (iova: bigint, size: bigint, more = {}) =>
		encode(VfioIommuType1DirtyBitmapGet, { iova, size, pgsize: 4096n, bitmapSize: 8n, data: BigInt(BITMAP), ...more });
	const get = (iova: bigint, size: bigint, more = {}) =>
		dirty(VfioDirtyPagesFlags.GET_BITMAP, bitmap(iova, size, more));
	const word = () => {
		const bytes = new Uint8Array(8);
		memory.read(BITMAP, bytes);
		return new DataView(bytes.buffer).getBigUint64(0, true);
	};
	dma(RW, BUFFER, IOVA, 4n * 4096n);
	expect(get(IOVA, 4n * 4096n)).toBe("EINVAL");
	expect(dirty(0)).toBe("EINVAL");
	expect(dirty(3)).toBe("EINVAL");
	expect(dirty(VfioDirtyPagesFlags.START)).toBe("ok");
	dma(RW, BUFFER, IOVA + 8n * 4096n, 2n * 4096n);
	expect([get(IOVA, 4n * 4096n), word()]).toEqual(["ok", 0xfn]);
	expect([get(IOVA, 16n * 4096n), word()]).toEqual(["ok", 0x30fn]);
	expect(get(IOVA, 4096n)).toBe("EINVAL");
	expect(get(IOVA, 4n * 4096n, { pgsize: 8192n })).toBe("EINVAL");
	expect(get(IOVA, 4n * 4096n, { bitmapSize: 0n })).toBe("EINVAL");
	expect(get(IOVA, 128n * 4096n)).toBe("EINVAL"); // takes 16 bytes
	expect(get(IOVA, 4n * 4096n, { data: 1n << 63n })).toBe("EINVAL");
	expect(get(IOVA, 4n * 4096n, { data: 0x1234_0000n })).toBe("EFAULT");
	expect(get((1n << 64n) - 4096n, 8192n)).toBe("EOVERFLOW");
	expect(dirty(VfioDirtyPagesFlags.GET_BITMAP, new Uint8Array(39))).toBe("EINVAL");
	expect(unmap(IOVA, 4n * 4096n, GET_DIRTY_BITMAP | ALL)).toBe("EINVAL");
	expect(unmap(IOVA, 4n * 4096n, GET_DIRTY_BITMAP)).toBe("EINVAL"); // no room for the struct
	expect(dirty(VfioDirtyPagesFlags.STOP)).toBe("ok");
	expect(get(IOVA, 4n * 4096n)).toBe("EINVAL");
});

test("an unmap tells which pages were dirty", () => {
	const { program, memory, container, dma, dirty } = scene();
	dma(RW, BUFFER, IOVA, 4n * 4096n);
	dma(RW, BUFFER, IOVA + 6n * 4096n, 4096n);
	const behind = encode(VfioBitmap, { pgsize: 4096n, size: 8n, data: BigInt(BITMAP) });
	const unmap = () => {
		const argsz = VfioIommuUnmapDma.size + behind.length;
		const args = { argsz, flags: GET_DIRTY_BITMAP, iova: IOVA, size: 16n * 4096n };
		return program.call(container, VfioIommuUnmapDma, args, behind).size;
	};
	expect(codeOf(unmap)).toBe("EINVAL");
	dirty(VfioDirtyPagesFlags.START);
	expect(unmap()).toBe(5n * 4096n);
	const byte = new Uint8Array(1);
	memory.read(BITMAP, byte);
	expect(byte[0]).toBe(0x4f);
});

// --- A model that is too simple to be wrong ---

interface Modelled {
	readonly page: number;
	readonly count: number;
	/** Of the buffer. */
	readonly memoryPage: number;
}

type Step =
	| { readonly kind: "map"; readonly page: number; readonly count: number; readonly memoryPage: number }
	| { readonly kind: "unmap"; readonly page: number; readonly count: number }
	| { readonly kind: "all" };

const steps = fc.array(
	fc.oneof(
		fc.record({
			kind: fc.constant("map" as const),
			page: fc.nat(40),
			count: fc.integer({ min: 1, max: 6 }),
			memoryPage: fc.nat(15),
		}),
		fc.record({ kind: fc.constant("unmap" as const), page: fc.nat(40), count: fc.integer({ min: 1, max: 12 }) }),
		fc.record({ kind: fc.constant("all" as const) }),
	),
	{ maxLength: 60 },
);

/** What type 1 answers, by the words of its documentation. */
class Model {
	mappings: Modelled[] = [];
	readonly isV2: boolean;
	readonly limit: number;

	constructor(isV2: boolean, limit: number) {
		this.isV2 = isV2;
		this.limit = limit;
	}

	get locked(): number {
		return this.mappings.reduce((sum, { count }) => sum + count, 0);
	}

	step(step: Step): string | bigint {
		if (step.kind === "map") return this.#map(step);
		const [from, to] = step.kind === "all" ? [0, 2 ** 40] : [step.page, step.page + step.count];
		const touched = this.mappings.filter(({ page, count }) => page < to && page + count > from);
		let gone = touched;
		if (step.kind === "unmap") {
			const cutFirst = touched.some(({ page }) => page < from);
			const cutLast = touched.some(({ page, count }) => page + count > to);
			if (this.isV2 && (cutFirst || cutLast)) return "EINVAL";
			if (cutFirst) gone = [];
		}
		this.mappings = this.mappings.filter((mapping) => !gone.includes(mapping));
		return BigInt(gone.reduce((sum, { count }) => sum + count, 0)) * 4096n;
	}

	#map({ page, count, memoryPage }: Modelled): string {
		if (this.mappings.some((other) => other.page < page + count && other.page + other.count > page)) return "EEXIST";
		const there = Math.min(count, 16 - memoryPage);
		if (this.locked + there > this.limit) return "ENOMEM";
		if (there < count) return "EFAULT";
		this.mappings.push({ page, count, memoryPage });
		return "ok";
	}
}

test.each([TYPE1_IOMMU, TYPE1v2_IOMMU])("type %i is as a naive model says, after any sequence of calls", (type) => {
	fc.assert(
		fc.property(steps, fc.integer({ min: 4, max: 60 }), (sequence, limit) => {
			const { program, platform, dma, unmap, frameAt, available, locked } = scene(type);
			const { client } = program;
			client.capabilities.delete("CAP_IPC_LOCK");
			client.memlockLimit = limit * 4096;
			const model = new Model(type === TYPE1v2_IOMMU, limit);
			for (const step of sequence) {
				const expected = model.step(step);
				if (step.kind === "map") {
					const { page, count, memoryPage } = step;
					expect(dma(RW, BUFFER + memoryPage * 4096, BigInt(page) * 4096n, BigInt(count) * 4096n)).toBe(expected);
				} else if (step.kind === "unmap")
					expect(unmap(BigInt(step.page) * 4096n, BigInt(step.count) * 4096n)).toBe(expected);
				else expect(unmap(0n, 0n, ALL)).toBe(expected);
			}
			expect([platform.frames.pinned, locked(), available()]).toEqual([
				model.locked,
				model.locked,
				65535 - model.mappings.length,
			]);
			for (let page = 0; page < 50; page++) {
				const mapping = model.mappings.find((one) => one.page <= page && page < one.page + one.count);
				const memoryPage = mapping && mapping.memoryPage + page - mapping.page;
				const frame = memoryPage === undefined ? -1 : platform.frames.frameOf(client.backing, memoryPage);
				expect(frameAt(page)).toBe(frame);
			}
		}),
		{ numRuns: 60 },
	);
});

test("who watches a container's domain is told of each mapping as a whole, and finds those that were there before", () => {
	const { device, dma, unmap } = scene();
	const domain = device.device.group.attachment(0)!.domain as PagingDomain;
	const all = () => Array.from(domain.stretches(), ({ first, count }) => [first, count]);
	const told: unknown[] = [];
	expect(dma(RW, BUFFER, IOVA, 0x3000n)).toBe("ok");
	expect(all()).toEqual([[0x100, 3]]);
	domain.watchers.add({
		mapped: ({ first, count }) => told.push(["mapped", first, count]),
		unmapped: ({ first, count }) => told.push(["unmapped", first, count]),
	});
	expect(dma(READ, BUFFER + 0x1000, IOVA + 0x3000n, 0x2000n)).toBe("ok");
	expect(all()).toEqual([
		[0x100, 3],
		[0x103, 2],
	]);
	expect(unmap(IOVA, 0x3000n)).toBe(0x3000n);
	expect(told).toEqual([
		["mapped", 0x103, 2],
		["unmapped", 0x100, 3],
	]);
	expect(all()).toEqual([[0x103, 2]]);
});
