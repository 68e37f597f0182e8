// The thread that writes a recording, or prints a trace into a file: what the supervisor's thread has no time for.

import { fstatSync } from "node:fs";
import { workerData } from "node:worker_threads";
import { writeAll } from "../host/say.js";
import { endRing } from "../host/writing/ring.js";
import { drain } from "../host/writing/writer-thread.js";
import { BlockWriter } from "../machine/record/blocks.js";
import { complain } from "./complain.js";
import { type TraceForm, TraceFromRing } from "./trace-sink.js";

/** What a writer is told, besides where what it writes comes from. */
export type WriterTask =
	| { readonly kind: "recording"; readonly fd: number }
	| { readonly kind: "trace"; readonly fd: number; readonly form: TraceForm };

const task: WriterTask & { readonly ring: SharedArrayBuffer } = workerData;
if (task.kind === "trace") {
	const trace = new TraceFromRing(task.fd, task.form);
	drain(task.ring, (frame) => trace.frame(frame), trace.flush);
	endRing(task.ring);
} else record(task);

function record({ ring, fd }: typeof task): void {
	let isBroken = false;
	const blocks = new BlockWriter({ append: (bytes) => write(bytes), replace: (at, bytes) => write(bytes, at) });
	// Of a pipe nothing can be replaced, so blocks are written when they are whole.
	const isFile = fstatSync(fd).isFile();
	drain(
		ring,
		(frame) => blocks.add(frame),
		() => isFile && blocks.flush(),
	);
	blocks.finish();
	endRing(ring);

	/** What can't be written is lost, and that is said once. */
	function write(bytes: Uint8Array, at?: number): void {
		if (isBroken) return;
		const problem = writeAll(fd, bytes, at);
		if (problem === undefined) return;
		isBroken = true;
		complain(`the recording ends here: it can't be written any more: ${problem}`);
	}
}
