// ioasis machines: what --machine can name.

import { say, sayJson } from "../host/say.js";
import { machineNames } from "./machine-files.js";

export function machines(json: boolean): void {
	const list = machineNames();
	if (json) {
		sayJson(list);
		return;
	}
	const width = Math.max(...list.map(({ name }) => name.length));
	say(...list.map(({ name, description }) => `${name.padEnd(width)}  ${description}`));
	say("", "A file describes others: ioasis run --machine ./mine.json -- PROGRAM");
}
