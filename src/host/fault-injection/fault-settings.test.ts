// Numbers in debugfs that a program and we write at the same time.

import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { close } from "../linux/libc.js";
import { DEBUGFS, FaultSettings } from "./fault-settings.js";

const parent = mkdtempSync(join(tmpdir(), "ioasis-test-"));
const settings = new FaultSettings(["failslab"], join(parent, "ioasis-1-a-debug"));
afterEach(() => {
	settings.remove();
	expect(readdirSync(parent)).toEqual([]);
	rmSync(parent, { recursive: true });
});

/** Where a file really is. */
function realPath(name: string): string {
	const fd = settings.open(`${DEBUGFS}/failslab/${name}`, 0);
	const path = readlinkSync(`/proc/self/fd/${fd}`);
	close(fd);
	return path;
}

test("what a program writes while we count down isn't lost", () => {
	const probability = realPath("probability");
	const attr = settings.attrs.get("failslab")!;
	attr.times = 7;
	writeFileSync(probability, "50\n");
	settings.show();
	settings.update();
	expect([attr.probability, attr.times]).toEqual([50, 7]);
	attr.times = 6;
	settings.show();
	settings.update();
	settings.update();
	expect([attr.probability, attr.times]).toEqual([50, 6]);
});
