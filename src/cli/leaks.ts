// What a run left that a run without faults doesn't leave.

import type { End } from "./report-file.js";

/** "1 IOAS, 2 HWPT_PAGING when /dev/iommu was closed": a place, and how many of each kind are there. */
const LINE = /^((?:\d+ \w+(?:, )?)+)( when .*)$/;

/** Each line says how much more there is than there was. */
export function leaksBeyond(usual: readonly string[], now: readonly string[]): string[] {
	const before = counts(usual);
	return [...counts(now)].flatMap(([what, count]) => {
		const more = count - (before.get(what) ?? 0);
		return more > 0 ? [count === 1 && !/^ \w+ when/.test(what) ? what.trim() : `${more}${what}`] : [];
	});
}

/** What a report's end says of leftovers; undefined for a run that was cut short. */
export function leftoversOf(end: End | undefined): readonly string[] | undefined {
	return end && [...end.leftovers, ...end.stillOpen.map((path) => `${path} is still open elsewhere`)];
}

function counts(lines: readonly string[]): Map<string, number> {
	const all = new Map<string, number>();
	const add = (what: string, count: number) => all.set(what, (all.get(what) ?? 0) + count);
	for (const line of lines) {
		const [, list, where] = line.match(LINE) ?? [];
		if (list === undefined) {
			// "12 pages are pinned", "/dev/iommu is open (1 IOAS)"
			const [, number, rest] = line.match(/^(\d+)( .*)$/) ?? [];
			if (number === undefined) add(line, 1);
			else add(rest, Number(number));
			continue;
		}
		for (const [, number, kind] of list.matchAll(/(\d+) (\w+)/g)) add(` ${kind}${where}`, Number(number));
	}
	return all;
}
