// ioasis explain: what an errno means and what to do about it, of a call or of all that failed in a trace, a recording or a report.

import { readFileSync } from "node:fs";
import { say } from "../host/say.js";
import { nearest } from "../machine/nearest.js";
import { isBinary } from "../machine/record/blocks.js";
import { LineWriter } from "../machine/record/json-lines.js";
import { Recording, RecordingError } from "../machine/record/recording.js";
import { errnoNumbers } from "../uapi/errno.js";
import { type Hint, type HintName, hints } from "../uapi/hints.js";
import { refuse } from "./complain.js";
import { type Guide, type Row, readGuide, rowOf } from "./errno-guide.js";
import { failuresIn, type PrintedFailure } from "./printed-failures.js";

/** Columns of what is printed here. */
const WIDTH = 100;
const TRY = "try: ioasis explain IOMMU_IOAS_MAP EINVAL, or a file that --trace=FILE, --record or --report has written";

/** What may be left out of a call's name. */
const PREFIXES = ["", "IOMMU_", "VFIO_", "VFIO_DEVICE_", "VFIO_IOMMU_", "VFIO_GROUP_"];

/** @param what a call, a hint or a file @param errno of a call: that one only */
export function explain(what: string, errno: string | undefined): void {
	if (errno !== undefined) checkErrno(errno);
	const guide = readGuide();
	const call = callNamed(guide, what);
	if (call !== undefined) say(...ofCall(guide, call, errno?.toUpperCase()));
	else if (errno === undefined && Object.hasOwn(errnoNumbers, what.toUpperCase()))
		say(...ofErrno(guide, what.toUpperCase()));
	else if (errno === undefined && Object.hasOwn(hints, what)) say(...wayOut(what as HintName));
	else if (errno === undefined) explainFile(guide, what);
	else refuse(`there is no call "${what}"`, didYouMean(guide, what) ?? TRY);
}

function checkErrno(errno: string): void {
	const names = Object.keys(errnoNumbers);
	if (names.includes(errno.toUpperCase())) return;
	const meant = nearest(errno, names);
	refuse(
		`no call here answers ${errno}`,
		meant === undefined ? "`ioasis explain CALL` has all that one answers" : `did you mean ${meant}?`,
	);
}

/** A call by its name, with or without its prefix; "open" and "mmap" are the first of those that begin so. */
function callNamed({ calls }: Guide, what: string): string | undefined {
	const names = [...calls.keys()];
	return (
		PREFIXES.map((prefix) => prefix + what.toUpperCase()).find((full) => calls.has(full)) ??
		names.find((heading) => / of /.test(heading) && wordsOf(heading).includes(what))
	);
}

/** "pread, pwrite and mmap of a VFIO device" begins with three calls. */
function wordsOf(heading: string): string[] {
	return heading.split(" of ", 1)[0].split(/, | and /);
}

function didYouMean({ calls }: Guide, what: string): string | undefined {
	const names = [...calls.keys(), ...Object.keys(hints)];
	const meant = PREFIXES.map((prefix) => nearest(prefix + what, names)).find((name) => name !== undefined);
	return meant === undefined ? undefined : `did you mean ${meant}?`;
}

function ofCall({ calls, rules }: Guide, call: string, errno: string | undefined): string[] {
	const wanted = (rows: readonly Row[]) => rows.filter((row) => errno === undefined || row.errno === errno);
	const own = wanted(calls.get(call)!);
	// Of all errnos these would be the longest part of each page, and the same on each.
	const general = errno === undefined || / of /.test(call) ? [] : wanted(rules);
	const lines = own.length === 0 ? [] : [`${call} answers`, "", ...inGroups(own)];
	if (general.length > 0) lines.push("any ioctl answers", "", ...inGroups(general));
	if (lines.length === 0) return [`${call} never answers ${errno}`];
	return lines.slice(0, -1);
}

