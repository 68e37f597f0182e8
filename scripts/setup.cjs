// Makes a checkout ready to run: installs the packages of package-lock.json and builds dist/. Takes a few milliseconds, and
// says nothing, when both are up to date.

"use strict";
const { readdirSync, statSync } = require("node:fs");
const { join } = require("node:path");

const root = join(__dirname, "..");

/** When it returns, bin/ioasis can be started. Otherwise it ends the process. */
function setUp() {
	if (modified("node_modules/.package-lock.json") < modified("package-lock.json")) {
		console.error("ioasis: installing packages (only once)");
		const install = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
		insist("npm", install, "the packages could not be installed: can npm reach its registry?");
	}
	if (modified("dist/main.js") < newestSource())
		insist(process.execPath, [join(root, "scripts", "build.mjs")], "the sources could not be built");
}

/** Runs a program that is silent when all goes well. */
function insist(program, parameters, complaint) {
	const { spawnSync } = require("node:child_process");
	const { status, error, stdout, stderr } = spawnSync(program, parameters, {
		cwd: root,
		encoding: "utf8",
		stdio: ["ignore", "pipe", "pipe"],
	});
	if (status === 0) return;
	console.error(`${stdout ?? ""}${stderr ?? error?.message ?? ""}\nioasis: ${complaint}`);
	process.exit(1);
}

/** When a file was written, in milliseconds; 0 when it is not there. */
function modified(path) {
	return statSync(join(root, path), { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function newestSource() {
	return Math.max(...["package.json", "scripts/build.mjs"].map(modified), newestIn(join(root, "src")));
}

/** When the newest source below a directory was written. Every start pays for it, and readdirSync's own recursion costs 30 ms. */
function newestIn(directory) {
	let newest = 0;
	for (const entry of readdirSync(directory, { withFileTypes: true })) {
		const path = `${directory}/${entry.name}`;
		if (entry.isDirectory()) newest = Math.max(newest, newestIn(path));
		else if (isSource(entry.name)) newest = Math.max(newest, statSync(path).mtimeMs);
	}
	return newest;
}

function isSource(name) {
	return name.endsWith(".ts") && !name.endsWith(".test.ts") && !name.endsWith(".testing.ts");
}

module.exports = { setUp };
if (require.main === module) setUp();
