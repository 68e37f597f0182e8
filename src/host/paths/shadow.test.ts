// The machine's files as real ones.

import {
	existsSync,
	lstatSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	rmSync,
	statSync,
	symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { FileTree, READ_WRITE } from "../../machine/file-tree.js";
import { RLIMIT_NOFILE } from "../linux/flags.js";
import { NativeMemory, prlimit } from "../linux/libc.js";
import { Shadow } from "./shadow.js";

let parent: string;
beforeEach(() => {
	parent = mkdtempSync(join(tmpdir(), "ioasis-test-"));
});
afterEach(() => {
	vi.restoreAllMocks();
	rmSync(parent, { recursive: true });
});

function shadow(name = "ioasis-1-a"): Shadow {
	const tree = new FileTree();
	tree.addFile("/sys/toy/size", "1\n");
	tree.addFile("/sys/toy/bytes", Uint8Array.of(0, 255), READ_WRITE);
	tree.addLink("/sys/toys/toy", "/sys/toy");
	tree.addDevice("/dev/toy", 10, 1);
	return new Shadow(() => tree, join(parent, name));
}

test("there is nothing until somebody looks, and nothing afterwards", () => {
	const made = shadow();
	expect(readdirSync(parent)).toEqual([]);
	made.make();
	made.make();
	expect(readdirSync(parent)).toEqual(["ioasis-1-a"]);
	made.remove();
	made.remove();
	expect(readdirSync(parent)).toEqual([]);
});

test("files, links and devices are what they are in the tree, whatever the umask is", () => {
	const before = process.umask(0o077);
	const made = shadow();
	made.make();
	process.umask(before);
	const at = (path: string) => lstatSync(made.realPath(path));
	expect(readFileSync(made.realPath("/sys/toy/bytes"))).toEqual(Buffer.of(0, 255));
	expect(readlinkSync(made.realPath("/sys/toys/toy"))).toBe("../toy");
	expect(at("/dev/toy").isCharacterDevice()).toBe(true);
	expect(["/sys", "/sys/toy/size", "/sys/toy/bytes"].map((path) => at(path).mode & 0o777)).toEqual([
		0o755, 0o444, 0o644,
	]);
	made.remove();
});

test("bytes that have changed can be put there anew", () => {
	const tree = new FileTree();
	const bytes = Uint8Array.of(1, 2);
	tree.addFile("/sys/bytes", bytes);
	const made = new Shadow(() => tree, join(parent, "ioasis-1-a"));
	made.make();
	bytes[1] = 3;
	made.refresh("/sys/bytes", tree.walk("/sys/bytes", true).node!);
	expect(readFileSync(made.realPath("/sys/bytes"))).toEqual(Buffer.of(1, 3));
	made.remove();
	made.refresh("/sys/bytes", tree.walk("/sys/bytes", true).node!);
});

test("a path in it has its name in the tree", () => {
	const made = shadow();
	expect(made.treePath(made.realPath("/sys/toy"))).toBeUndefined();
	made.make();
	expect(made.treePath(made.realPath("/sys/toy"))).toBe("/sys/toy");
	expect(made.treePath(made.directory)).toBe("/");
	expect(made.treePath(`${made.directory}b/sys`)).toBeUndefined();
	made.remove();
});

test("links on the way to the temporary directory make no difference", () => {
	symlinkSync(parent, join(parent, "link"));
	const made = shadow("link/ioasis-1-a");
	made.make();
	expect(made.treePath(join(parent, "ioasis-1-a", "sys"))).toBe("/sys");
	made.remove();
});

test("what was left by one that was killed is removed by the next, what is in use isn't", () => {
	const inUse = shadow("ioasis-2-b");
	inUse.make();
	mkdirSync(join(parent, "ioasis-3-c", "sys"), { recursive: true });
	mkdirSync(join(parent, "something-else"));
	const fresh = shadow("ioasis-4-d");
	fresh.make();
	expect(readdirSync(parent)).toContain("ioasis-3-c"); // Its lock may only be about to be taken.
	fresh.remove();
	const inTwoMinutes = Date.now() + 120_000;
	vi.spyOn(Date, "now").mockReturnValue(inTwoMinutes);
	fresh.make();
	expect(readdirSync(parent).sort()).toEqual(["ioasis-2-b", "ioasis-4-d", "something-else"]);
	fresh.remove();
	inUse.remove();
});

test("a random path leads in the tree to where the kernel comes with the real files", () => {
	const tree = new FileTree();
	for (const owned of ["/sys", "/dev"]) tree.own(owned);
	tree.addFile("/sys/devices/b/toy/size", "1\n");
	tree.addLink("/sys/class/toy", "/sys/devices/b/toy");
	tree.addLink("/sys/devices/b/toy/subsystem", "/sys/class");
	tree.addLink("/sys/class/loop", "/sys/class/loop");
	tree.addDevice("/dev/toy", 10, 1);
	const made = new Shadow(() => tree, join(parent, "ioasis-1-a"));
	made.make();
	const names = ["", ".", "..", "sys", "devices", "b", "toy", "size", "class", "subsystem", "loop", "dev", "nothing"];
	const starts = ["/sys/class", "/sys/class/toy", "/sys/devices/b", "/sys/devices/b/toy/.", "/dev/."];
	const path = fc.tuple(fc.constantFrom(...starts), fc.array(fc.constantFrom(...names), { maxLength: 6 }));
	fc.assert(
		fc.property(path, fc.boolean(), ([start, rest], followsLast) => {
			const given = [start, ...rest].join("/");
			const { path: place, problem, isInside, assumed } = tree.walk(given, followsLast);
			// Above the tree's own there is more than the tree in the real directory.
			const staysInside = isInside && assumed.length === 0 && /^\/(sys|dev)(\/|$)/.test(place);
			fc.pre(staysInside && rest.filter((name) => name === "..").length < 2);
			expect([given, problem ?? inodeOf(made.realPath(place))]).toEqual([
				given,
				found(made.realPath(given), followsLast),
			]);
		}),
		{ numRuns: 3000 },
	);
	made.remove();
});

const inodeOf = (path: string) => lstatSync(path).ino;

/** What the kernel finds: an inode's number or why there is none. */
function found(path: string, followsLast: boolean): number | string {
	try {
		return (followsLast ? statSync(path) : lstatSync(path)).ino;
	} catch (error) {
		return (error as NodeJS.ErrnoException).code ?? "";
	}
}

test("when it can't be made it is an error that says where, and nothing is half there", () => {
	const made = shadow("missing/ioasis-1-a");
	expect(() => made.make()).toThrow(expect.objectContaining({ code: "EIO" }));
	expect([made.isMade, existsSync(made.directory)]).toEqual([false, false]);
});

test("when it could not be made for want of fds it can be made later", () => {
	const [before, none] = [new NativeMemory(16), new NativeMemory(16)];
	prlimit(0, RLIMIT_NOFILE, 0, before.address);
	none.setU64(2, before.u64(2));
	const made = shadow();
	prlimit(0, RLIMIT_NOFILE, none.address, 0);
	try {
		expect(() => made.make()).toThrow(expect.objectContaining({ code: "EIO" }));
	} finally {
		prlimit(0, RLIMIT_NOFILE, before.address, 0);
	}
	expect([made.isMade, existsSync(made.directory)]).toEqual([false, false]);
	made.make();
	expect(made.isMade).toBe(true);
	made.remove();
});
