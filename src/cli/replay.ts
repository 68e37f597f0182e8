// ioasis replay: the calls of a recording once more, with no program, until an answer differs.

import { say } from "../host/say.js";
import type { RecordedRun } from "../machine/record/recording.js";
import type { Difference } from "../machine/record/replayer.js";
import { commandOf } from "../trace/commands.js";
import { printCall } from "../trace/print.js";
import { type Failed, fromHex, type RecordLine } from "../trace/record.js";
import { Errno } from "../uapi/errno.js";
import { DIFFERS } from "./exit-codes.js";
import { type NamedRecording, runOf, withRecording } from "./recorded-machine.js";

/** What `replay` can be told. */
export interface ReplayOptions {
	/** Instead of the recorded ones. */
	readonly machine?: string;
	readonly policy?: string;
	readonly loadModels?: true;
	readonly quiet?: true;
}

export function replay(path: string, options: ReplayOptions): Promise<void> {
	return withRecording(path, (recording) => replayAll(recording, options));
}

async function replayAll(recording: NamedRecording, options: ReplayOptions): Promise<void> {
	const { run } = await runOf(recording, options);
	const { lines, isCut } = recording;
	const calls = lines.filter((line) => "answer" in line);
	let done = 0;
	for (const [i, line] of lines.entries()) {
		const difference = run.replay(i + 1);
		if ("answer" in line) done++;
		if (difference === undefined) continue;
		say(`call ${done} of ${calls.length} is answered otherwise than it was:`, ...inWords(difference, run));
		process.exitCode = DIFFERS;
		return;
	}
	if (options.quiet) return;
	say(`ioasis: ${calls.length} calls, each answered as it was${endInWords(isCut, run.openFiles)}`);
}

/** Who records to the end records how all files are closed. */
function endInWords(isCut: boolean, openFiles: number): string {
	if (isCut) return "; the recording ends in the middle of the next one: the run was killed";
	if (openFiles === 0) return "";
	return `; the recording ends there, with ${openFiles} file${openFiles === 1 ? "" : "s"} open: the run was killed`;
}

/** Both answers, one above the other, and what may be behind it. */
function inWords({ line, now, deviations, strays }: Difference, run: RecordedRun): string[] {
	const text = [];
	if (line.kind === "ioctl") {
		const both = { ...line, path: run.pathOf(line.file) };
		text.push("recorded:", ...printed(both, line.answer, line.out), "now:", ...printed(both, now.result, now.out));
	} else if ("answer" in line)
		text.push(`recorded: ${brief(line, line.answer)}`, `now:      ${brief(line, now.result)}`);
	for (const { what, recorded, now } of deviations) text.push(`${what}: recorded ${recorded}, now ${now}`);
	for (const stray of strays) text.push(`the engine asked for what it didn't ask for then: ${stray}`);
	return text;
}

function printed(
	line: Extract<RecordLine, { kind: "ioctl" }> & { path: string },
	result: number | Failed,
	out: string | undefined,
): string[] {
	const number = Number(line.number);
	const written = out ?? (typeof result === "number" ? line.in : undefined);
	const text = printCall({
		thread: line.thread,
		fd: line.file,
		path: line.path,
		number,
		argument: Number(line.argument),
		command: commandOf(line.path, number),
		before: line.in === undefined ? undefined : fromHex(line.in),
		after: written === undefined ? undefined : fromHex(written),
		result: typeof result === "number" ? result : new Errno(result.errno, result.reason),
	});
	return text.split("\n");
}

function brief(line: RecordLine, answer: number | Failed): string {
	let call: string = line.kind;
	if (line.kind === "open") call = `open(${JSON.stringify(line.path)})`;
	else if (line.kind === "store") call = `write(${JSON.stringify(line.path)}, ${JSON.stringify(line.text)})`;
	else if (line.kind === "pread" || line.kind === "pwrite") call += `(${line.length} bytes at ${line.position})`;
	return `${call} = ${typeof answer === "number" ? answer : `-1 ${answer.errno} (${answer.reason})`}`;
}
