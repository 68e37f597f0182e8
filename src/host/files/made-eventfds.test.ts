import { closeSync, readFileSync, readSync, writeSync } from "node:fs";
import { expect, test } from "vitest";
import { MadeEventFds } from "./made-eventfds.js";

const infoOf = (fd: number) => readFileSync(`/proc/self/fdinfo/${fd}`, "utf8");

function counterOf(fd: number): bigint {
	const bytes = Buffer.alloc(8);
	readSync(fd, bytes);
	return bytes.readBigUInt64LE();
}

test("a copy of an eventfd is found by what /proc says of any fd that refers to it", () => {
	const made = new MadeEventFds();
	const [one, other] = [made.make(5, 0), made.make(7, 0)];
	const copy = made.copyOf(infoOf(one));
	expect(copy).not.toBe(one);
	expect(counterOf(copy)).toBe(5n);
	writeSync(copy, Buffer.from(BigUint64Array.of(2n).buffer));
	expect([counterOf(one), counterOf(other)]).toEqual([2n, 7n]);
	closeSync(copy);
});

test("what isn't an eventfd, or is one of somebody else's, has no copy", () => {
	const made = new MadeEventFds();
	const others = new MadeEventFds().make(0, 0);
	expect(made.copyOf(infoOf(others))).toBe(-1);
	expect(made.copyOf(infoOf(0))).toBe(-1);
	expect(made.copyOf(undefined)).toBe(-1);
});

test("of very many the oldest are given up, and no fds are lost", () => {
	const made = new MadeEventFds();
	const first = made.make(0, 0);
	const info = infoOf(first);
	const kept = made.copyOf(info);
	for (let i = 0; i < 600; i++) expect(made.make(0, 0)).not.toBe(-1);
	expect(made.copyOf(info)).toBe(-1);
	closeSync(kept);
});
