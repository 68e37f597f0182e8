// A call of a recording in words.

import { eventOf } from "../machine/record/call-event.js";
import { printCall } from "../trace/print.js";
import type { Call, Failed, Ioctl } from "../trace/record.js";
import { hex } from "../uapi/errno.js";

/** An ioctl as the lines of a trace. */
export function printed(call: Ioctl, path: string, result: number | Failed, out: Uint8Array | undefined): string[] {
	return printCall(eventOf(call, path, result, out)).split("\n");
}

/** Any other call in a line. */
export function brief(call: Call, answer: number | Failed): string {
	return `${briefly(call)} = ${typeof answer === "number" ? answer : `-1 ${answer.errno} (${answer.reason})`}`;
}

/** The same without its answer. */
export function briefly(call: Call): string {
	if (call.kind === "open") return `open(${JSON.stringify(call.path)})`;
	if (call.kind === "store") return `write(${JSON.stringify(call.path)}, ${JSON.stringify(call.text)})`;
	if (call.kind === "pread" || call.kind === "pwrite")
		return `${call.kind}(${call.length} bytes at ${hex(call.position)})`;
	return call.kind;
}
