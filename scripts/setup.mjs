// Makes a checkout ready to run: installs the packages of package-lock.json, builds dist/. Does nothing, in a few
// milliseconds, when both are up to date.

import { spawnSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));

/** @returns when bin/ioasis can be started */
export function setUp() {
	if (modified("node_modules/.package-lock.json") < modified("package-lock.json")) install();
	if (modified("dist/main.js") < newestSource()) build();
}

function install() {
	say("installing packages");
	const { status, stderr } = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
		cwd: root,
		encoding: "utf8",
		stdio: ["ignore", "ignore", "pipe"],
	});
	if (status === 0) return;
	console.error(`${stderr}\nioasis: the packages could not be installed: is the npm registry reachable?`);
	process.exit(1);
}

/** In a process of its own, because esbuild leaves one running as long as the one that uses it. */
function build() {
	const { status } = spawnSync(process.execPath, [`${root}scripts/build.mjs`], {
		stdio: ["ignore", "ignore", "inherit"],
	});
	if (status !== 0) process.exit(1);
}

/** When a file was written, in milliseconds; 0 when it is not there. */
function modified(path) {
	return statSync(`${root}${path}`, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function newestSource() {
	let newest = Math.max(modified("package-lock.json"), modified("scripts/build.mjs"));
	const visit = (directory) => {
		for (const entry of readdirSync(`${root}${directory}`, { withFileTypes: true })) {
			const path = `${directory}/${entry.name}`;
			if (entry.isDirectory()) visit(path);
			else if (entry.name.endsWith(".ts") && !entry.name.endsWith(".test.ts"))
				newest = Math.max(newest, modified(path));
		}
	};
	visit("src");
	return newest;
}

function say(what) {
	console.error(`ioasis: ${what} (only once)`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) setUp();
