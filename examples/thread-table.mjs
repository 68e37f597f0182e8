// The whole thread of 2023 in one table, and what a script can make of `ioasis matrix --json`:
//
//   node examples/thread-table.mjs [MACHINES [POLICIES]]
//
// runs examples/hwpt-thread.mjs, which asks several questions at a time, on every machine under every rule, and prints what each of
// them came to. docs/policies.md tells the story.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Those that ship: without the ones that are built as a QEMU's, and the one of the kernel's own tests, which has no devices. */
const MACHINES = "intel,amd,arm,riscv,s390,s390-2023,arm-smmu-2023,pamu-2023";
const POLICIES = "posted,agreed,mainline";
const QUESTIONS = ["alloc", "alloc-data", "alloc-nested", "attach"];

const inCheckout = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const [machines = MACHINES, policies = POLICIES] = process.argv.slice(2);

/** A letter for each reason, in the order in which they came up. */
const reasons = new Map();
const lines = [];
for (const { machine, policy, output, failures } of matrix()) {
	const answers = answersOf(machine, output, failures);
	const previous = lines.at(-1);
	// Rules that come to the same for a machine share a line.
	if (previous?.machine === machine && String(previous.answers) === String(answers)) previous.policies.push(policy);
	else lines.push({ machine, policies: [policy], answers });
}
const rows = [["machine", "policy", ...QUESTIONS]];
for (const [i, { machine, policies, answers }] of lines.entries())
	rows.push([machine === lines[i - 1]?.machine ? "" : machine, policies.join(", "), ...answers]);
const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
for (const row of rows)
	console.log(
		row
			.map((cell, column) => cell.padEnd(widths[column]))
			.join("  ")
			.trimEnd(),
	);
console.log();
for (const { letter, text } of reasons.values()) console.log(`${letter}  ${text}`);

function matrix() {
	const program = [process.execPath, inCheckout("examples/hwpt-thread.mjs"), ...QUESTIONS];
	const words = ["matrix", "--machines", machines, "--policies", policies, "--json", "--", ...program];
	// What its exit code says, that some combinations fail, is what this is about; without any answer it has said why.
	const { stdout } = spawnSync(inCheckout("bin/ioasis"), words, {
		encoding: "utf8",
		stdio: ["ignore", "pipe", "inherit"],
	});
	if (stdout === "") process.exit(1);
	return JSON.parse(stdout).combinations;
}

/** What each question came to: each that fails ends with its first call that does. */
function answersOf(machine, output, failures) {
	let failed = 0;
	return QUESTIONS.map((question) => {
		if (output.includes(`${question} works\n`)) return "works";
		const failure = failures[failed++];
		return failure === undefined ? "?" : `${failure.errno} ${letterFor(machine, failure)}`;
	});
}

/** The same of another driver is the same reason: the first that says it stands for all. */
function letterFor(machine, { call, reason }) {
	const { iommus } = JSON.parse(readFileSync(inCheckout(`machines/${machine}.json`), "utf8"));
	const key = `${call} ${reason.replaceAll(iommus[0].driver, "DRIVER")}`;
	if (!reasons.has(key))
		reasons.set(key, { letter: "abcdefghijklmnopqrstuvwxyz"[reasons.size], text: `${call}: ${reason}` });
	return reasons.get(key).letter;
}
