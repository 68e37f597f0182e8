// Starting a device thread, and hearing of its end: from the main thread, the only one of ours that has an event loop.

import { Worker } from "node:worker_threads";
import type { DeviceThreadData } from "../devices/device-thread.js";
import { isUnburied, noteEnd } from "../devices/link.js";
import { sayOnStderr } from "../say.js";

/** How soon the supervisor is woken again, in milliseconds: it counts only while it waits. */
const AGAIN = 20;

/** @param wake has the supervisor look after those that have ended */
export function startDevice(file: URL, data: DeviceThreadData, wake: () => void): void {
	let problem = "its thread has ended";
	const worker = new Worker(file, { workerData: data, execArgv: [] });
	worker.unref();
	worker.on("error", (error) => {
		problem = error.stack ?? String(error);
	});
	worker.on("exit", () => {
		if (!noteEnd(data.link)) return;
		const names = data.functions.map(({ name, model }) => `${name} (${model})`).join(", ");
		sayOnStderr(...`ioasis: ${names} answers nothing any more: ${problem}`.split("\n"));
		wake();
		const again = setInterval(() => {
			if (isUnburied(data.link)) wake();
			else clearInterval(again);
		}, AGAIN).unref();
	});
}
