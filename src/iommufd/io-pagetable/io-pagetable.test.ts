import fc from "fast-check";
import { expect, test } from "vitest";
import type { PagingDomain } from "../../iommu/core/iommu.js";
import { codeOf } from "../../uapi/errno.js";
import { Destroy, IoasAlloc, IoasCopy, IoasMap, IoasMapFlags, IoasUnmap } from "../../uapi/iommufd.js";
import { BUFFER, BUFFER_PAGES, TestClient } from "../client.testing.js";
import { PagingHwpt } from "../hwpt.js";
import { Ioas } from "../ioas.js";

const FLAGS = IoasMapFlags.READABLE | IoasMapFlags.WRITEABLE | IoasMapFlags.FIXED_IOVA;
/** The mock IOMMU translates from here on. */
const BASE = 0x1000000n;
/** Without a domain there is room up to the last byte of the 64-bit space, where PAGES + 6 pages lie from here on. */
const PAGES = 48;
const TOP = (1n << 64n) - BigInt(PAGES + 6) * 4096n;

/** What an IOAS maps, page by page: IOVA page -> page of the buffer. Areas are remembered for unmap's rule. */
class NaiveIoas {
	readonly pages = new Map<number, number>();
	readonly areas: { first: number; count: number }[] = [];
	readonly id: number;
	/** Where page 0 is. */
	readonly base: bigint;
	readonly hwpts: { device: number; hwpt: number; told: Map<number, number> }[] = [];

	constructor(id: number, base = BASE) {
		this.id = id;
		this.base = base;
	}

	iovaOf(page: number): bigint {
		return this.base + BigInt(page) * 4096n;
	}

	map(first: number, count: number, source: (i: number) => number): void {
		for (let i = 0; i < count; i++) this.pages.set(first + i, source(i));
	}

	isFree(first: number, count: number): boolean {
		for (let i = first; i < first + count; i++) if (this.pages.has(i)) return false;
		return true;
	}

	/** Undefined where the range cuts an area in two; then the areas before the cut are gone, as in Linux. */
	unmap(first: number, count: number): number | undefined {
		const inside = this.areas.filter((area) => area.first < first + count && area.first + area.count > first);
		inside.sort((a, b) => a.first - b.first);
		let bytes = 0;
		for (const area of inside) {
			if (area.first < first || area.first + area.count > first + count) return undefined;
			for (let i = area.first; i < area.first + area.count; i++) this.pages.delete(i);
			this.areas.splice(this.areas.indexOf(area), 1);
			bytes += area.count * 4096;
		}
		return bytes;
	}
}

const page = fc.nat(PAGES - 1);
const count = fc.integer({ min: 1, max: 6 });
const which = fc.nat(2);
const action = fc.oneof(
	fc.record({ kind: fc.constant("map" as const), ioas: which, at: page, count, from: fc.nat(BUFFER_PAGES - 6) }),
	fc.record({ kind: fc.constant("unmap" as const), ioas: which, at: page, count }),
	fc.record({ kind: fc.constant("copy" as const), ioas: which, source: which, at: page, from: page, count }),
	fc.record({ kind: fc.constant("attach" as const), ioas: which }),
	fc.record({ kind: fc.constant("detach" as const), ioas: which }),
);

test("at the end of the 64-bit space, thousands of maps, copies and unmaps agree with it too", () => {
	const mapping = action.filter((step) => step.kind !== "attach" && step.kind !== "detach");
	fc.assert(
		fc.property(fc.array(mapping, { maxLength: 60, size: "max" }), (actions) => {
			const client = new TestClient();
			const models = [0, 1, 2].map(() => new NaiveIoas(client.call(IoasAlloc, {}).outIoasId, TOP));
			for (const step of actions) perform(client, models, step);
			for (const model of models) {
				const found = new Map<number, number>();
				for (const area of client.fd.context.objects.get(model.id, Ioas, "ioas").map.areas)
					for (let iova = area.first; iova <= area.last; iova += 4096n)
						found.set(
							Number((iova - TOP) >> 12n),
							Number(area.pages.start - BigInt(BUFFER)) / 4096 + area.indexOf(iova),
						);
				expect(found).toEqual(new Map([...model.pages].sort(([a], [b]) => a - b)));
			}
		}),
		{ numRuns: 150 },
	);
});

