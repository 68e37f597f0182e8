// ioasis walk: how IOVAs are translated, in a program that runs under `ioasis run` or in a recording of one.

import type { HwptWalk } from "../iommufd/hwpt-walk.js";
import { NothingToWalk, type WalkQuestion } from "../machine/walk.js";
import { complain, refuse } from "./complain.js";
import { NOTHING_TO_WALK } from "./exit-codes.js";
import { parseIova } from "./iova.js";
import { walkRecording } from "./recorded-walk.js";
import { type WalkText, walkText } from "./walk-text.js";

/** What `walk` can be told, as the command line has it. */
export interface WalkOptions {
	readonly pid?: string;
	readonly recording?: string;
	readonly at?: string;
	readonly hwpt?: string;
	readonly device?: string;
	readonly pasid?: string;
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
	if (question.pasid !== undefined && question.device === undefined)
		refuse("--pasid says which requests of a device, and there is no --device", "give both: --device vfio0 --pasid 1");
	if (options.at !== undefined && options.recording === undefined)
		refuse("--at is a line of a recording, and there is no --recording", "give the file, too: --recording vmm.jsonl");
	try {
		if (options.recording !== undefined) walkRecorded(options.recording, question, options);
	} catch (error) {
		if (!(error instanceof NothingToWalk)) throw error;
		complain(error.message, error.advice);
		process.exitCode = NOTHING_TO_WALK;
	}
}

function walkRecorded(path: string, question: WalkQuestion, options: WalkOptions): void {
	const at = number("--at", options.at);
	const { line, call, walks, isTranslated } = walkRecording(path, at, question);
	const texts = walks.map((one: HwptWalk) => walkText(one));
	const which = isTranslated ? "the last at which an IOVA is translated" : "the last at which there is a page table";
	const head = `${path}, after line ${line} (${call})${at === undefined ? `, ${which}` : ""}`;
	print(texts, options, head, { recording: path, line, call });
}

function print(walks: readonly WalkText[], { json }: WalkOptions, head: string, common: object): void {
	if (json) console.log(JSON.stringify({ ...common, walks: walks.map(({ data }) => data) }, null, "\t"));
	else console.log([`${head}:`, ...walks.map(({ text }) => text)].join("\n"));
}

function number(option: string, text: string | undefined): number | undefined {
	if (text === undefined) return undefined;
	if (!/^\d{1,10}$/.test(text)) refuse(`${option} ${text}: not a number`, `give it in decimal: ${option} 3`);
	return Number(text);
}
