// ioasis objects: what there is in each open of /dev/iommu and in containers, in a program that runs or at a call of a recording.

import { say, sayJson } from "../host/say.js";
import { type FileRecord, inventoryOf } from "../machine/inventory.js";
import { Timeline } from "../machine/record/timeline.js";
import { refuse } from "./complain.js";
import { orWhyNot } from "./nothing-to-show.js";
import { fileText } from "./objects-text.js";
import { machinesOf, withRecording } from "./recorded-machine.js";
import { checkCall, nameOfCall, otherStory } from "./recorded-moment.js";
import type { Shown } from "./run-socket.js";
import { askChosen, inWords, number } from "./running.js";

/** What `objects` can be told, as the command line has it. */
export interface ObjectsOptions {
	readonly pid?: string;
	readonly at?: string;
	readonly loadModels?: true;
	readonly json?: true;
}

/** @param file a recording; if absent it is a program that runs. Sets the exit code */
export async function objects(file: string | undefined, options: ObjectsOptions): Promise<void> {
	const { pid, at } = options;
	if (at !== undefined && file === undefined)
		refuse("--at is a call of a recording, and there is none", "give the file, too: ioasis objects vmm.rec --at 6");
	if (pid !== undefined && file !== undefined)
		refuse("--pid is of a program that runs, and a recording is of one that ran", "leave one of them out");
	await orWhyNot(() => (file === undefined ? ofRun(options) : ofRecording(file, options)));
}

async function ofRun({ pid, json }: ObjectsOptions): Promise<void> {
	const { run, shown } = await askChosen(pid, { about: "objects" }, "a recording: ioasis objects vmm.rec");
	if (json) printJson(run, shown);
	else print(`${inWords(run)}:`, shown);
}

function ofRecording(path: string, { at: given, json, loadModels }: ObjectsOptions): Promise<void> {
	return withRecording(path, async (recording) => {
		const at = number("--at", given);
		checkCall(path, recording, "--at", at, "without --at it is the last one");
		const timeline = new Timeline(recording, await machinesOf(recording, { ...(loadModels && { loadModels }) }));
		const call = at ?? recording.calls;
		const run = timeline.at(call);
		if (run.difference !== undefined) throw otherStory(path, recording, run, (before) => `--at ${before} is before it`);
		const name = call === 0 ? undefined : nameOfCall(recording, call, run);
		const shown = inventoryOf(run.machine).map(fileText);
		if (json) printJson({ recording: path, number: call, call: name }, shown);
		else print(`${path}, after call ${call}${name === undefined ? "" : ` (${name})`}:`, shown);
	});
}

function print(head: string, shown: readonly Shown[]): void {
	say(
		head,
		...(shown.length === 0 ? ["  neither /dev/iommu nor a container is open"] : shown.flatMap(({ lines }) => lines)),
	);
}

function printJson(about: object, shown: readonly Shown[]): void {
	sayJson({ ...about, files: shown.map(({ data }) => data as FileRecord) });
}
