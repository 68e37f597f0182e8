// What a machine description says: the schema of the files in machines/. docs/machines.md says it to those who write one.

import * as v from "valibot";
import { printable } from "../trace/printable.js";
import { explain, MachineDescriptionError, messageOf, placeOfFirst } from "./errors.js";
import { iommuDescription } from "./iommu-description.js";
import { JsonError, type JsonText, parseJsonText, type TextPlace } from "./json-text.js";

export { MachineDescriptionError } from "./errors.js";

const contiguity = v.picklist(["4K", "2M", "1G", "as-addresses"]);

/** Text that messages quote. */
const oneLine = v.pipe(
	v.string(),
	v.check((text) => printable(text) === text, "it has characters that a terminal obeys, or an end of line"),
);

/** Of a machine file. */
export const machineSchema = v.strictObject({
	/** For editors: where the schema of these files is. */
	$schema: v.optional(v.string()),
	name: v.pipe(oneLine, v.nonEmpty("a machine needs a name")),
	/** One line for `ioasis machines`. */
	description: oneLine,
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

export type MachineDescription = v.InferOutput<typeof machineSchema>;

/**
 * Reads a description.
 * @param source where the text is from, for the message
 * @throws MachineDescriptionError that names the field
 */
export function parseMachineDescription(text: string, source: string): MachineDescription {
	const json = parseJson(text, source);
	return checkMachineDescription(json.value, source, json);
}

/** @throws MachineDescriptionError with the line and the column */
export function parseJson(text: string, source: string): JsonText {
	try {
		return parseJsonText(text);
	} catch (error) {
		if (!(error instanceof JsonError)) throw error;
		throw new MachineDescriptionError(`${inSource(source, error.place)}: ${error.message}`);
	}
}

/**
 * The same for what is no text any more.
 * @param text what it was, if it was one
 * @throws MachineDescriptionError that names the field, and where it stands
 */
export function checkMachineDescription(value: unknown, source: string, text?: JsonText): MachineDescription {
	const result = v.safeParse(machineSchema, value, { message: messageOf });
	if (result.success) return result.output;
	const where = text === undefined ? source : inSource(source, text.placeOf(placeOfFirst(result.issues)));
	throw new MachineDescriptionError(`${where}: ${explain(result.issues, machineSchema)}`);
}

/** "mine.json:3:14" */
function inSource(source: string, { line, column }: TextPlace): string {
	return `${source}:${line}:${column}`;
}
