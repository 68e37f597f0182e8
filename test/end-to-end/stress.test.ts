import { afterAll, describe, expect, test } from "vitest";
import { buildClient, hasCompiler, ioasis, temporaryDirectory } from "./programs.js";

const directory = temporaryDirectory();
afterAll(directory.remove);

describe.skipIf(!hasCompiler)("under stress (needs a C compiler)", () => {
	test("eight threads and four children on one fd each get their own answers, and nothing is left", () => {
		const { status, stdout, stderr } = ioasis("run", "--", buildClient("hammer", directory.path));
		expect(stderr).toBe(
			"ioasis: 15601 calls, no errors\nioasis: left allocated: 1200 IOAS when /dev/iommu was closed\n",
		);
		expect(stdout).toBe("15600 calls\n");
		expect(status).toBe(0);
	}, 120_000);

	test("a client that is killed in the middle, 200 times, leaves no object, no pinned page and no fd", () => {
		const { status, stdout, stderr } = ioasis("run", "--", buildClient("killed", directory.path));
		const [before, after] = [...stdout.matchAll(/\d+/g)].map(Number);
		expect(before).toBeGreaterThan(3);
		expect(after).toBeLessThanOrEqual(before);
		// What the killed ones left in their files is told; pages, tables or files that are there still would be too.
		for (const [, left] of stderr.matchAll(/left allocated: (.*)/g))
			expect(left).toMatch(/ when \/dev\/iommu was closed$/);
		expect(stderr).not.toContain("internal error");
		// Most of them were killed in the middle of something.
		expect(Number(stderr.match(/(\d+) calls/)?.[1])).toBeGreaterThan(400);
		expect(status).toBe(0);
	}, 120_000);

	test("a program that is linked statically is served like any other", () => {
		const { status, stdout } = ioasis("run", "--quiet", "--", buildClient("hammer", directory.path, ["-static"]), "4");
		expect(stdout).toBe("312 calls\n");
		expect(status).toBe(0);
	}, 60_000);
});
