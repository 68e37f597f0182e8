import { expect, test } from "vitest";
import { atMost, type Figure, noGoal, ratio } from "./figure.js";
import { inUnit, ratioOf, reaches, tableOf } from "./report.js";

const figure = (name: string, goal: Figure["goal"]): Figure => ({
	name,
	what: "",
	against: "",
	unit: "us",
	goal,
	measure: () => ({ figure: [], floor: [] }),
});

test("the best round of each counts, because what disturbs only adds", () => {
	const measured = { figure: [9, 6, 7], floor: [4, 3, 8] };
	expect(ratioOf(measured)).toBe(2);
	expect(reaches(ratio(2), measured)).toBe(true);
	expect(reaches(ratio(1.9), measured)).toBe(false);
	expect(reaches(atMost(5), measured)).toBe(false);
	expect(reaches(noGoal, measured)).toBeUndefined();
	expect(reaches(ratio(2), { figure: [1], floor: [] })).toBeUndefined();
});

test("times are shown in the unit that suits them", () => {
	expect([
		inUnit(0.5, "ns"),
		inUnit(1234, "ns"),
		inUnit(98765, "us"),
		inUnit(2e6, "ms"),
		inUnit(293.4, "bytes"),
	]).toEqual(["0.50 ns", "1.23 us", "98.8 ms", "2000 s", "293 B"]);
});

test("the table has what was measured, and below it what was not, with the reason", () => {
	const lines = tableOf([
		{ figure: figure("fast", ratio(2)), measured: { figure: [6], floor: [4], cold: 60 } },
		{ figure: figure("slow", ratio(2)), measured: { figure: [12], floor: [4] } },
		{ figure: figure("absent", ratio(2)), skipped: "needs a C compiler" },
	]);
	expect(lines[1]).toMatch(/^fast +6\.00 us +4\.00 us +1\.50x +<= 2x +ok$/);
	expect(lines[2]).toMatch(/^slow .* 3\.00x +<= 2x +missed$/);
	expect(lines).toContain("  fast: the first time 60.0 us");
	expect(lines.at(-1)).toBe("  absent: needs a C compiler");
});
