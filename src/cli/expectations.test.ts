import { expect, test } from "vitest";
import { allowanceFor, parseExpectations } from "./expectations.js";
import type { Failure } from "./report-file.js";

const firstFailure = { call: "IOMMU_HWPT_ALLOC", errno: "EOPNOTSUPP" } as Failure;
const outcome = { machine: "s390-2023", policy: "posted", firstFailure };

const allows = (...mayFail: object[]) =>
	allowanceFor(parseExpectations(JSON.stringify({ mayFail }), "expect.json"), outcome) !== undefined;

test("an entry allows what all of its fields fit, and a field that is left out fits everything", () => {
	expect(allows()).toBe(false);
	expect(allows({})).toBe(true);
	expect(allows({ machines: ["intel", "s390-2023"], policies: ["posted"] })).toBe(true);
	expect(allows({ machines: ["s390-2023"], policies: ["agreed"] })).toBe(false);
	expect(allows({ call: "IOMMU_HWPT_ALLOC", errno: "ENOMEM" })).toBe(false);
	expect(allows({ errno: "ENOMEM" }, { errno: "EOPNOTSUPP" })).toBe(true);
});

test("an entry that names a call doesn't allow a failure without one", () => {
	const expectations = parseExpectations('{ "mayFail": [{ "call": "IOMMU_HWPT_ALLOC" }] }', "expect.json");
	expect(allowanceFor(expectations, { ...outcome, firstFailure: undefined })).toBeUndefined();
});

test.each([
	["{", /^expect\.json is not JSON/],
	["{}", /^expect\.json: the field "mayFail" is missing$/],
	['{ "mayFail": {} }', /^expect\.json: mayFail: a list is expected here, and this is an object$/],
	[
		'{ "mayFail": [{ "machine": "intel" }] }',
		/^expect\.json: mayFail\.0: unknown field "machine": did you mean "machines"\?$/,
	],
	[
		'{ "mayFail": [{ "policies": ["postd"] }] }',
		/^expect\.json: mayFail\.0\.policies\.0: "postd" is none of .*"posted"/,
	],
	[
		'{ "mayFail": [{ "errno": "EOPNOTSUP" }] }',
		/^expect\.json: mayFail\.0\.errno: "EOPNOTSUP" is none of .*"EOPNOTSUPP"/,
	],
	['{ "mayFail": [{ "machines": [] }] }', /^expect\.json: mayFail\.0\.machines: leave it out to mean all/],
])("of %s the field that is wrong is named", (text, message) => {
	expect(() => parseExpectations(text, "expect.json")).toThrow(message);
});