test("thousands of maps, copies, unmaps, attaches and detaches agree with a map from page to page", () => {
	fc.assert(
		fc.property(fc.array(action, { maxLength: 60, size: "max" }), (actions) => {
			const client = new TestClient();
			const models = [0, 1, 2].map(() => new NaiveIoas(client.call(IoasAlloc, {}).outIoasId));
			for (const step of actions) perform(client, models, step);
			check(client, models);
			client.fd.release();
			expect(client.platform.frames.pinned).toBe(0);
			expect(client.platform.tables.tablesInUse).toBe(0);
		}),
		{ numRuns: 150 },
	);
});

type Action = typeof action extends fc.Arbitrary<infer T> ? T : never;

function perform(client: TestClient, models: NaiveIoas[], step: Action): void {
	const model = models[step.ioas];
	const ioasId = model.id;
	switch (step.kind) {
		case "map": {
			const values = { ioasId, flags: FLAGS, iova: model.iovaOf(step.at), length: BigInt(step.count) * 4096n };
			const userVa = BigInt(BUFFER + step.from * 4096);
			const free = model.isFree(step.at, step.count);
			expect(codeOf(() => client.call(IoasMap, { ...values, userVa }))).toBe(free ? "ok" : "EEXIST");
			if (!free) return;
			model.map(step.at, step.count, (i) => step.from + i);
			model.areas.push({ first: step.at, count: step.count });
			return;
		}
		case "unmap": {
			const range = { ioasId, iova: model.iovaOf(step.at), length: BigInt(step.count) * 4096n };
			const expected = model.unmap(step.at, step.count);
			if (!expected) expect(codeOf(() => client.call(IoasUnmap, range))).toBe("ENOENT");
			else expect(client.call(IoasUnmap, range).length).toBe(BigInt(expected));
			return;
		}
		case "copy":
			copy(client, models[step.source], model, step);
			return;
		case "attach": {
			const mock = client.test("MOCK_DOMAIN", { id: ioasId });
			model.hwpts.push({
				device: mock.outStdevId,
				hwpt: mock.outHwptId,
				told: watch(domainOf(client, mock.outHwptId)),
			});
			return;
		}
		case "detach": {
			const last = model.hwpts.pop();
			if (last !== undefined) client.call(Destroy, { id: last.device });
		}
	}
}

function domainOf(client: TestClient, hwpt: number): PagingDomain {
	return client.fd.context.objects.get(hwpt, PagingHwpt, "hwpt").domain;
}

/** What a domain shows, by stretches: first granule and count, as watchers are told of it. */
function watch(domain: PagingDomain): Map<number, number> {
	const told = new Map(Array.from(domain.stretches(), ({ first, count }) => [first, count]));
	domain.watchers.add({
		mapped: ({ first, count }) => told.set(first, count),
		unmapped: ({ first, count }) => {
			for (const at of told.keys()) if (at >= first && at < first + count) told.delete(at);
		},
	});
	return told;
}

function copy(
	client: TestClient,
	source: NaiveIoas,
	destination: NaiveIoas,
	step: { at: number; from: number; count: number },
): void {
	const pages = Array.from({ length: step.count }, (_, i) => source.pages.get(step.from + i));
	const complete = pages.every((one) => one !== undefined);
	const free = destination.isFree(step.at, step.count);
	// Each area of the source becomes an area of its own.
	const areas = source.areas
		.map((area) => ({
			from: Math.max(area.first, step.from),
			to: Math.min(area.first + area.count, step.from + step.count),
		}))
		.filter(({ from, to }) => from < to);
	const values = {
		dstIoasId: destination.id,
		srcIoasId: source.id,
		flags: FLAGS,
		length: BigInt(step.count) * 4096n,
		srcIova: source.iovaOf(step.from),
		dstIova: destination.iovaOf(step.at),
	};
	expect(codeOf(() => client.call(IoasCopy, values))).toBe(!complete ? "ENOENT" : free ? "ok" : "EEXIST");
	if (!complete || !free) return;
	destination.map(step.at, step.count, (i) => pages[i]!);
	for (const { from, to } of areas) destination.areas.push({ first: step.at + from - step.from, count: to - from });
}

