// Others are answered wherever a call can be interrupted (uapi/slices.ts), and that changes nothing of it: each scenario is played
// with another client's steps in between, at each of these places, and must have the same effect as alone.

import { afterEach, expect, test } from "vitest";
import { IoasAlloc } from "../uapi/iommufd.js";
import { Later } from "../uapi/later.js";
import { serveOthers } from "../uapi/slices.js";
import { restoreViews, saveViews } from "../uapi/struct.js";
import { BUFFER, BUFFER_PAGES, TestClient } from "./client.testing.js";
import { newClient, type Scenario, scenarios } from "./scenarios.testing.js";
import { stateOf } from "./state.testing.js";

afterEach(() => serveOthers(undefined));

/** What a client has, but for what counts others' things too, and for the numbers of mock devices, which are the machine's. */
function partsOf(client: TestClient): unknown {
	const { objects, idsInUse, hasHolders, files } = stateOf(client) as Record<string, unknown>;
	return JSON.parse(
		JSON.stringify({ objects, idsInUse, hasHolders, files }, (_key, value) =>
			typeof value === "bigint" ? `${value}` : value,
		).replaceAll(/iommufd_mock\d+/g, "a mock device"),
	);
}

/** All steps, one after the other. @returns what there is after each */
function play(client: TestClient, scenario: Scenario): unknown[] {
	const states = scenario(client).map((step) => {
		step();
		return partsOf(client);
	});
	finish(client);
	return states;
}

function finish(client: TestClient): void {
	for (const fd of [...client.files.keys()]) client.close(fd);
	client.fd.release();
}

/** One who plays scenarios again and again, a step at a time, and has new clients of one machine do it. */
class Others {
	steps = 0;
	readonly #first: TestClient;
	readonly #names = Object.keys(scenarios);
	#client: TestClient | undefined;
	#left: (() => unknown)[] = [];

	constructor(first: TestClient) {
		this.#first = first;
	}

	/** Does as the supervisor does. Others could have made any call. */
	step(): void {
		const views = saveViews();
		restoreViews(views.map((view) => new Uint8Array(view.length).fill(0xff)));
		if (this.#left.length === 0) this.#begin();
		this.#left.shift()!();
		this.steps++;
		restoreViews(views);
	}

	finish(): void {
		while (this.#left.length > 0) this.step();
		if (this.#client !== undefined) finish(this.#client);
		this.#client = undefined;
	}

	#begin(): void {
		if (this.#client !== undefined) finish(this.#client);
		const name = this.#names.shift()!;
		this.#names.push(name);
		this.#client = newClient(undefined, this.#first.platform);
		this.#left = [...scenarios[name](this.#client)];
	}
}

test.each(Object.keys(scenarios))("%s: the calls of others in between change nothing", (name) => {
	const expected = play(newClient(), scenarios[name]);
	const client = newClient();
	const others = new Others(client);
	let isServing = false;
	serveOthers(() => {
		if (isServing) return;
		isServing = true;
		others.step();
		isServing = false;
	}, 1);
	expect(play(client, scenarios[name])).toEqual(expected);
	serveOthers(undefined);
	others.finish();
	const { frames, tables, budget } = client.platform;
	expect([frames.pinned, tables.tablesInUse, budget.areas.used, budget.objects.used]).toEqual([0, 0, 0, 0]);
	expect(others.steps).toBeGreaterThan(0);
});

test("a call on a context that another one works on is put aside, and made when that is done", () => {
	const client = newClient();
	const second = new TestClient(client.platform, {}, client.fd);
	const steps = scenarios["mappings in several domains"](client);
	let parked = 0;
	let woken = 0;
	serveOthers(() => {
		const views = saveViews();
		try {
			second.call(IoasAlloc, {});
			expect.unreachable("it was answered");
		} catch (error) {
			if (!(error instanceof Later)) throw error;
			parked++;
			error.park({ makeAgain: () => woken++, onDropped: undefined });
		}
		restoreViews(views);
	}, 1);
	for (const step of steps) step();
	finish(client);
	expect(parked).toBeGreaterThan(0);
	expect(woken).toBe(parked);
});

test("a context that is closed within a call of its own is gone after that call", () => {
	const client = newClient();
	const steps = scenarios["mappings in several domains"](client);
	for (const step of steps.slice(0, -1)) step();
	let isClosed = false;
	serveOthers(() => {
		if (isClosed) return;
		isClosed = true;
		client.fd.release();
		expect(client.fd.context.objects.size).toBeGreaterThan(0);
	}, 1);
	steps.at(-1)!();
	expect(isClosed).toBe(true);
	expect(client.fd.context.objects.size).toBe(0);
});

test("a test command that looks at pages one by one can be interrupted at each of them", () => {
	const client = newClient();
	let looks = 0;
	serveOthers(() => looks++, 1);
	client.test("MD_CHECK_REFS", { length: BigInt(BUFFER_PAGES * 4096), uptr: BigInt(BUFFER), refs: 0 });
	expect(looks).toBeGreaterThanOrEqual(BUFFER_PAGES);
});
