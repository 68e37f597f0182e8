// Random ioctls through the supervisor: a short form of what test/fuzz/ does to the engine alone.

import { afterAll, expect, test } from "vitest";
import { buildClient, hasCompiler, ioasis, temporaryDirectory } from "./programs.js";

const directory = temporaryDirectory();
afterAll(directory.remove);

const SECONDS = "6";
/** Node itself takes some 90 MiB, and the engine's garbage as much again; in KiB. */
const ENOUGH = 320 * 1024;

test.skipIf(!hasCompiler)(
	"four processes of random calls make no internal error, leave nothing, and the supervisor's memory is bounded",
	() => {
		const { status, stdout, stderr } = ioasis("run", "--", buildClient("random", directory.path), "1", SECONDS);
		expect(stderr).toMatch(/^ioasis: \d{4,} calls/);
		expect(stderr).not.toContain("internal error");
		// What the processes left to the closing of their files is told; what is there still would be too.
		expect(stderr).not.toMatch(/left allocated: .*(pinned|in use|is open)/);
		const sizes = [...stdout.matchAll(/^round \d+, (\d+)$/gm)].map(([, size]) => Number(size));
		expect(stdout).not.toContain("a process ended");
		expect(Math.max(...sizes)).toBeLessThan(ENOUGH);
		expect(status).toBe(0);
	},
	60_000,
);
