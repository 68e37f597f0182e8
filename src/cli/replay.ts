// ioasis replay: the calls of a recording once more, with no program, until an answer differs.

import { type Difference, Replayer } from "../machine/record/replayer.js";
import { commandOf } from "../trace/commands.js";
import { printCall } from "../trace/print.js";
import { type Failed, fromHex, type RecordLine } from "../trace/record.js";
import { Errno } from "../uapi/errno.js";
import { DIFFERS } from "./exit-codes.js";
import { machineOf, readOrRefuse } from "./recorded-machine.js";

/** What `replay` can be told. */
export interface ReplayOptions {
	/** Instead of the recorded ones. */
	readonly machine?: string;
	readonly policy?: string;
	readonly quiet?: true;
}

export async function replay(path: string, options: ReplayOptions): Promise<void> {
	const { start, lines, isCut } = readOrRefuse(path);
	const replayer = new Replayer(await machineOf(start, path, options));
	for (const line of lines) replayer.learn(line);
	const calls = lines.filter((line) => "answer" in line);
	let done = 0;
	for (const line of lines) {
		const difference = replayer.replay(line);
		if ("answer" in line) done++;
		if (difference === undefined) continue;
		console.log(`call ${done} of ${calls.length} is answered otherwise than it was:`);
		for (const text of inWords(difference, replayer)) console.log(text);
		process.exitCode = DIFFERS;
		return;
	}
	if (options.quiet) return;
	const end = isCut ? "; the recording ends in the middle of the next one" : "";
	console.log(`ioasis: ${calls.length} calls, each answered as it was${end}`);
}

/** Both answers, one above the other, and what may be behind it. */
function inWords({ line, now, deviations, strays }: Difference, replayer: Replayer): string[] {
	const text = [];
	if (line.kind === "ioctl") {
		const both = { ...line, path: replayer.pathOf(line.file) };
		text.push("recorded:", printed(both, line.answer, line.out), "now:", printed(both, now.result, now.out));
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
): string {
	const number = Number(line.number);
	const written = out ?? (typeof result === "number" ? line.in : undefined);
	return printCall({
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
}

function brief(line: RecordLine, answer: number | Failed): string {
	let call: string = line.kind;
	if (line.kind === "open") call = `open(${JSON.stringify(line.path)})`;
	else if (line.kind === "pread" || line.kind === "pwrite") call += `(${line.length} bytes at ${line.position})`;
	return `${call} = ${typeof answer === "number" ? answer : `-1 ${answer.errno} (${answer.reason})`}`;
}
