// A short form of `node test/fuzz/run.mjs`: ten seconds of random calls, on each kind of machine.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { MACHINES } from "./main.js";
import { type Result, Rounds } from "./rounds.js";

const SECONDS = 10 / MACHINES.length;
const GENERAL = "Any ioctl";

/** The errnos of each call, as docs/errno.md has them. */
function documented(): Map<string, Set<string>> {
	const text = readFileSync(new URL("../../docs/errno.md", import.meta.url), "utf8");
	const sections = text.split(/^##+ /m).slice(1);
	return new Map(
		sections.map((section) => [section.slice(0, section.indexOf("\n")), new Set(section.match(/(?<=^\| `)E\w+/gm))]),
	);
}

/** Answers that the guide doesn't have. */
function undocumented({ answers }: Result): string[] {
	const guide = documented();
	return [...answers.keys()].filter((answer) => {
		const [, call, errno] = answer.match(/^(.*) (\S+)$/)!;
		const section = call.match(/^IOMMU_TEST_CMD \((.*)\)$/)?.[1] ?? call;
		// Opens, reads and writes have sections of longer names, and are few.
		if (errno === "ok" || !/^(IOMMU|VFIO)_/.test(call)) return false;
		return !guide.get(GENERAL)?.has(errno) && !guide.get(section)?.has(errno);
	});
}

test.each(MACHINES)(
	"random calls on %s: every answer is an Errno that docs/errno.md has, and nothing outlives its fd",
	(name) => {
		const result = new Rounds(name).run(1, Number.POSITIVE_INFINITY, SECONDS * 1000);
		expect(result.calls).toBeGreaterThan(1000);
		expect(undocumented(result)).toEqual([]);
		const [early, late] = result.heap;
		expect(late - early).toBeLessThan(16 * 2 ** 20);
	},
	30_000,
);
