// Becomes the user nobody and opens LINK again and again, while a thread makes it lead to one TARGET after the other:
// swapped-link.mjs LINK TARGET ... Prints what it has found, once it has found as many things often as there are targets:
// the device, an error's name, or what stands in a file.

import { closeSync, fstatSync, openSync, readFileSync, renameSync, symlinkSync } from "node:fs";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

const ENOUGH = 100;

if (isMainThread) {
	const [link, ...targets] = process.argv.slice(2);
	process.setgroups([]);
	process.setgid(65534);
	process.setuid(65534);
	const swapper = new Worker(new URL(import.meta.url), { workerData: { link, targets } });
	swapper.once("message", () => {
		const found = {};
		while (Object.values(found).filter((count) => count >= ENOUGH).length < targets.length) {
			const what = look(link);
			found[what] = (found[what] ?? 0) + 1;
		}
		console.log(JSON.stringify(Object.keys(found).sort()));
		process.exit();
	});
} else {
	const { link, targets } = workerData;
	for (let i = 0; ; i++) {
		symlinkSync(targets[i % targets.length], `${link}.new`);
		renameSync(`${link}.new`, link);
		if (i === targets.length) parentPort.postMessage("ready");
	}
}

function look(path) {
	let fd;
	try {
		fd = openSync(path, "r");
	} catch (error) {
		return error.code;
	}
	try {
		return fstatSync(fd).isCharacterDevice() ? "device" : readFileSync(fd, "utf8");
	} finally {
		closeSync(fd);
	}
}
