// npm run bench profile: where the supervisor's thread spends the time of a trapped call, as Linux's perf sees it.

import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Setting, Skipped } from "./figure.js";
import { ioasis } from "./figures/trapped.js";

/** What a sample's place belongs to; the first that fits. */
const PARTS: readonly (readonly [part: string, place: RegExp])[] = [
	[
		"kernel: going to sleep and waking the other",
		/finish_task_switch|_raw_spin_unlock_irq|schedule|seccomp_notify|wake/,
	],
	["kernel: which file an fd is (/proc/TID/fdinfo)", /seq_|vsnprintf|format_decode|\bnumber\b|proc_fd|show_fd/],
	["kernel: the rest, copying the struct above all", /kernel/],
	["our code, compiled", /JS:|perf-\d+\.map|\[unknown\]/],
	["garbage collection", /Scaveng|Marking|Sweep|Heap::|Evacuat/],
	["Node, koffi and libc, between our code and the kernel", /./],
];

export function profile(setting: Setting): number {
	try {
		for (const mode of ["alloc", "map"]) show(mode, setting);
		return 0;
	} catch (error) {
		if (!(error instanceof Skipped)) throw error;
		console.error(`bench: no profile can be made here: ${error.message}`);
		return 1;
	}
}

function show(mode: string, { checkout, floors }: Setting): void {
	const directory = join(checkout, ".cache", "bench");
	mkdirSync(directory, { recursive: true });
	const data = join(directory, `perf.${mode}.data`);
	const command = [...ioasis(checkout), floors.path("calls"), mode, "20000", "200000", "1"];
	run("perf", ["record", "-q", "-F", "5000", "-o", data, ...command], {
		NODE_OPTIONS: "--perf-basic-prof --interpreted-frames-native-stack",
	});
	const lines = run("perf", ["script", "-i", data, "-F", "tid,ip,sym,dso"]).split("\n");
	const samples = ofBusiestThread(lines);
	const counts = new Map(PARTS.map(([part]) => [part, 0]));
	for (const sample of samples) {
		const [part] = PARTS.find(([, place]) => place.test(sample))!;
		counts.set(part, counts.get(part)! + 1);
	}
	console.log(`${mode === "map" ? "IOAS_MAP and IOAS_UNMAP" : "IOAS_ALLOC"}, the supervisor's thread:`);
	for (const [part, count] of counts)
		console.log(`  ${((100 * count) / samples.length).toFixed(0).padStart(3)} %  ${part}`);
}

/** The supervisor's thread answers calls and does nothing else, so no other has more samples. */
function ofBusiestThread(lines: readonly string[]): string[] {
	const byThread = new Map<string, string[]>();
	for (const line of lines) {
		const thread = line.trim().split(/\s+/, 1)[0];
		if (thread === "") continue;
		const samples = byThread.get(thread) ?? [];
		samples.push(line);
		byThread.set(thread, samples);
	}
	return [...byThread.values()].sort((one, other) => other.length - one.length)[0] ?? [];
}

function run(program: string, parameters: readonly string[], variables: NodeJS.ProcessEnv = {}): string {
	const { error, status, stdout, stderr } = spawnSync(program, parameters, {
		encoding: "utf8",
		env: { ...process.env, ...variables },
		maxBuffer: 2 ** 30,
		stdio: ["ignore", "pipe", "pipe"],
	});
	if (error) throw new Skipped(`it needs Linux's perf (${error.message})`);
	if (status !== 0) throw new Skipped(stderr.trim().split("\n").at(-1) ?? "perf fails");
	return stdout;
}
