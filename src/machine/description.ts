// What a machine description says: the schema of the files in machines/, and the errors for a wrong one.

import * as v from "valibot";

const contiguity = v.picklist(["4K", "2M", "1G", "as-addresses"]);

const schema = v.strictObject({
	name: v.pipe(v.string(), v.nonEmpty("a machine needs a name")),
	/** One line for `ioasis machines`. */
	description: v.string(),
	/** The mock IOMMU of CONFIG_IOMMUFD_TEST, and IOMMU_TEST_CMD. */
	selftest: v.optional(v.boolean(), false),
	memory: v.optional(
		v.strictObject({
			/** How far physical memory follows the virtual addresses. */
			contiguity: v.optional(contiguity, "as-addresses"),
		}),
	),
});

export type MachineDescription = v.InferOutput<typeof schema>;

/** A description that can't be used, with the field that is wrong. */
export class MachineDescriptionError {
	readonly message: string;

	constructor(message: string) {
		this.message = message;
	}
}

/**
 * Reads a description.
 * @param source where the text is from, for the message
 * @throws MachineDescriptionError that names the field
 */
export function parseMachineDescription(text: string, source: string): MachineDescription {
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch (error) {
		throw new MachineDescriptionError(`${source} is not JSON: ${(error as Error).message}`);
	}
	const result = v.safeParse(schema, value);
	if (result.success) return result.output;
	const [issue] = result.issues;
	const field = v.getDotPath(issue);
	throw new MachineDescriptionError(`${source}: ${field === null ? "" : `${field}: `}${issue.message}`);
}
