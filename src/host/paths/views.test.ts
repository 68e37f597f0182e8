// What a look leads to, and that nothing of it stays open.

import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { close } from "../linux/libc.js";
import { openDirectory } from "../linux/proc.js";
import { AT_FDCWD } from "../linux/stat.js";
import { OurView, TheirView } from "./views.js";

const viewer = { thread: process.pid, directory: AT_FDCWD };
const views = () => [new OurView(viewer), new TheirView(viewer)];

let directory: string;
beforeAll(() => {
	directory = realpathSync(mkdtempSync(join(tmpdir(), "ioasis-test-")));
	mkdirSync(join(directory, "inner"));
	symlinkSync("inner", join(directory, "link"));
});
afterAll(() => rmSync(directory, { recursive: true }));

test("a look leaves no file open, whatever it finds", () => {
	const openFds = () => readdirSync("/proc/self/fd").length;
	const before = openFds();
	for (const view of views()) {
		const paths = ["link", "link/missing", "missing/..", "link/.."].map((path) =>
			view.canonical(join(directory, path)),
		);
		expect(paths).toEqual([`${directory}/inner`, `${directory}/inner/missing`, directory, directory]);
		expect([view.readLink(join(directory, "link")), view.readLink(directory)]).toEqual(["inner", undefined]);
		expect([view.isDirectory(directory), view.isDirectory(join(directory, "link"))]).toEqual([true, false]);
	}
	expect(openFds()).toBe(before);
});

test("slashes behind a name in /proc for an open directory lead no further than one", () => {
	const fd = openDirectory(directory);
	for (const slashes of ["/", "//", "///"])
		for (const view of views()) expect(view.readLink(`/proc/self/fd/${fd}${slashes}link`)).toBe("inner");
	close(fd);
});
