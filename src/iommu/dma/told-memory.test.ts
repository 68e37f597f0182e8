import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Backing } from "../../memory/address-space.js";
import { ArrayBacking } from "../../memory/array-space.js";
import { type Contiguity, Frames } from "../../memory/frames.js";
import { Runs } from "../../memory/runs.js";
import { READ, WRITE } from "../../pagetable/pagetable.js";
import { TableMemory } from "../../pagetable/table-memory.js";
import { HwptAllocFlags } from "../../uapi/iommufd.js";
import type { Domain, PagingDomain, Stretch } from "../core/iommu.js";
import { NO_PASID } from "../core/pasid.js";
import { DEFAULT_CAPABILITY_HEADER } from "../drivers/amd/registers.js";
import { AmdDriver } from "../drivers/amd.js";
import { deviceBehind } from "../drivers/function.testing.js";
import { ToldMemory, type ToldRange } from "./told-memory.js";

const PAGE = 4096;
const PAGES = 64;
const RW = READ | WRITE;

/** What one page of IOVA shows. */
interface Shown {
	readonly backing: Backing;
	readonly page: number;
	readonly protection: number;
}

/** A domain, and page by page what it shows. */
class Known {
	readonly domain: PagingDomain;
	readonly pages = new Map<number, Shown>();
	readonly stretches: Stretch[] = [];
	readonly #frames: Frames;

	constructor(domain: PagingDomain, frames: Frames) {
		this.domain = domain;
		this.#frames = frames;
		domain.stretches = () => this.stretches;
	}

	isFree(first: number, count: number): boolean {
		return !this.stretches.some((other) => other.first < first + count && first < other.first + other.count);
	}

	/** @param parts what lies there, one after the other */
	map(first: number, parts: readonly { backing: Backing; page: number; count: number }[], protection = RW): void {
		const runs = new Runs();
		let at = first;
		for (const { backing, page, count } of parts) {
			runs.clear();
			this.#frames.runs(backing, page, count, runs);
			for (let i = 0; i < count; i++) this.pages.set(at + i, { backing, page: page + i, protection });
			for (let i = 0; i < runs.length; i++) {
				this.domain.map(at, runs.frame[i], runs.count[i], protection, this.domain.pageSizes);
				at += runs.count[i];
			}
		}
		this.stretches.push({ first, count: at - first });
		this.domain.hasMapped(first, at - first);
	}

	unmap(first: number, count: number): void {
		this.domain.unmap(first, count);
		for (let i = 0; i < count; i++) this.pages.delete(first + i);
		const cut = this.stretches.filter((other) => other.first < first + count && first < other.first + other.count);
		for (const stretch of cut) {
			this.stretches.splice(this.stretches.indexOf(stretch), 1);
			const end = stretch.first + stretch.count;
			if (stretch.first < first) this.stretches.push({ first: stretch.first, count: first - stretch.first });
			if (end > first + count) this.stretches.push({ first: first + count, count: end - first - count });
		}
	}
}

/** What a server makes of what it is told: it insists on what the protocol says. */
class Server {
	readonly ranges = new Map<bigint, ToldRange>();
	told: string[] = [];

	/** @returns whether there was something to tell */
	listen(memory: ToldMemory): boolean {
		const change = memory.next();
		if (change === undefined) return false;
		const { kind, range } = change;
		const { iova, size, protection, shared } = range;
		if (kind === "unmap") {
			expect(this.ranges.get(iova)).toEqual(range);
			this.ranges.delete(iova);
		} else {
			for (const other of this.ranges.values())
				expect(other.iova >= iova + size || iova >= other.iova + other.size).toBe(true);
			this.ranges.set(iova, range);
		}
		const place = shared && ` at 0x${shared.at.toString(16)}`;
		this.told.push(`${kind} 0x${iova.toString(16)}+0x${size.toString(16)} ${protection}${place ?? ""}`);
		return true;
	}

	listenToAll(memory: ToldMemory): string[] {
		this.told = [];
		while (this.listen(memory));
		expect(memory.isAhead).toBe(false);
		return this.told;
	}