/** Every page of every domain leads where the model says, its stretches are the areas, and pages are pinned exactly while a domain shows them. */
function check(client: TestClient, models: NaiveIoas[]): void {
	const { frames } = client.platform;
	const backing = client.backing;
	const shown = new Set<number>();
	for (const model of models) {
		if (model.hwpts.length > 0) for (const bufferPage of model.pages.values()) shown.add(bufferPage);
		const areas = model.areas
			.map(({ first, count }) => [Number(model.iovaOf(first) >> 11n), count * 2])
			.sort(([a], [b]) => a - b);
		for (const { hwpt, told } of model.hwpts) {
			const domain = domainOf(client, hwpt);
			const { table } = domain;
			expect(Array.from(domain.stretches(), ({ first, count }) => [first, count])).toEqual(areas);
			expect([...told].sort(([a], [b]) => a - b)).toEqual(areas);
			for (let i = 0; i < PAGES + 6; i++) {
				const bufferPage = model.pages.get(i);
				const expected = bufferPage === undefined ? -1 : frames.frameOf(backing, bufferPage) * 2;
				const va = Number(model.iovaOf(i) >> 11n);
				if (table.translate(va) !== expected) throw new Error(`page ${i} of HWPT ${hwpt}`);
				if (expected >= 0 && table.translate(va + 1) !== expected + 1) throw new Error(`upper half of page ${i}`);
			}
		}
	}
	for (let i = 0; i < BUFFER_PAGES; i++) expect(frames.pins(backing, i) > 0).toBe(shown.has(i));
}

test("the last page of the 64-bit space can be mapped, but neither its last byte alone nor a byte beyond", () => {
	const client = new TestClient();
	const { outIoasId: ioasId } = client.call(IoasAlloc, {});
	const last = (1n << 64n) - 0x1000n;
	const map = (iova: bigint, length: bigint) =>
		codeOf(() => client.call(IoasMap, { ioasId, flags: FLAGS, userVa: BigInt(BUFFER), iova, length }));
	expect(map(last, 0x1001n)).toBe("EOVERFLOW");
	expect(map((1n << 64n) - 1n, 1n)).toBe("EOVERFLOW");
	expect(map(last, 0x1000n)).toBe("ok");
	expect(map(last + 0xffen, 1n)).toBe("EEXIST");
	expect(client.call(IoasUnmap, { ioasId, iova: last, length: 0x1000n }).length).toBe(0x1000n);
});

test("a mapping that fails in the second of two domains leaves the first one as it was", () => {
	const client = new TestClient();
	const { outIoasId: ioasId } = client.call(IoasAlloc, {});
	const first = client.test("MOCK_DOMAIN", { id: ioasId });
	// The IOAS allows it, but one page of the two is not there.
	const userVa = BigInt(BUFFER + (BUFFER_PAGES - 1) * 4096);
	const values = { ioasId, flags: FLAGS, userVa, iova: BASE, length: 0x2000n };
	expect(codeOf(() => client.call(IoasMap, values))).toBe("EFAULT");
	const { table } = client.fd.context.objects.get(first.outHwptId, PagingHwpt, "hwpt").domain;
	expect(table.translate(Number(BASE >> 11n))).toBe(-1);
	expect(client.platform.frames.pinned).toBe(0);
	client.call(IoasMap, { ...values, length: 0x1000n });
});

test("of an unmap that ends in the middle only what it has unmapped is remembered as that", () => {
	const client = new TestClient();
	const { outIoasId: ioasId } = client.call(IoasAlloc, {});
	const flags = IoasMapFlags.READABLE | IoasMapFlags.FIXED_IOVA;
	for (const iova of [0x1000n, 0x3000n])
		client.call(IoasMap, { ioasId, flags, userVa: BigInt(BUFFER), length: 0x2000n, iova });
	expect(codeOf(() => client.call(IoasUnmap, { ioasId, iova: 0x1000n, length: 0x3000n }))).toBe("ENOENT");
	const { map } = client.fd.context.objects.get(ioasId, Ioas, "ioas");
	const isLastAnUnmap = (iova: bigint) => [...client.platform.history.changesAt(map, iova)][0]?.isUnmap;
	expect([0x1000n, 0x2fffn, 0x3000n, 0x3fffn, 0x4fffn].map(isLastAnUnmap)).toEqual([true, true, false, false, false]);
});
