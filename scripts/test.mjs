// `npm test`: every check that a change must pass. A part that passes says one line; one that fails says all it has.

import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const CHECKOUT = dirname(dirname(fileURLToPath(import.meta.url)));
const VITEST_RESULTS = join(CHECKOUT, ".cache", "test", "vitest.json");

/** @typedef {{ passed: number, failed: number }} Counts */
/**
 * One part: what it is called, how to run it alone, and what it runs. A part counts as one check, except where it can
 * count for itself.
 * @typedef {{ name: string, alone: string, command: string[], count?: () => Counts }} Part
 */

/** @type {Part[]} */
const PARTS = [
	{ name: "format and lint", alone: "npm run lint", command: [installed("biome"), "check", "."] },
	{ name: "types", alone: "npm run typecheck", command: [installed("tsc"), "--noEmit"] },
	{ name: "rooms", alone: "npm run rooms", command: [process.execPath, join("scripts", "rooms.mjs")] },
	{
		name: "tests",
		alone: "npx vitest run",
		command: [
			...[installed("vitest"), "run", "--reporter=default", "--reporter=json"],
			`--reporter=${join(CHECKOUT, "scripts", "progress-reporter.mjs")}`,
			`--outputFile.json=${VITEST_RESULTS}`,
		],
		count: countTests,
	},
];

/** @param {string} program */
function installed(program) {
	return join(CHECKOUT, "node_modules", ".bin", program);
}

/** @returns {Counts} */
function countTests() {
	const { numPassedTests, numFailedTests } = JSON.parse(readFileSync(VITEST_RESULTS, "utf8"));
	return { passed: numPassedTests, failed: numFailedTests };
}

/**
 * Runs a program to its end.
 * @param {string[]} command
 * @returns {Promise<{ succeeded: boolean, output: string }>}
 */
function run([program, ...parameters]) {
	return new Promise((resolve) => {
		const colour = process.stdout.isTTY ? { FORCE_COLOR: "1" } : {};
		const child = spawn(program, parameters, {
			cwd: CHECKOUT,
			env: { ...process.env, ...colour },
			stdio: ["ignore", "pipe", "pipe", "ipc"],
		});
		child.on("message", showFiles);
		let output = "";
		for (const stream of [child.stdout, child.stderr]) {
			stream.setEncoding("utf8");
			stream.on("data", (text) => {
				output += text;
			});
		}
		child.on("error", (error) => resolve({ succeeded: false, output: `${error.message}\n` }));
		child.on("close", (code) => resolve({ succeeded: code === 0, output }));
	});
}

/** @param {string} text */
function showProgress(text) {
	if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${text}`);
}

/** How many tenths of the files were done when that was last said. */
let tenthsSaid = 0;

/**
 * How far the tests are: on a terminal at once, in a log now and then.
 * @param {{ files: number, done: number, failed: number }} progress
 */
function showFiles({ files, done, failed }) {
	const text = `      tests: ${done} of ${files} files${failed > 0 ? `, ${failed} with failures` : ""}`;
	showProgress(text);
	const tenths = Math.floor((done * 10) / files);
	if (process.stdout.isTTY || tenths <= tenthsSaid || tenths === 10) return;
	tenthsSaid = tenths;
	console.log(text);
}

rmSync(VITEST_RESULTS, { force: true });
mkdirSync(dirname(VITEST_RESULTS), { recursive: true });

const total = { passed: 0, failed: 0 };
/** @type {Part[]} */
const failedParts = [];
for (const part of PARTS) {
	showProgress(`      ${part.name} ...`);
	const started = performance.now();
	const { succeeded, output } = await run(part.command);
	const seconds = ((performance.now() - started) / 1000).toFixed(1);

	let counts = succeeded ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
	if (part.count) {
		try {
			counts = part.count();
		} catch {
			// It broke before it could count: one failure.
		}
		// A test file that can't even be loaded has no test that failed.
		if (!succeeded) counts.failed ||= 1;
	}
	total.passed += counts.passed;
	total.failed += counts.failed;
	if (!succeeded) failedParts.push(part);

	showProgress("");
	if (!succeeded) process.stdout.write(`${output.trimEnd()}\n\n`);
	const ofThese = part.count ? `, ${counts.passed} passed${counts.failed ? `, ${counts.failed} failed` : ""}` : "";
	console.log(`${succeeded ? "ok  " : "FAIL"}  ${part.name} (${seconds} s${ofThese})`);
}

for (const { name, alone } of failedParts) console.log(`${name} failed; to run only this part: ${alone}`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = failedParts.length === 0 ? 0 : 1;