	/** By page, as a Known has it. */
	get pages(): Map<number, object> {
		const pages = new Map<number, object>();
		for (const { iova, size, protection, shared } of this.ranges.values()) {
			for (let i = 0; i < Number(size) / PAGE; i++)
				pages.set(Number(iova) / PAGE + i, {
					protection,
					...(shared && { backing: shared.backing, page: shared.at / PAGE + i }),
				});
		}
		return pages;
	}
}

function setUp(contiguity: Contiguity = "as-addresses") {
	const driver = new AmdDriver(new TableMemory());
	const registers = { efr: 0x247577efa2254afan, efr2: 0x18n, capabilityHeader: DEFAULT_CAPABILITY_HEADER };
	const device = deviceBehind(driver.addIommu(registers), { pasidBits: 4 });
	const frames = new Frames(contiguity);
	const shared = new ArrayBacking("shared", new Uint8Array(PAGES * PAGE));
	const own = new ArrayBacking("own", new Uint8Array(PAGES * PAGE));
	for (const backing of [shared, own]) frames.pin(backing, 0, PAGES);
	const newDomain = () =>
		new Known(driver.domainAllocPagingFlags(device, HwptAllocFlags.DIRTY_TRACKING, undefined), frames);
	let changes = 0;
	const memory = new ToldMemory(
		frames,
		(backing) => backing === shared,
		() => changes++,
	);
	memory.follow(device);
	const attach = (domain: Domain) => {
		const { group } = device;
		if (group.attachment(NO_PASID)) group.replace(domain, {});
		else group.attach(domain, {});
	};
	const takeChanges = () => {
		const before = changes;
		changes = 0;
		return before;
	};
	return { memory, server: new Server(), shared, own, newDomain, attach, device, driver, takeChanges };
}

