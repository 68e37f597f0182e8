// Paths through a tree of files, as the kernel would walk them.

import { expect, test } from "vitest";
import { FileTree } from "./file-tree.js";

const tree = new FileTree();
tree.own("/sys/class/toys");
tree.ownAll("/sys/devices/box");
tree.own("/dev/toy");
tree.addFile("/sys/devices/box0/toy/size", "1\n");
tree.addLink("/sys/class/toys/toy", "/sys/devices/box0/toy");
tree.addLink("/sys/devices/box0/toy/subsystem", "/sys/class/toys");
tree.addLink("/sys/class/toys/loop", "/sys/class/toys/loop");
tree.addDevice("/dev/toy", 10, 1);

/** The path and what is there. */
const walk = (path: string, followsLast = true) => {
	const found = tree.walk(path, followsLast);
	return [found.path, found.problem ?? found.node?.kind];
};

test("links are relative to where they are, and lead from one directory to another", () => {
	expect(tree.walk("/sys/class/toys/toy", false).node).toEqual({ kind: "link", target: "../../devices/box0/toy" });
	expect(walk("/sys/class/toys/toy/size")).toEqual(["/sys/devices/box0/toy/size", "file"]);
	expect(walk("/sys/class/toys/toy/subsystem/toy/size")).toEqual(["/sys/devices/box0/toy/size", "file"]);
});

test("a last link is followed where that is asked for, or where a slash comes after it", () => {
	expect(walk("/sys/class/toys/toy", true)).toEqual(["/sys/devices/box0/toy", "directory"]);
	expect(walk("/sys/class/toys/toy", false)).toEqual(["/sys/class/toys/toy", "link"]);
	expect(walk("/sys/class/toys/toy/", false)).toEqual(["/sys/devices/box0/toy", "directory"]);
	expect(walk("/sys/class/toys/loop", true)).toEqual(["/sys/class/toys", "ELOOP"]);
});

test('".." after a link is the directory above that which the link leads to', () => {
	expect(walk("/sys/class/toys/toy/..")).toEqual(["/sys/devices/box0", "directory"]);
	expect(walk("/sys/class/toys/../toys/./toy//size")).toEqual(["/sys/devices/box0/toy/size", "file"]);
	expect(walk("/../../dev/toy")).toEqual(["/dev/toy", "device"]);
});

test("what is missing from an owned directory isn't there", () => {
	expect(walk("/sys/class/toys/other")).toEqual(["/sys/class/toys/other", "ENOENT"]);
	expect(walk("/sys/class/toys/other/../toy")).toEqual(["/sys/class/toys/other", "ENOENT"]);
	expect(walk("/sys/devices/box7/toy")).toEqual(["/sys/devices/box7", "ENOENT"]);
	expect(walk("/dev/toy/more")).toEqual(["/dev/toy", "ENOTDIR"]);
	expect(walk("/dev/toy/")).toEqual(["/dev/toy", "ENOTDIR"]);
});

test("of what is not owned nothing is known, and a path can lead through it", () => {
	expect(walk("/sys/class/net/eth0")).toEqual(["/sys/class/net/eth0", undefined]);
	expect(walk("/usr/../dev/toy")).toEqual(["/dev/toy", "device"]);
	expect(tree.walk("/usr/lib/../../dev/toy", true).assumed).toEqual(["/usr/lib", "/usr"]);
	expect(tree.walk("/sys/class/toys/toy/../../../dev/toy", true)).toMatchObject({ assumed: [], isInside: true });
	expect(tree.walk("/sys/class/../class", true)).toMatchObject({ path: "/sys/class", isInside: false });
	expect(walk("/dev/toys")).toEqual(["/dev/toys", undefined]);
	expect(walk("/sys/class/toysoldier")).toEqual(["/sys/class/toysoldier", undefined]);
	expect(tree.walk("/sys/class/toysoldier", true).isInside).toBe(false);
});

test("the longest path takes no longer than any other, within reason", () => {
	const start = performance.now();
	for (const beginning of ["/dev", "/sys/class/toys/toy", ""]) tree.walk(`${beginning}${"/a".repeat(2000)}`, true);
	expect(performance.now() - start).toBeLessThan(500);
});
