// Finding allocation rules by their names, as --policy and --policies give them.

import { type HwptPolicy, policies } from "../iommufd/hwpt-policy.js";
import { refuse } from "./complain.js";

/** The rule of that name; ends with a complaint if there is none. */
export function policyNamed(name: string): HwptPolicy {
	const policy = policies.get(name);
	if (policy === undefined)
		refuse(`there is no policy "${name}"`, `the policies are: ${[...policies.keys()].join(", ")}`);
	return policy;
}
