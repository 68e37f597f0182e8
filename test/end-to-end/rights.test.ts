// A program that was started by root and has become somebody else: what it finds is what it could find without ioasis.

import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { ioasis, temporaryDirectory } from "./programs.js";

const directory = temporaryDirectory();
afterAll(directory.remove);

const isRoot = process.getuid!() === 0;
const client = "test/end-to-end/clients/swapped-link.mjs";

/** What a program finds by a link that changes all the time. */
function found(name: string, ...targets: string[]): string[] {
	const link = join(directory.path, name, "link");
	mkdirSync(join(directory.path, name));
	chmodSync(join(directory.path, name), 0o777);
	const run = ["run", "--quiet", "--machine", "intel", "--"];
	const { stdout, stderr } = ioasis(...run, process.execPath, client, link, ...targets);
	expect(stderr).toBe("");
	return JSON.parse(stdout);
}

// What isn't ours when we look is left to the kernel, which may see the link lead to us by then, and finds what the host has there.
test.runIf(isRoot)(
	"a link that changes while it is followed leads to nothing that the program can't open itself",
	() => {
		chmodSync(directory.path, 0o755);
		const [secret, open] = ["secret", "open"].map((name) => join(directory.path, name));
		writeFileSync(secret, "of root's", { mode: 0o600 });
		writeFileSync(open, "of everybody's", { mode: 0o644 });
		const vendor = "/sys/bus/pci/devices/0000:00:02.0/vendor";
		const all = [
			found("one", "/dev/iommu", secret),
			found("two", open, "/dev/iommu", secret),
			found("three", vendor, secret),
			found("four", vendor, "/dev/iommu"),
		];
		expect(all[0]).toEqual(expect.arrayContaining(["EACCES", "device"]));
		expect(all[1]).toEqual(expect.arrayContaining(["EACCES", "device", "of everybody's"]));
		expect(all[2]).toEqual(expect.arrayContaining(["EACCES", "0x1234\n"]));
		expect(all[3]).toEqual(expect.arrayContaining(["device", "0x1234\n"]));
		expect(all.flat()).not.toContain("of root's");
	},
);