describe("a function in another process is told", () => {
	test("what a domain shows when it is attached, and what comes and goes then", () => {
		const { memory, server, shared, own, newDomain, attach, device, takeChanges } = setUp();
		const known = newDomain();
		known.map(0x10, [{ backing: shared, page: 4, count: 3 }]);
		known.map(0x13, [{ backing: shared, page: 7, count: 2 }], READ);
		expect(server.listenToAll(memory)).toEqual([]);
		attach(known.domain);
		expect(takeChanges()).toBeGreaterThan(0);
		expect(server.listenToAll(memory)).toEqual(["map 0x10000+0x3000 3 at 0x4000", "map 0x13000+0x2000 1 at 0x7000"]);
		known.map(0x20, [{ backing: own, page: 1, count: 4 }]);
		known.unmap(0x10, 3);
		expect(takeChanges()).toBe(2);
		expect(server.listenToAll(memory)).toEqual(["unmap 0x10000+0x3000 3 at 0x4000", "map 0x20000+0x4000 3"]);
		device.group.detach();
		expect(server.listenToAll(memory)).toEqual(["unmap 0x13000+0x2000 1 at 0x7000", "unmap 0x20000+0x4000 3"]);
		known.map(0x30, [{ backing: own, page: 1, count: 4 }]);
		expect(server.listenToAll(memory)).toEqual([]);
	});

	test("one range for what was mapped at once, wherever it lies; but one for each place in a file that it can have", () => {
		const { memory, server, shared, own, newDomain, attach } = setUp("4K");
		const known = newDomain();
		attach(known.domain);
		known.map(0x10, [
			{ backing: own, page: 9, count: 5 },
			{ backing: own, page: 1, count: 2 },
			{ backing: shared, page: 0, count: 6 },
			{ backing: shared, page: 6, count: 2 },
			{ backing: shared, page: 20, count: 1 },
		]);
		expect(server.listenToAll(memory)).toEqual([
			"map 0x10000+0x7000 3",
			"map 0x17000+0x8000 3 at 0x0",
			"map 0x1f000+0x1000 3 at 0x14000",
		]);
		// Side by side, but not at once.
		known.map(0x20, [{ backing: own, page: 1, count: 1 }]);
		known.map(0x21, [{ backing: own, page: 2, count: 1 }]);
		expect(server.listenToAll(memory)).toEqual(["map 0x20000+0x1000 3", "map 0x21000+0x1000 3"]);
	});

	test("nothing of what came and went before it was told", () => {
		const { memory, server, shared, newDomain, attach, takeChanges } = setUp();
		const known = newDomain();
		attach(known.domain);
		known.map(0x10, [{ backing: shared, page: 4, count: 3 }]);
		known.unmap(0x10, 3);
		takeChanges();
		known.unmap(0x10, 3);
		expect(takeChanges()).toBe(0);
		expect(server.listenToAll(memory)).toEqual([]);
	});

	test("all of a range again of which a part is unmapped", () => {
		const { memory, server, shared, newDomain, attach } = setUp();
		const known = newDomain();
		attach(known.domain);
		known.map(0x10, [{ backing: shared, page: 4, count: 8 }]);
		server.listenToAll(memory);
		known.unmap(0x12, 3);
		expect(server.listenToAll(memory)).toEqual([
			"unmap 0x10000+0x8000 3 at 0x4000",
			"map 0x10000+0x2000 3 at 0x4000",
			"map 0x15000+0x3000 3 at 0x9000",
		]);
	});

	test("to ask for all memory while it is recorded what is written", () => {
		const { memory, server, shared, newDomain, attach } = setUp();
		const known = newDomain();
		attach(known.domain);
		known.map(0x10, [{ backing: shared, page: 4, count: 8 }]);
		server.listenToAll(memory);
		known.domain.dirtyTracking!.set(true);
		known.domain.notes.tell();
		expect(server.listenToAll(memory)).toEqual(["unmap 0x10000+0x8000 3 at 0x4000", "map 0x10000+0x8000 3"]);
		known.domain.notes.tell();
		expect(server.listenToAll(memory)).toEqual([]);
		known.domain.dirtyTracking!.set(false);
		known.domain.notes.tell();
		expect(server.listenToAll(memory)).toEqual(["unmap 0x10000+0x8000 3", "map 0x10000+0x8000 3 at 0x4000"]);
	});

	test("to ask for all memory where it would have to walk tables itself, or has no IOMMU", () => {
		const all = (server: Server) => {
			const size = [...server.ranges.values()].reduce((sum, range) => sum + range.size, 0n);
			expect([...server.ranges.values()].every(({ shared }) => shared === undefined)).toBe(true);
			return size;
		};
		const { memory, server, attach, driver, newDomain } = setUp();
		const nested = { ...newDomain().domain, type: "nested", driver, attachDevice() {} } as unknown as Domain;
		attach(nested);
		server.listenToAll(memory);
		expect(all(server)).toBe(2n ** 48n);
		attach(newDomain().domain);
		server.listenToAll(memory);
		expect(server.ranges.size).toBe(0);
		const { memory: other, server: otherServer, device } = setUp();
		other.follow({ ...device, hasIommu: false });
		otherServer.listenToAll(other);
		expect(all(otherServer)).toBe(2n ** 48n);
	});

	test("nothing any more when it is there no more", () => {
		const { memory, server, shared, newDomain, attach, takeChanges } = setUp();
		const [known, other] = [newDomain(), newDomain()];
		attach(known.domain);
		known.map(0x10, [{ backing: shared, page: 4, count: 3 }]);
		server.listen(memory);
		known.unmap(0x10, 3);
		takeChanges();
		memory.close();
		known.map(0x20, [{ backing: shared, page: 4, count: 3 }]);
		known.domain.dirtyTracking!.set(true);
		known.domain.notes.tell();
		attach(other.domain);
		expect([takeChanges(), memory.isAhead, memory.next()]).toEqual([0, false, undefined]);
	});

	test("that something is gone before it may believe anything else", () => {
		const { memory, server, shared, newDomain, attach } = setUp();
		const known = newDomain();
		attach(known.domain);
		known.map(0x10, [{ backing: shared, page: 4, count: 1 }]);
		expect(memory.isAhead).toBe(false);
		server.listenToAll(memory);
		known.unmap(0x10, 1);
		known.map(0x10, [{ backing: shared, page: 9, count: 1 }]);
		expect(memory.isAhead).toBe(true);
		server.listen(memory);
		// It has been told, and has not said that it is done.
		expect(memory.isAhead).toBe(true);
		server.listen(memory);
		expect(memory.isAhead).toBe(false);
	});
});

