import { expect, test } from "vitest";
import { junit } from "./junit.js";
import type { Failure } from "./report-file.js";
import type { Judged } from "./verdict.js";

const failure = { call: "IOMMU_HWPT_ALLOC", errno: "EOPNOTSUPP", reason: 'it has <no> "op"' } as Failure;
const outcome = (values: Partial<Judged>): Judged => ({
	machine: "intel",
	policy: "mainline",
	ending: { kind: "exited", code: 0 },
	failures: [],
	firstFailure: undefined,
	seconds: 0.25,
	output: "",
	verdict: "passes",
	because: undefined,
	...values,
});
const failed = { ending: { kind: "exited", code: 1 }, firstFailure: failure } as const;

test("a combination is a test case, its machine the class; what may fail is skipped, and says why", () => {
	const outcomes = [
		outcome({}),
		outcome({ ...failed, verdict: "fails" }),
		outcome({ ...failed, machine: "s390", verdict: "fails as expected", because: "it has no op" }),
	];
	expect(junit(outcomes, ["./test", "--all"])).toBe(`<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="3" failures="1" skipped="1" errors="0" time="0.750">
	<testsuite name="ioasis matrix: ./test --all" tests="3" failures="1" skipped="1" errors="0" time="0.750">
		<testcase classname="intel" name="mainline" time="0.250">
		</testcase>
		<testcase classname="intel" name="mainline" time="0.250">
			<failure type="exit 1" message="IOMMU_HWPT_ALLOC: EOPNOTSUPP: it has &lt;no&gt; &quot;op&quot;">exit 1
IOMMU_HWPT_ALLOC: EOPNOTSUPP: it has &lt;no&gt; &quot;op&quot;</failure>
		</testcase>
		<testcase classname="s390" name="mainline" time="0.250">
			<skipped message="exit 1, as expected: it has no op"/>
		</testcase>
	</testsuite>
</testsuites>
`);
});

test("whatever a program writes is well-formed", () => {
	const output = "\x1b[31mred\x1b[0m & <\0> \u{1f600} \ud800 ]]>\n";
	expect(junit([outcome({ output })], ["x"])).toContain(
		"<system-out>red &amp; &lt;\ufffd&gt; \u{1f600} \ufffd ]]&gt;\n</system-out>",
	);
});
