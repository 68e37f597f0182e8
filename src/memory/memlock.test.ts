import { expect, test } from "vitest";
import { Errno } from "../uapi/errno.js";
import { ArraySpace } from "./array-space.js";
import { asItIs, Memlock } from "./memlock.js";

const owner = (uid: number, limit: number) => ({ uid, memlockLimit: () => limit });

test("two processes of one user share the user's limit, and each has its own in the process mode", () => {
	const memlock = new Memlock();
	const alice = owner(1000, 10 * 4096);
	const [first, second] = [new ArraySpace("first"), new ArraySpace("second")];
	memlock.charge("user", alice, first, 6);
	expect(() => memlock.charge("user", alice, second, 5)).toThrow(Errno);
	expect(memlock.counted("user", alice, second)).toBe(6);
	memlock.charge("mm", alice, first, 10);
	memlock.charge("mm", alice, second, 10);
	memlock.uncharge("user", alice, first, 6);
	memlock.charge("user", alice, second, 10);
});

test("what a process has locked itself counts in its own mode, and not for its user", () => {
	const memlock = new Memlock();
	const alice = owner(1000, 10 * 4096);
	const space = new ArraySpace("alice's memory");
	space.selfLocked = 7;
	memlock.charge("user", alice, space, 10);
	memlock.charge("mm", alice, space, 2);
	expect(() => memlock.charge("mm", alice, space, 2)).toThrow(
		"alice's memory has 2 pages pinned and 7 locked by mlock(2), and 2 more exceed its RLIMIT_MEMLOCK, 10 pages (40 KiB)",
	);
	memlock.charge("mm", alice, space, 1);
	space.selfLocked = 0;
	memlock.charge("mm", alice, space, 7);
	expect(memlock.shown(space).locked).toBe(10);
});

test("the mode none counts nothing", () => {
	const memlock = new Memlock();
	const poor = owner(1000, 0);
	const space = new ArraySpace();
	memlock.charge("none", poor, space, 1_000_000);
	expect(memlock.counted("none", poor, space)).toBe(0);
});

test("the limit is looked at when it is needed, as it may change", () => {
	const memlock = new Memlock();
	let limit = 4096;
	const changing = { uid: 1, memlockLimit: () => limit };
	const space = new ArraySpace();
	expect(() => memlock.charge("user", changing, space, 2)).toThrow("2 more exceed RLIMIT_MEMLOCK, 1 page (4 KiB)");
	limit = 8192;
	memlock.charge("user", changing, space, 2);
});

test("what is shown of a process is all that is pinned for it, and what is counted for it alone", () => {
	const memlock = new Memlock();
	const alice = owner(1000, 100 * 4096);
	const space = new ArraySpace();
	memlock.charge("none", alice, space, 1);
	memlock.charge("user", alice, space, 2);
	memlock.charge("mm", alice, space, 4);
	expect(memlock.shown(space)).toEqual({ pinned: 7, locked: 4 });
	memlock.uncharge("mm", alice, space, 4);
	expect(memlock.shown(space)).toEqual({ pinned: 3, locked: 0 });
});

test("what was counted for a user is taken off that user, whoever the process is by then", () => {
	const memlock = new Memlock();
	const space = new ArraySpace();
	const changing = { uid: 1000, memlockLimit: () => 10 * 4096 };
	const then = asItIs(changing);
	memlock.charge("user", then, space, 10);
	changing.uid = 1001;
	memlock.uncharge("user", then, space, 10);
	expect(memlock.counted("user", owner(1000, 0), space)).toBe(0);
	expect(memlock.counted("user", changing, space)).toBe(0);
});
