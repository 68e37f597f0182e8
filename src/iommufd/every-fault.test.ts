// Nothing may be half done when an error leaves a handler. So each scenario is played again and again, and each time another
// of the places fails at which Linux may run out of memory. After a call that failed all must be as it was before, the same
// call must succeed when it is made again, and in the end nothing may be left.

import { expect, test } from "vitest";
import { FailNth } from "../faults/fail-nth.js";
import { withFaults } from "../faults/faults.js";
import { MemoryBudget, type Share } from "../faults/memory-budget.js";
import { codeOf, Errno } from "../uapi/errno.js";
import { IoasAlloc } from "../uapi/iommufd.js";
import type { TestClient } from "./client.testing.js";
import { newClient, type Scenario, scenarios } from "./scenarios.testing.js";
import { stateOf } from "./state.testing.js";

/** A budget that is used up once, when it is asked for the nth time. */
class UsedUpBudget extends MemoryBudget {
	readonly #nth: number;
	/** From when on that counts. */
	isArmed = false;
	/** How often it was asked. */
	passed = 0;
	failed: { what: string } | undefined;

	constructor(nth: number) {
		super();
		this.#nth = nth;
	}

	override take(bytes: number, share: Share): void {
		if (this.isArmed && ++this.passed === this.#nth) {
			this.failed = share;
			throw new Errno("ENOMEM", `the budget is used up: ${share.what}`);
		}
		super.take(bytes, share);
	}
}

interface Played {
	/** After each step; fewer when a fault was hidden from the program, which then goes another way. */
	readonly states: object[];
	readonly faults: FailNth | UsedUpBudget;
	/** The number of the step at which it failed. */
	failedAt: number | undefined;
}

/**
 * Plays a scenario with one place failing.
 * @param givesUp whether the program ends then; else it makes the call again
 * @param byBudget has it fail where the memory budget is asked, not at a place where Linux allocates memory
 */
function play(scenario: Scenario, nth: number, givesUp = false, byBudget = false): Played {
	const faults = byBudget ? new UsedUpBudget(nth) : new FailNth(nth);
	const played: Played = { states: [], faults, failedAt: undefined };
	const client = newClient(faults instanceof UsedUpBudget ? faults : undefined);
	if (faults instanceof UsedUpBudget) faults.isArmed = true;
	for (const [number, step] of scenario(client).entries()) {
		const before = stateOf(client);
		try {
			if (faults instanceof FailNth) withFaults(faults, step);
			else step();
		} catch (error) {
			const where = `step ${number}, where it failed: ${faults.failed?.what}`;
			if (!(error instanceof Errno) || faults.failed === undefined || played.failedAt !== undefined) throw error;
			played.failedAt = number;
			expect(stateOf(client), where).toEqual(before);
			if (givesUp) break;
			step();
		}
		played.states.push(stateOf(client));
	}
	finish(client, `where it failed: ${faults.failed?.what}`);
	return played;
}

/** Closes all files. Nothing may be left then. */
function finish(client: TestClient, where: string): void {
	for (const fd of [...client.files.keys()]) client.close(fd);
	client.fd.release();
	expectNothingLeft(client, where);
}

function expectNothingLeft(client: TestClient, where: string): void {
	const { frames, tables, memlock, selftest, budget } = client.platform;
	const { context } = client.fd;
	expect(
		{
			objects: [...context.objects],
			ids: context.objects.size,
			groups: context.groups.size,
			pinned: frames.pinned,
			blocks: frames.blocks,
			tables: tables.tablesInUse,
			bytes: tables.bytesInUse,
			shown: memlock.shown(client.memory),
			charged: [budget.areas, budget.ranges, budget.objects, budget.events].map(({ used }) => used),
			firstFreeDevice: selftest.addDevice(0).number,
		},
		where,
	).toEqual({
		objects: [],
		ids: 0,
		groups: 0,
		pinned: 0,
		blocks: 0,
		tables: 0,
		bytes: 0,
		shown: { pinned: 0, locked: 0 },
		charged: [0, 0, 0, 0],
		firstFreeDevice: 0,
	});
}

/** Plays it with every place failing in turn. @returns what failed, in order */
function failEach(scenario: Scenario, byBudget = false): string[] {
	const good = play(scenario, 0, false, byBudget);
	const failed: string[] = [];
	for (let nth = 1; nth <= good.faults.passed; nth++) {
		play(scenario, nth, true, byBudget);
		const played = play(scenario, nth, false, byBudget);
		failed.push(played.faults.failed!.what);
		// A call that hides a fault, as an attach does that takes another HWPT then, goes another way from there on.
		if (played.failedAt !== undefined)
			expect(played.states, `after what failed: ${played.faults.failed?.what}`).toEqual(good.states);
	}
	expect(good.faults.passed).toBeGreaterThan(byBudget ? 5 : 10);
	return failed;
}

test.each(Object.keys(scenarios))("%s: what fails changes nothing, can be done again, and leaves nothing", (name) => {
	failEach(scenarios[name]);
});

test.each(Object.keys(scenarios))("%s: a budget that is used up changes nothing, and leaves nothing", (name) => {
	failEach(scenarios[name], true);
});

test("the places that can fail are of all kinds", () => {
	const failed = failEach(scenarios["mappings in several domains"]);
	expect(failed).toContain("an area");
	expect(failed).toContain("a page table");
	expect(failed).toContain("pinning pages");
});

test.each(Object.keys(scenarios))("%s: nothing is left of what could not be answered", (name) => {
	for (let nth = 1; ; nth++) {
		const copies = new FailNth(nth);
		const client = newClient();
		failCopies(client, copies);
		for (const step of scenarios[name](client)) if (codeOf(step) !== "ok") break;
		finish(client, `where the ${nth}th copy to the program failed`);
		if (copies.failed === undefined) break;
	}
});

/** Has copies to the memory of whoever makes an ioctl fail. */
function failCopies({ fd, memory }: TestClient, copies: FailNth): void {
	const ioctl = fd.ioctl.bind(fd);
	const write = memory.write.bind(memory);
	let isAnswering = false;
	fd.ioctl = (...call) => {
		isAnswering = true;
		try {
			return ioctl(...call);
		} finally {
			isAnswering = false;
		}
	};
	memory.write = (address, from) => (isAnswering && copies.shouldFail("failslab", "a copy") ? 0 : write(address, from));
}

test("what can be seen of a fault is its reason, which says what failed", () => {
	const client = newClient();
	const alloc = () => withFaults(new FailNth(1), () => client.call(IoasAlloc, {}));
	expect(alloc).toThrow(
		expect.objectContaining({ code: "ENOMEM", reason: "fault injection: there is no memory for IOAS" }),
	);
	const open = () => withFaults(new FailNth(1), newClient);
	expect(open).toThrow("fault injection: there is no memory for a context");
});
