import { expect, test } from "vitest";
import { statusWith } from "./process-status.js";

const status = "Name:\tcat\nVmSize:\t    5760 kB\nVmLck:\t       8 kB\nVmPin:\t       0 kB\nVmHWM:\t    1920 kB\n";

test("what is pinned here is added to what the kernel says, and nothing else changes", () => {
	expect(statusWith(status, { pinned: 3, locked: 1 })).toBe(
		"Name:\tcat\nVmSize:\t    5760 kB\nVmLck:\t      12 kB\nVmPin:\t      12 kB\nVmHWM:\t    1920 kB\n",
	);
});

test("a number that is longer than its column is written out", () => {
	expect(statusWith("VmPin:\t       0 kB\n", { pinned: 2 ** 28, locked: 0 })).toBe("VmPin:\t1073741824 kB\n");
});

test("a process without memory, a kernel thread, has no such lines", () => {
	expect(statusWith("Name:\tkthreadd\n", { pinned: 1, locked: 1 })).toBe("Name:\tkthreadd\n");
});