test("whatever is mapped, unmapped and attached, what the function has been told is what there is, page by page", () => {
	const command = fc.oneof(
		{
			weight: 6,
			arbitrary: fc.record({
				kind: fc.constant("map" as const),
				first: fc.nat(120),
				parts: fc.array(
					fc.record({ isShared: fc.boolean(), page: fc.nat(PAGES - 9), count: fc.integer({ min: 1, max: 8 }) }),
					{ minLength: 1, maxLength: 3 },
				),
				protection: fc.constantFrom(READ, RW),
			}),
		},
		{ weight: 3, arbitrary: fc.record({ kind: fc.constant("unmap" as const), which: fc.nat(9) }) },
		{
			weight: 2,
			arbitrary: fc.record({
				kind: fc.constant("cut" as const),
				first: fc.nat(120),
				count: fc.integer({ min: 1, max: 9 }),
			}),
		},
		{ weight: 1, arbitrary: fc.record({ kind: fc.constant("attach" as const), which: fc.nat(2) }) },
		{ weight: 1, arbitrary: fc.record({ kind: fc.constant("track" as const) }) },
		{ weight: 4, arbitrary: fc.record({ kind: fc.constant("tell" as const), times: fc.nat(5) }) },
	);
	fc.assert(
		fc.property(
			fc.constantFrom<Contiguity>("4K", "as-addresses", "2M", "1G"),
			fc.array(command, { maxLength: 60 }),
			(contiguity, commands) => {
				const { memory, server, shared, own, newDomain, attach, device } = setUp(contiguity);
				const domains = [newDomain(), newDomain()];
				let current: Known | undefined;
				let target = domains[0];
				for (const [index, step] of commands.entries()) {
					switch (step.kind) {
						case "map": {
							const parts = step.parts.map(({ isShared, ...part }) => ({ ...part, backing: isShared ? shared : own }));
							const count = parts.reduce((sum, part) => sum + part.count, 0);
							if (target.isFree(step.first, count)) target.map(step.first, parts, step.protection);
							break;
						}
						case "unmap": {
							const stretch = target.stretches[step.which % Math.max(1, target.stretches.length)];
							if (stretch !== undefined) target.unmap(stretch.first, stretch.count);
							break;
						}
						case "cut":
							if (contiguity === "4K" && target.isFree(step.first, step.count) === false)
								cut(target, step.first, step.count);
							break;
						case "attach":
							current = domains[step.which];
							if (current !== undefined) attach(current.domain);
							else if (device.group.attachment(NO_PASID)) device.group.detach();
							target = current ?? domains[index % 2];
							break;
						case "track":
							for (const { domain } of domains) {
								domain.dirtyTracking!.set(!domain.dirtyTracking!.enabled);
								domain.notes.tell();
							}
							break;
						case "tell":
							for (let i = 0; i < step.times; i++) server.listen(memory);
					}
				}
				server.listenToAll(memory);
				const isTracked = current?.domain.marksLeaves ?? false;
				const there = [...(current?.pages ?? [])].map(([at, { backing, page, protection }]): [number, object] => [
					at,
					{ protection, ...(backing === shared && !isTracked && { backing, page }) },
				]);
				expect(server.pages).toEqual(new Map(there));
			},
		),
		{ numRuns: 200 },
	);
});

/** Unmaps a part of what there is, as far as it lies in a row. */
function cut(known: Known, first: number, count: number): void {
	for (let i = 0; i < count; i++) if (known.pages.has(first + i)) known.unmap(first + i, 1);
}
