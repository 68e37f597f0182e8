// Writes schema/machine.json, the JSON schema of machine files for editors, from the schema that they are checked by: `npm run machine-schema`.
//   node scripts/machine-schema.mjs --check      says whether it is what the sources say, and exits with 1 if not
// What a schema can't say (that BARs don't overlap, that a model is there) `ioasis machines check FILE` says.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkout, loadBundled } from "./load-bundled.mjs";

const FILE = join(checkout, "schema", "machine.json");

const { machineSchema } = await loadBundled(new URL("../src/machine/description.ts", import.meta.url));
/** Lists that several kinds of IOMMU have, by the schema: each is said once. */
const shared = new Map();
const root = jsonSchemaOf(machineSchema);
const text = `${JSON.stringify(
	{
		$schema: "https://json-schema.org/draft/2020-12/schema",
		title: "A machine of ioasis: docs/machines.md",
		...root,
		$defs: Object.fromEntries([...shared.values()].map(({ name, items }) => [name, items])),
	},
	null,
	"\t",
)}\n`;

if (process.argv[2] === "--check") {
	if (readFileSync(FILE, "utf8") !== text) {
		console.log("schema/machine.json is not what the sources say: run `npm run machine-schema`");
		process.exitCode = 1;
	}
} else {
	mkdirSync(join(checkout, "schema"), { recursive: true });
	writeFileSync(FILE, text);
}

/** Of a valibot schema: what may be in the file, before anything is made of it. */
function jsonSchemaOf(schema) {
	const actions = (schema.pipe ?? []).slice(1).filter(({ kind }) => kind === "validation");
	return Object.assign(typeOf(schema), ...actions.map(limitOf));
}

function typeOf(schema) {
	switch (schema.type) {
		case "string":
		case "number":
		case "boolean":
			return { type: schema.type };
		case "unknown":
			return {};
		case "literal":
			return { const: schema.literal };
		case "picklist":
			return { enum: schema.options };
		case "array":
			return { type: "array", items: itemsOf(schema) };
		case "record":
			return { type: "object", additionalProperties: jsonSchemaOf(schema.value) };
		case "variant":
			return { oneOf: schema.options.map(jsonSchemaOf) };
		case "optional": {
			const hasDefault = schema.default !== undefined && Object(schema.default) !== schema.default;
			return { ...jsonSchemaOf(schema.wrapped), ...(hasDefault && { default: schema.default }) };
		}
		case "strict_object":
			return {
				type: "object",
				properties: Object.fromEntries(
					Object.entries(schema.entries).map(([name, entry]) => [name, jsonSchemaOf(entry)]),
				),
				required: Object.keys(schema.entries).filter((name) => schema.entries[name].type !== "optional"),
				additionalProperties: false,
			};
		default:
			throw new Error(`no JSON schema is known for valibot's ${schema.type}`);
	}
}

/** What a function is stands in each kind of IOMMU. */
function itemsOf(list) {
	const { item } = list;
	if (item.entries?.address === undefined) return jsonSchemaOf(item);
	if (!shared.has(item)) shared.set(item, { name: "function", items: jsonSchemaOf(item) });
	return { $ref: `#/$defs/${shared.get(item).name}` };
}

/** What isn't known here is left out: the file is checked by valibot all the same. */
function limitOf({ type, requirement }) {
	switch (type) {
		case "integer":
			return { type: "integer" };
		case "min_value":
			return { minimum: requirement };
		case "max_value":
			return { maximum: requirement };
		case "non_empty":
			return { minLength: 1 };
		case "regex":
			return { pattern: requirement.flags.includes("i") ? anyCase(requirement.source) : requirement.source };
		default:
			return {};
	}
}

/** JSON schemas have no flags. Of "^0x[0-9a-f]+$" the digits may be large letters, too. */
function anyCase(source) {
	return source.replaceAll("a-f", "a-fA-F");
}
