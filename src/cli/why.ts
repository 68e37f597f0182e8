// ioasis why: a call of a recording, and what was the matter. Of one that failed: the reason, what to do, and the state that it met. Of one that
// succeeded: what it changed.

import { say, sayJson } from "../host/say.js";
import { type CallRange, type CallState, callState, contextOf, type Found } from "../machine/call-state.js";
import { DmaChecker, type DmaError } from "../machine/dma-checker.js";
import { inventoryOf, type ObjectRecord, recordOfContext } from "../machine/inventory.js";
import type { RecordedRun } from "../machine/record/recorded-run.js";
import type { Recording } from "../machine/record/recording.js";
import { Timeline } from "../machine/record/timeline.js";
import type { CallEvent } from "../trace/event.js";
import { inputsOf, outputsOf, printCall, printNumber } from "../trace/print.js";
import { type Call, type Ioctl, isCall } from "../trace/record.js";
import { hex } from "../uapi/errno.js";
import { type HintName, hints } from "../uapi/hints.js";
import { refuse } from "./complain.js";
import { errorLines } from "./dma-error-text.js";
import { readGuide, rowOf } from "./errno-guide.js";
import { orWhyNot } from "./nothing-to-show.js";
import { fileText, linesOf } from "./objects-text.js";
import { briefly, eventOf } from "./recorded-call.js";
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
	const checker = new DmaChecker(before.machine, (error) => dmaErrors.push(error));
	before.machine.dma.report = (dma) => checker.dma(dma);
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
	const origins = new Origins(recording, run, number, state);
	return [
		...named.flatMap((record) => aboutObject(record, records, origins)),
		...absent.map((id) => `there is no object ${id}${origins.endOf(id)}`),
		...[...new Set(users)].flatMap((id) => aboutObject(records.get(id)!, records, origins)),
		...ranges.flatMap((range) => aboutRange(range, (earlier) => nameOfCall(recording, earlier, run))),
	];
}

function aboutObject(record: ObjectRecord, records: ReadonlyMap<number, ObjectRecord>, origins: Origins): string[] {
	const [head, ...below] = linesOf(record);
	const users = [...record.usedBy.map((id) => records.get(id)!.name), ...record.keptBy];
	return [
		`${head}${origins.of(record.id)}`,
		...below,
		...(users.length === 0 ? [] : [`  in use by ${users.join(", ")}`]),
	];
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
	const cause = by === undefined ? "" : `, by call ${by.call} (${nameOf(by.call)})`;
	return `${kind === "mapping" ? "mapped" : `the next mapping ${kind} it`}: ${range}${cause}`;
}

/** Which earlier calls have made objects and destroyed them. */
class Origins {
	readonly #made = new Map<number, string>();
	readonly #gone = new Map<number, string>();

	/** Looks through the calls before one, the newest first. What it finds first is how things are. */
	constructor(recording: Recording, run: RecordedRun, number: number, { context }: CallState) {
		if (context === undefined) return;
		for (let earlier = number - 1; earlier > 0; earlier--) {
			const call = recording.at(recording.indexOfCall(earlier));
			if (!isCall(call) || call.kind !== "ioctl" || typeof call.answer !== "number") continue;
			if (contextOf(run.fileOf(call.file)) !== context) continue;
			const event = ioctlOf(call, run);
			const by = `call ${earlier} (${printNumber(event)})`;
			for (const { field, value } of outputsOf(event))
				if (/^out_.*id$/.test(field.cName) && typeof value === "number" && !this.#made.has(value))
					this.#made.set(value, by);
			if (event.command?.name !== "IOMMU_DESTROY") continue;
			for (const { field, value } of inputsOf(event))
				if (field.cName === "id" && typeof value === "number" && !this.#made.has(value) && !this.#gone.has(value))
					this.#gone.set(value, by);
		}
	}

	/** ", made by call 3 (IOMMU_IOAS_ALLOC)" */
	of(id: number): string {
		const by = this.#made.get(id);
		return by === undefined ? "" : `, made by ${by}`;
	}

	/** Of an object that isn't there. */
	endOf(id: number): string {
		const by = this.#gone.get(id);
		return by === undefined ? "" : `: ${by} has destroyed it`;
	}
}
