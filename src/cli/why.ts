// ioasis why: a call of a recording, and what was the matter. Of one that failed: the reason, what to do, and the state that it met. Of one that
// succeeded: what it changed.

import { say, sayJson } from "../host/say.js";
import { type CallRange, callState, type Found } from "../machine/call-state.js";
import { DmaChecker, type DmaError } from "../machine/dma-checker.js";
import { inventoryOf, type ObjectRecord, recordOfContext } from "../machine/inventory.js";
import { eventOf } from "../machine/record/call-event.js";
import { Origins } from "../machine/record/origins.js";
import type { RecordedRun } from "../machine/record/recorded-run.js";
import type { Recording } from "../machine/record/recording.js";
import { Timeline } from "../machine/record/timeline.js";
import { watch } from "../machine/watch.js";
import type { CallEvent } from "../trace/event.js";
import { inputsOf, printCall, printNumber } from "../trace/print.js";
import type { Call, Ioctl } from "../trace/record.js";
import { hex } from "../uapi/errno.js";
import { type HintName, hints } from "../uapi/hints.js";
import { refuse } from "./complain.js";
import { errorLines } from "./dma-error-text.js";
import { readGuide, rowOf } from "./errno-guide.js";
import { orWhyNot } from "./nothing-to-show.js";
import { fileText, linesOf } from "./objects-text.js";
import { briefly } from "./recorded-call.js";
import { machinesOf, withRecording } from "./recorded-machine.js";
import { checkCall, nameOfCall, otherStory } from "./recorded-moment.js";

/** What `why` can be told, as the command line has it. */
export interface WhyOptions {
	readonly loadModels?: true;
	readonly json?: true;
}

/** What there is to say of a call. All of it is for --json, too. */
interface Story {
	readonly number: number;
	/** "IOMMU_IOAS_MAP" */
	readonly call: string;
	/** As a trace has it, with the reason below and what to do. */
	readonly trace: readonly string[];
	readonly errno?: string;
	readonly reason?: string;
	readonly hint?: HintName | undefined;
	/** What it met, if it failed. */
	readonly state?: readonly string[];
	/** What it changed: lines that are there no more, and those that are new. */
	readonly changed?: { readonly before: readonly string[]; readonly after: readonly string[] };
	/** DMA of its that went wrong. */
	readonly dmaErrors: readonly string[];
}

/** Sets the exit code. */
export async function why(given: string, path: string, options: WhyOptions): Promise<void> {
	if (!/^\d{1,10}$/.test(given))
		refuse(`"${given}" is not the number of a call`, "calls are counted from 1: ioasis why 6 vmm.rec");
	await orWhyNot(() =>
		withRecording(path, async (recording) => {
			checkCall(path, recording, "call", Number(given), `\`ioasis explain ${path}\` lists those that failed`);
			const { loadModels } = options;
			const timeline = new Timeline(recording, await machinesOf(recording, { ...(loadModels && { loadModels }) }));
			const story = tell(path, timeline, Number(given));
			if (options.json) sayJson({ recording: path, ...story });
			else say(`call ${story.number} of ${path}:`, ...inWords(story));
		}),
	);
}

/** @throws NothingToShow when a call up to it is answered otherwise than it was */
function tell(path: string, timeline: Timeline, number: number): Story {
	const { recording } = timeline;
	const call = recording.at(recording.indexOfCall(number)) as Call;
	const before = runAt(path, timeline, number - 1);
	const event = call.kind === "ioctl" ? ioctlOf(call, before) : undefined;
	const state = typeof call.answer === "number" ? undefined : stateOf(recording, before, call, number, event);
	const linesBefore = linesOn(before);
	const dmaErrors: DmaError[] = [];
	watch(before.machine, [new DmaChecker(before.machine, (error) => dmaErrors.push(error))]);
	const after = runAt(path, timeline, number);
	const { trace, hint } = traceOf(call, event, nameOfCall(recording, number, after));
	return {
		number,
		call: event === undefined ? call.kind : printNumber(event),
		trace,
		...(typeof call.answer === "number" ? {} : { errno: call.answer.errno, reason: call.answer.reason, hint }),
		...(state && { state }),
		...(typeof call.answer === "number" && { changed: difference(linesBefore, linesOn(after)) }),
		dmaErrors: dmaErrors.flatMap(errorLines),
	};
}

function runAt(path: string, timeline: Timeline, call: number): RecordedRun {
	const run = timeline.at(call);
	if (run.difference !== undefined)
		throw otherStory(path, timeline.recording, run, (earlier) => `the calls up to ${earlier} can be asked about`);
	return run;
}

function ioctlOf(call: Ioctl, run: RecordedRun): CallEvent {
	return eventOf(call, run.pathOf(call.file), call.answer, call.out);
}

