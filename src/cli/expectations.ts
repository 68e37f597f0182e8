// --expect FILE: which combinations may fail. docs/matrix.md shows one.

import * as v from "valibot";
import { policies } from "../iommufd/hwpt-policy.js";
import { explain, messageOf, notJson } from "../machine/errors.js";
import { errnoNumbers } from "../uapi/errno.js";
import type { Outcome } from "./combination.js";

const ALL = "leave it out to mean all";
/** In the table and in --machines a machine is called by its name or its file, and there may be others in another run. */
const machineNames = v.pipe(v.array(v.string()), v.minLength(1, ALL));
const policyNames = v.pipe(v.array(v.picklist([...policies.keys()])), v.minLength(1, ALL));

const allowance = v.strictObject({
	/** Absent: all of them. */
	machines: v.optional(machineNames),
	policies: v.optional(policyNames),
	/** The first call that fails, and its errno. Absent: any, or none. */
	call: v.optional(v.string()),
	errno: v.optional(v.picklist(Object.keys(errnoNumbers))),
	/** For people. */
	because: v.optional(v.string()),
});

const schema = v.strictObject({ mayFail: v.array(allowance) });

type Allowance = v.InferOutput<typeof allowance>;
export type Expectations = v.InferOutput<typeof schema>;

/**
 * Reads expectations.
 * @param source where the text is from, for the message
 * @throws Error that names the field
 */
export function parseExpectations(text: string, source: string): Expectations {
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch (error) {
		throw new Error(notJson(source, error));
	}
	const result = v.safeParse(schema, value, { message: messageOf });
	if (result.success) return result.output;
	throw new Error(`${source}: ${explain(result.issues, schema)}`);
}

/** The first entry that allows an outcome to be a failure. */
export function allowanceFor(
	{ mayFail }: Expectations,
	{ machine, policy, firstFailure }: Pick<Outcome, "machine" | "policy" | "firstFailure">,
): Allowance | undefined {
	return mayFail.find(
		({ machines, policies, call, errno }) =>
			(machines?.includes(machine) ?? true) &&
			(policies?.includes(policy) ?? true) &&
			(call === undefined || call === firstFailure?.call) &&
			(errno === undefined || errno === firstFailure?.errno),
	);
}
