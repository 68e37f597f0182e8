import { expect, test } from "vitest";
import { parseTap, parseTestList, selectTests, unfinishedTest } from "./harness.js";

const LIST = `\
# FIXTURE            VARIANT                   TEST
global                                         
--------------------------------------------------------------------------------
plain                                          first
                                               second
--------------------------------------------------------------------------------
a_fixture_with_a_long_name one                       first
                     a_variant_with_quite_a_long_name second
                                               third
`;

const TAP = `\
TAP version 13
1..4
# Starting 4 tests from 2 test cases.
#  RUN           plain.first ...
#            OK  plain.first
ok 1 plain.first
#  RUN           plain.second ...
# program.c:66:second:Expected -1 (-1) != self->fd (-1)
# second: Test terminated by assertion
#          FAIL  plain.second
not ok 2 plain.second
#  RUN           long.one.first ...
#      SKIP      no such hardware
#            OK  long.one.first
ok 3 long.one.first # SKIP no such hardware
#  RUN           long.one.second ...
`;

test("every variant of a fixture has every test of it, and columns that are too narrow do no harm", () => {
	expect(parseTestList(LIST)).toEqual([
		"plain.first",
		"plain.second",
		"a_fixture_with_a_long_name.one.first",
		"a_fixture_with_a_long_name.one.second",
		"a_fixture_with_a_long_name.one.third",
		"a_fixture_with_a_long_name.a_variant_with_quite_a_long_name.first",
		"a_fixture_with_a_long_name.a_variant_with_quite_a_long_name.second",
		"a_fixture_with_a_long_name.a_variant_with_quite_a_long_name.third",
	]);
});

test("what a program says of itself is no test", () => {
	const said = `Using cdev device /dev/vfio/devices/vfio0\n${LIST}Created 1 VF (0000:09:10.0) under the PF: 0000:09:00.0\n`;
	expect(parseTestList(said)).toEqual(parseTestList(LIST));
});

test("a failed test's reason is the first thing that it said", () => {
	expect(parseTap(TAP)).toEqual([
		{ name: "plain.first", outcome: "passed" },
		{ name: "plain.second", outcome: "failed", reason: "program.c:66:second:Expected -1 (-1) != self->fd (-1)" },
		{ name: "long.one.first", outcome: "skipped", reason: "no such hardware" },
	]);
});

test("output that breaks off names the test in which it did", () => {
	expect(unfinishedTest(TAP)).toBe("long.one.second");
	expect(unfinishedTest(TAP.slice(0, TAP.indexOf("#  RUN           plain.second")))).toBeUndefined();
});

test("a selection names fixtures, variants, tests of all variants, or single tests", () => {
	const tests = ["f.a.x", "f.a.y", "f.b.x", "g.x"];
	expect(selectTests(tests, ["f"]).selected).toEqual(["f.a.x", "f.a.y", "f.b.x"]);
	expect(selectTests(tests, ["f.b"]).selected).toEqual(["f.b.x"]);
	expect(selectTests(tests, ["f.x", "g.x"]).selected).toEqual(["f.a.x", "f.b.x", "g.x"]);
	expect(selectTests(tests, ["f.a.y", "h"])).toEqual({ selected: ["f.a.y"], unknown: ["h"] });
});
