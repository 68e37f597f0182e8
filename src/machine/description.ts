// What a machine description says: the schema of the files in machines/. docs/machines.md says it to those who write one.

import * as v from "valibot";
import { explain, MachineDescriptionError, messageOf, notJson } from "./errors.js";
import { iommuDescription } from "./iommu-description.js";

export { MachineDescriptionError } from "./errors.js";

const contiguity = v.picklist(["4K", "2M", "1G", "as-addresses"]);

const schema = v.strictObject({
	name: v.pipe(v.string(), v.nonEmpty("a machine needs a name")),
	/** One line for `ioasis machines`. */
	description: v.string(),
	/** The mock IOMMU of CONFIG_IOMMUFD_TEST, and IOMMU_TEST_CMD. */
	selftest: v.optional(v.boolean(), false),
	/** What /dev/vfio/vfio is: VFIO's own containers (CONFIG_VFIO_CONTAINER), or iommufd (CONFIG_IOMMUFD_VFIO_CONTAINER). */
	container: v.optional(v.picklist(["vfio", "iommufd"]), "vfio"),
	/** The other IOMMUs, each with the PCI functions behind it. VFIO numbers the functions in this order. */
	iommus: v.optional(v.array(iommuDescription), []),
	memory: v.optional(
		v.strictObject({
			/** How far physical memory follows the virtual addresses. */
			contiguity: v.optional(contiguity, "as-addresses"),
		}),
	),
});

export type MachineDescription = v.InferOutput<typeof schema>;

/**
 * Reads a description.
 * @param source where the text is from, for the message
 * @throws MachineDescriptionError that names the field
 */
export function parseMachineDescription(text: string, source: string): MachineDescription {
	return checkMachineDescription(parseJson(text, source), source);
}

/** @throws MachineDescriptionError */
export function parseJson(text: string, source: string): unknown {
	try {
		return JSON.parse(text);
	} catch (error) {
		throw new MachineDescriptionError(notJson(source, error));
	}
}

/** The same for what is no text any more. @throws MachineDescriptionError that names the field */
export function checkMachineDescription(value: unknown, source: string): MachineDescription {
	const result = v.safeParse(schema, value, { message: messageOf });
	if (result.success) return result.output;
	throw new MachineDescriptionError(`${source}: ${explain(result.issues, schema)}`);
}
