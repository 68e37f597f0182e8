// ioasis machines: what --machine can name.

import { machineNames } from "./machine-files.js";

export function machines(json: boolean): void {
	const list = machineNames();
	if (json) {
		console.log(JSON.stringify(list, null, "\t"));
		return;
	}
	const width = Math.max(...list.map(({ name }) => name.length));
	for (const { name, description } of list) console.log(`${name.padEnd(width)}  ${description}`);
	console.log("\nA file describes others: ioasis run --machine ./mine.json -- PROGRAM");
}
