// A call of a recording as a trace has it.

import { commandOf } from "../../trace/commands.js";
import type { CallEvent } from "../../trace/event.js";
import type { Failed, Ioctl } from "../../trace/record.js";
import { Errno } from "../../uapi/errno.js";
import type { HintName } from "../../uapi/hints.js";

/** @param out the struct after it, if it was written @param hint what to do about an error */
export function eventOf(
	call: Ioctl,
	path: string,
	result: number | Failed,
	out?: Uint8Array,
	hint?: HintName,
): CallEvent {
	const { thread, file, number, argument, in: before } = call;
	return {
		thread,
		fd: file,
		path,
		number,
		argument,
		command: commandOf(path, number),
		before,
		after: out ?? (typeof result === "number" ? before : undefined),
		result: typeof result === "number" ? result : new Errno(result.errno, result.reason, hint),
	};
}
