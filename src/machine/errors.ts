// What is wrong with a machine description, and how that is said: valibot's issues in words.

import type { BaseIssue, IssuePathItem } from "valibot";
import { printable } from "../trace/printable.js";
import { nearest } from "./nearest.js";

/** A description that can't be used: the message names the file and the field. */
export class MachineDescriptionError extends Error {}

/** Why a text is not JSON, from what JSON.parse() threw, which quotes the text. */
export function notJson(source: string, error: unknown): string {
	return `${source} is not JSON: ${printable((error as Error).message)}`;
}

/** As much of a valibot schema as it takes to find out which fields an object may have. */
interface Schema {
	/** Of an object. */
	readonly entries?: Readonly<Record<string, Schema>>;
	/** Of an array. */
	readonly item?: Schema;
	/** Of an optional value. */
	readonly wrapped?: Schema;
	/** Of a variant: the field that tells which of the options it is. */
	readonly key?: string;
	readonly options?: readonly Schema[];
	readonly literal?: unknown;
}

type Issue = BaseIssue<unknown>;

/** Valibot's names of types. */
const TYPES: Readonly<Record<string, string>> = {
	string: "a string",
	number: "a number",
	boolean: "true or false",
	Array: "a list",
	Object: "an object",
};

/** The message of an issue that the schema has none of its own for. */
export function messageOf({ type, expected, received }: Issue): string {
	if (expected === "never") return `unknown field ${received}`;
	if (received === "undefined") return `the field ${expected} is missing`;
	const choices = expected?.match(/^\((.*)\)$/)?.[1].split(" | ");
	if (choices !== undefined && type !== "strict_object") return `${received} is none of ${choices.join(", ")}`;
	return `${TYPES[expected ?? ""] ?? expected} is expected here, and this is ${TYPES[received] ?? received}`;
}

/** The issue that is told of. A field that nobody knows comes first: it may be the one that is missing. */
function firstOf(issues: readonly [Issue, ...Issue[]]): Issue {
	return issues.find(({ expected }) => expected === "never") ?? issues[0];
}

/** Where the first issue is, as the keys that lead there. */
export function placeOfFirst(issues: readonly [Issue, ...Issue[]]): (string | number)[] {
	return (firstOf(issues).path ?? []).map(({ key }) => key as string | number);
}

/** Where the first issue is, and what. */
export function explain(issues: readonly [Issue, ...Issue[]], schema: object): string {
	const issue = firstOf(issues);
	const path = issue.path ?? [];
	const keys = path.map(({ key }) => String(key));
	let { message } = issue;
	if (issue.expected === "never") {
		const meant = nearest(keys.pop()!, fieldsAt(schema, path));
		if (meant !== undefined) message += `: did you mean "${meant}"?`;
	} else if (issue.received === "undefined") message = `the field "${keys.pop()}" is missing${choicesOf(issue)}`;
	return keys.length === 0 ? message : `${keys.join(".")}: ${message}`;
}

/** What a variant's missing field could say. */
function choicesOf({ type, expected }: Issue): string {
	return type === "variant" ? `: one of ${expected?.slice(1, -1).replaceAll(" | ", ", ")}` : "";
}

/** The fields that the object may have whose field is at the end of the path. */
function fieldsAt(schema: Schema, path: readonly IssuePathItem[]): string[] {
	let at: Schema | undefined = schema;
	for (const { key, input } of path) {
		const object: Schema | undefined = at && unwrapped(at, input);
		const inside: Schema | undefined = object?.entries ? object.entries[String(key)] : object?.item;
		if (inside === undefined) return Object.keys(object?.entries ?? {});
		at = inside;
	}
	return [];
}

/** The schema without what says only that it is optional, or that there are several. */
function unwrapped(schema: Schema, input: unknown): Schema | undefined {
	if (schema.wrapped) return unwrapped(schema.wrapped, input);
	const { key, options } = schema;
	if (key === undefined || options === undefined) return schema;
	return options.find(({ entries }) => entries?.[key].literal === (input as Record<string, unknown>)[key]);
}
