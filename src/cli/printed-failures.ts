// The calls that failed, from a file that ioasis has written: a trace (as text or JSON), a recording or a report. Such a file may come
// from anybody, so each line of it is believed no further than what is read here.

import * as v from "valibot";
import { ADVICE_MARK } from "../trace/print.js";
import { type HintName, hints } from "../uapi/hints.js";

export interface PrintedFailure {
	/** Where it stands: "line 5", or "call 6" of a recording, both counted from 1. */
	readonly place: string;
	/** "IOMMU_IOAS_MAP", "open". */
	readonly call: string;
	readonly errno: string;
	readonly reason: string;
	/** What is to be done, where the file says it. */
	readonly hint: HintName | undefined;
}

/** A line of a trace: the time if there is one, the thread, the call, and its end. */
const CALL = /^(?:[\d:.]+ +)?\d+ (\w+)\((.*) = -1 (E[A-Z0-9]+)/;
/** The name of an ioctl, which follows the fd and what that is. */
const IOCTL = /^-?\d+<.*?>, ([\w ]+|_IO\(.*?\))/;
const REASON = "     ";

const failed = v.object({ errno: v.string(), reason: v.string() });
/** As a recording has them; one that succeeded, too. */
const recordedCall = v.looseObject({ kind: v.string(), answer: v.union([v.number(), failed]) });
const jsonLine = v.union([
	v.object({ kind: v.string(), command: v.optional(v.string()), number: v.optional(v.string()), answer: failed }),
	v.object({
		...failed.entries,
		call: v.string(),
		command: v.optional(v.string()),
		hint: v.optional(v.string()),
	}),
]);

export function failuresIn(text: string): PrintedFailure[] {
	const lines = text.split("\n");
	if (!text.startsWith("{")) return lines.flatMap((_, i) => inTrace(lines, i));
	let calls = 0;
	return lines.flatMap((line, i) => {
		const value = parsed(line);
		const isRecorded = v.is(recordedCall, value);
		if (isRecorded) calls++;
		return inJson(value, isRecorded ? `call ${calls}` : `line ${i + 1}`);
	});
}

function inTrace(lines: readonly string[], i: number): PrintedFailure[] {
	const [, call, given, errno] = lines[i].match(CALL) ?? [];
	const reason = lines[i + 1];
	if (errno === undefined || !reason?.startsWith(REASON)) return [];
	const name = call === "ioctl" ? (given.match(IOCTL)?.[1] ?? call) : call;
	const advice = lines[i + 2]?.startsWith(ADVICE_MARK) ? lines[i + 2].slice(ADVICE_MARK.length) : undefined;
	const hint = Object.keys(hints).find((name) => hints[name as HintName].advice === advice);
	return [
		{
			place: `line ${i + 1}`,
			call: name,
			errno,
			reason: reason.slice(REASON.length),
			hint: hint as HintName | undefined,
		},
	];
}

function inJson(value: unknown, place: string): PrintedFailure[] {
	const line = v.safeParse(jsonLine, value);
	if (!line.success) return [];
	const one = line.output;
	if ("answer" in one) return [{ place, call: one.command ?? one.number ?? one.kind, ...one.answer, hint: undefined }];
	const { call, command, errno, reason, hint } = one;
	const known = hint !== undefined && Object.hasOwn(hints, hint) ? (hint as HintName) : undefined;
	return [{ place, call: command ?? call, errno, reason, hint: known }];
}

function parsed(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}