/** @param name of the call, by which the guide has it */
function traceOf(
	call: Call,
	event: CallEvent | undefined,
	name: string,
): { readonly trace: string[]; readonly hint: HintName | undefined } {
	const { answer } = call;
	const inGuide = call.kind === "open" ? "open" : name;
	const hint = typeof answer === "number" ? undefined : rowOf(readGuide(), inGuide, answer.errno, answer.reason)?.hint;
	if (event !== undefined) {
		const advice = hint === undefined ? [] : [`     -> ${hints[hint].advice}`];
		return { trace: [...printCall(event).split("\n"), ...advice], hint };
	}
	const head = briefly(call);
	if (typeof answer === "number") return { trace: [`${head} = ${answer}`], hint };
	const advice = hint === undefined ? [] : [`     -> ${hints[hint].advice}`];
	return { trace: [`${head} = -1 ${answer.errno}`, `     ${answer.reason}`, ...advice], hint };
}

function inWords({ trace, state, changed, dmaErrors }: Story): string[] {
	const lines = [...trace];
	if (state !== undefined && state.length > 0) lines.push("", "what it met:", ...state.map((line) => `  ${line}`));
	if (changed !== undefined) {
		const { before, after } = changed;
		if (before.length + after.length === 0) lines.push("", "it changed no object and no mapping");
		else lines.push("", "what it changed:", ...before.map((line) => `- ${line}`), ...after.map((line) => `+ ${line}`));
	}
	if (dmaErrors.length > 0) lines.push("", ...dmaErrors);
	return lines;
}

// --- What a call changed ---

/** What there is, by whose it is. */
function linesOn({ machine }: RecordedRun): Map<object, readonly string[]> {
	const texts = inventoryOf(machine).map((file) => fileText(file).lines);
	return new Map([...machine.contexts(), ...machine.containers()].map((owner, index) => [owner, texts[index]]));
}

function difference(
	before: ReadonlyMap<object, readonly string[]>,
	after: ReadonlyMap<object, readonly string[]>,
): { before: string[]; after: string[] } {
	const missingIn = (there: ReadonlyMap<object, readonly string[]>, here: ReadonlyMap<object, readonly string[]>) =>
		[...here].flatMap(([owner, lines]) => lines.filter((line) => !there.get(owner)?.includes(line)));
	return { before: missingIn(after, before), after: missingIn(before, after) };
}

// --- What a call met ---

function stateOf(
	recording: Recording,
	run: RecordedRun,
	call: Call,
	number: number,
	event: CallEvent | undefined,
): string[] {
	if (event === undefined || call.kind !== "ioctl") return [];
	const state = callState(run.machine, run.fileOf(call.file), inputsOf(event));
	const { context, objects, absent, ranges } = state;
	const records = new Map<number, ObjectRecord>();
	if (context !== undefined)
		for (const record of recordOfContext(run.machine, context).objects) records.set(record.id, record);
	const named = objects.map(({ id }) => records.get(id)!);
	const users = named.flatMap(({ usedBy }) => usedBy).filter((id) => !objects.some((object) => object.id === id));
	const origins = context && new Origins(recording, run, number, context);
	const nameOf = (earlier: number) => `call ${earlier} (${nameOfCall(recording, earlier, run)})`;
	const about = (record: ObjectRecord) => aboutObject(record, records, madeInWords(origins?.madeBy(record.id), nameOf));
	return [
		...named.flatMap(about),
		...absent.map((id) => `there is no object ${id}${destroyedInWords(origins?.destroyedBy(id), nameOf)}`),
		...[...new Set(users)].flatMap((id) => about(records.get(id)!)),
		...ranges.flatMap((range) => aboutRange(range, nameOf)),
	];
}

function madeInWords(call: number | undefined, nameOf: (call: number) => string): string {
	return call === undefined ? "" : `, made by ${nameOf(call)}`;
}

function destroyedInWords(call: number | undefined, nameOf: (call: number) => string): string {
	return call === undefined ? "" : `: ${nameOf(call)} has destroyed it`;
}

function aboutObject(record: ObjectRecord, records: ReadonlyMap<number, ObjectRecord>, made: string): string[] {
	const [head, ...below] = linesOf(record);
	const users = [...record.usedBy.map((id) => records.get(id)!.name), ...record.keptBy];
	return [`${head}${made}`, ...below, ...(users.length === 0 ? [] : [`  in use by ${users.join(", ")}`])];
}

/** @param nameOf an earlier call */
function aboutRange({ first, last, map, found, more }: CallRange, nameOf: (call: number) => string): string[] {
	const overlap = found.filter(({ kind }) => kind === "mapping" || kind === "reserved");
	const none = overlap.length === 0 ? ["nothing is mapped or reserved there"] : [];
	const lines = [
		...none,
		...found.map((one) => foundInWords(one, nameOf)),
		...(more === 0 ? [] : [`and ${more} more mappings`]),
	];
	return [`${hex(first)} to ${hex(last)} of ${map}:`, ...lines.map((line) => `  ${line}`)];
}

function foundInWords({ first, last, kind, what, by }: Found, nameOf: (call: number) => string): string {
	const range = `${hex(first)} to ${hex(last)}`;
	if (kind === "reserved") return `reserved: ${range}, ${what}`;
	const cause = by === undefined ? "" : `, by ${nameOf(by.call)}`;
	return `${kind === "mapping" ? "mapped" : `the next mapping ${kind} it`}: ${range}${cause}`;
}