/** Reasons with the same way out stand together above it. */
function inGroups(rows: readonly Row[]): string[] {
	const groups = groupsOf(rows, ({ errno, hint, reason }) => `${errno} ${hint ?? reason}`);
	return groups.flatMap((group) => [
		...group.flatMap(({ errno, reason }) => wrapped(`${errno}: ${reason}`, "  ", "    ")),
		...(group[0].hint === undefined ? [] : wayOut(group[0].hint)),
		"",
	]);
}

function ofErrno({ calls }: Guide, errno: string): string[] {
	const names = [...calls].filter(([, rows]) => rows.some((row) => row.errno === errno)).map(([name]) => name);
	return [
		`${errno} is what ${names.length} calls answer; \`ioasis explain CALL ${errno}\` says why:`,
		...names.map((name) => `  ${name}`),
	];
}

function explainFile(guide: Guide, path: string): void {
	const failures = failuresIn(readText(guide, path));
	if (failures.length === 0) {
		say(`${path}: no call failed; or it is none of a trace, a recording and a report`);
		return;
	}
	const groups = groupsOf(failures, kindOf);
	const count = failures.length === 1 ? "1 call failed" : `${failures.length} calls failed`;
	say(`${path}: ${count}${groups.length < failures.length ? `, of ${groups.length} kinds` : ""}`);
	for (const group of groups) say("", ...ofFailures(guide, group));
}

function readText(guide: Guide, path: string): string {
	try {
		const file = readFileSync(path);
		return isBinary(file) ? textOfRecording(file) : file.toString();
	} catch (error) {
		if (error instanceof RecordingError) refuse(`${path}${error.place}: ${error.message}`, TRY);
		const { code } = error as NodeJS.ErrnoException;
		if (code !== "ENOENT" || path.includes("/")) refuse(`${path} can't be read: ${code}`, TRY);
		refuse(`"${path}" is no call, no errno and no file`, didYouMean(guide, path) ?? TRY);
	}
}

/** As `ioasis convert` writes it. @throws RecordingError */
function textOfRecording(file: Uint8Array): string {
	const writer = new LineWriter();
	return Array.from(Recording.parse(file), (entry) => `${writer.lineOf(entry)}\n`).join("");
}

/** The same call, errno and reason, whatever the values. */
function kindOf({ call, errno, reason }: PrintedFailure): string {
	return `${call} ${errno} ${reason.replaceAll(/0x[0-9a-f]+|\d+/g, "0")}`;
}

function ofFailures(guide: Guide, failures: readonly PrintedFailure[]): string[] {
	const [{ place, call, errno, reason, hint = rowOf(guide, call, errno, reason)?.hint }] = failures;
	const times = failures.length === 1 ? place : `${failures.length} times, first in ${place}`;
	return [`${call}: ${errno} (${times})`, ...wrapped(reason, "  ", "  "), ...(hint === undefined ? [] : wayOut(hint))];
}

function wayOut(name: HintName): string[] {
	const { advice, more }: Hint = hints[name];
	return [...wrapped(advice, "  -> ", "     "), ...(more === undefined ? [] : wrapped(more, "     ", "     "))];
}

/** Those with the same key stand together, in the order in which their first ones do. */
function groupsOf<T>(items: readonly T[], keyOf: (item: T) => string): T[][] {
	const groups = new Map<string, T[]>();
	for (const item of items) {
		const group = groups.get(keyOf(item));
		if (group === undefined) groups.set(keyOf(item), [item]);
		else group.push(item);
	}
	return [...groups.values()];
}

/** @param first what stands before the first line @param rest before each other one */
function wrapped(text: string, first: string, rest: string): string[] {
	const lines: string[] = [];
	let line = first;
	let isEmpty = true;
	for (const word of text.split(" ")) {
		if (!isEmpty && line.length + 1 + word.length > WIDTH) {
			lines.push(line);
			line = rest + word;
			continue;
		}
		line += isEmpty ? word : ` ${word}`;
		isEmpty = false;
	}
	return [...lines, line];
}
