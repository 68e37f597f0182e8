// ioasis walk: how IOVAs are translated, in a program that runs under `ioasis run` or in a recording of one.

import { say, sayJson } from "../host/say.js";
import type { WalkQuestion } from "../machine/walk.js";
import { refuse } from "./complain.js";
import { parseIova } from "./iova.js";
import { orWhyNot } from "./nothing-to-show.js";
import { walkRecording } from "./recorded-walk.js";
import type { Shown } from "./run-socket.js";
import { askChosen, inWords, number } from "./running.js";
import { packQuestion } from "./walk-answer.js";
import { walkText } from "./walk-text.js";

/** What `walk` can be told, as the command line has it. */
export interface WalkOptions {
	readonly pid?: string;
	readonly recording?: string;
	readonly at?: string;
	readonly hwpt?: string;
	readonly device?: string;
	readonly pasid?: string;
	readonly loadModels?: true;
	readonly json?: true;
}

/** Sets the exit code. */
export async function walk(iovas: readonly string[], options: WalkOptions): Promise<void> {
	const question: WalkQuestion = {
		iovas: iovas.map((iova) => parseIova(iova)),
		hwpt: number("--hwpt", options.hwpt),
		device: options.device?.replace("/dev/vfio/devices/", ""),
		pasid: number("--pasid", options.pasid),
	};
	checkTogether(options);
	const { recording } = options;
	await orWhyNot(() =>
		recording === undefined ? walkRunning(question, options) : walkRecorded(recording, question, options),
	);
}

function checkTogether({ pid, recording, at, device, pasid }: WalkOptions): void {
	if (pasid !== undefined && device === undefined)
		refuse("--pasid says which requests of a device, and there is no --device", "give both: --device vfio0 --pasid 1");
	if (at !== undefined && recording === undefined)
		refuse("--at is a call of a recording, and there is no --recording", "give the file, too: --recording vmm.rec");
	if (pid !== undefined && recording !== undefined)
		refuse("--pid is of a program that runs, and --recording is of one that ran", "leave one of them out");
}

async function walkRecorded(
	path: string,
	question: WalkQuestion,
	{ at, json, loadModels }: WalkOptions,
): Promise<void> {
	const {
		number: which,
		call,
		walks,
		isTranslated,
	} = await walkRecording(path, number("--at", at), question, {
		...(loadModels && { loadModels }),
	});
	const moment = isTranslated ? "the last at which an IOVA is translated" : "the last at which there is a page table";
	const texts = walks.map(walkText);
	if (json) printJson({ recording: path, number: which, call }, texts);
	else print(`${path}, after call ${which} (${call})${at === undefined ? `, ${moment}` : ""}:`, texts);
}

async function walkRunning(question: WalkQuestion, { pid, json }: WalkOptions): Promise<void> {
	const { run, shown } = await askChosen(pid, packQuestion(question), "--recording FILE");
	if (json) printJson(run, shown);
	else print(`${inWords(run)}:`, shown);
}

function print(head: string, walks: readonly Shown[]): void {
	say(head, ...walks.flatMap(({ lines }) => lines));
}

function printJson(about: object, walks: readonly Shown[]): void {
	sayJson({ ...about, walks: walks.map(({ data }) => data) });
}
