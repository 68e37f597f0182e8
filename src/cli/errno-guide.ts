// docs/errno.md as a table: each call, the errnos that it answers, and why. `npm run errno-guide` writes that page.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type HintName, hints } from "../uapi/hints.js";

/** docs/ beside dist/, in a checkout as in an installed package. */
const PAGE = fileURLToPath(new URL("../docs/errno.md", import.meta.url));

/** One reason for one errno. */
export interface Row {
	readonly errno: string;
	/** With names in the places of values: "length is <length>". */
	readonly reason: string;
	/** The same, with anything in these places. */
	readonly pattern: RegExp;
	/** The file below src/ that answers so. */
	readonly where: string;
	readonly hint: HintName | undefined;
}

export interface Guide {
	/** By the call's name. */
	readonly calls: ReadonlyMap<string, readonly Row[]>;
	/** The rules of structs and of ioctls' numbers, which any ioctl can answer by. */
	readonly rules: readonly Row[];
	/** What belongs to no single call. */
	readonly others: readonly Row[];
}

/** The headings of what is no call. */
const GENERAL = ["Any ioctl", "Fault injection", "Of no single call"];

export function readGuide(): Guide {
	return parseGuide(readFileSync(PAGE, "utf8"));
}

export function parseGuide(page: string): Guide {
	const calls = new Map<string, Row[]>();
	let rows: Row[] = [];
	for (const line of page.split("\n")) {
		const heading = line.match(/^#{2,3} (.*)/)?.[1];
		if (heading === "What to do") break;
		if (heading !== undefined) {
			rows = [];
			if (line.startsWith("###") || GENERAL.includes(heading)) calls.set(heading, rows);
		}
		const row = parseRow(line);
		if (row !== undefined) rows.push(row);
	}
	const general = GENERAL.flatMap((heading) => calls.get(heading) ?? []);
	for (const heading of GENERAL) calls.delete(heading);
	const isRule = ({ where }: Row) => where.startsWith("uapi/");
	return { calls, rules: general.filter(isRule), others: general.filter((row) => !isRule(row)) };
}

function parseRow(line: string): Row | undefined {
	const [, errno, reason, where, hint] =
		line.match(/^\| `(E\w+)` \| (.*) \| (\S+) \| (?:\[([a-z0-9-]+)\]\(.*\))? ?\|$/) ?? [];
	if (errno === undefined) return undefined;
	return {
		errno,
		reason: partsOf(reason)
			.map(({ text, isValue }) => (isValue ? `<${text}>` : text))
			.join(""),
		pattern: patternOf(reason),
		where,
		hint: hint !== undefined && Object.hasOwn(hints, hint) ? (hint as HintName) : undefined,
	};
}

interface Part {
	readonly text: string;
	readonly isValue: boolean;
}

/** The Markdown of a reason: *values* are italic, and other characters that mean something have a backslash before them. */
function partsOf(markdown: string): Part[] {
	const parts = markdown.matchAll(/\*((?:\\.|[^*\\])+)\*|((?:\\.|[^*\\])+)/g);
	return [...parts].map(([, value, text]) => ({
		text: (value ?? text).replaceAll(/\\(.)/g, "$1"),
		isValue: value !== undefined,
	}));
}

/** Of what is composed of sentences, "(one or: other)" or "one; or: other", any will do. */
function patternOf(markdown: string): RegExp {
	const sentences = markdown.replaceAll(/\([^()]*\bor\b[^()]*\)/g, "*sentence*").split("; or: ");
	const patterns = sentences.map((sentence) =>
		partsOf(sentence)
			.map(({ text, isValue }) => (isValue ? ".*" : text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")))
			.join("")
			.replaceAll(/\.\* \.\*/g, ".*"),
	);
	// What was done before it may follow: Errno.after().
	return new RegExp(`^(?:${patterns.join("|")})(?:\\. .*)?$`);
}

/** What a reason that was given is in the guide: of several rows that match it the one that says most. */
export function rowOf({ calls, rules, others }: Guide, call: string, errno: string, reason: string): Row | undefined {
	const ofCall = call.split(" or ").flatMap((name) => calls.get(name) ?? []);
	const fitting = (rows: readonly Row[]) =>
		rows
			.filter((row) => row.errno === errno && row.pattern.test(reason))
			.sort((one, other) => literal(other) - literal(one))
			.at(0);
	return fitting(ofCall) ?? fitting([...rules, ...others]) ?? fitting([...calls.values()].flat());
}

/** How much of a reason isn't values. */
function literal({ pattern }: Row): number {
	return pattern.source.replaceAll(".*", "").length;
}
