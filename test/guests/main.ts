// `npm run guests`: the recipes of docs/qemu.md, as they are written. In each Linux boots as a guest of QEMU with a device of ours, and uses
// its disk; what the guest says is compared with the page, and what it wrote with the disk's image. Nothing needs root or /dev/kvm.

import { spawn } from "node:child_process";
import { accessSync, constants, mkdirSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { Command } from "commander";
import { DEBIAN_NEEDS, Debian } from "./debian.js";
import { GUEST_NEEDS, troublesOfDisk, writeDisk, writeKernel } from "./guest.js";
import { type Recipe, recipesOf, SAID } from "./recipes.js";

const PAGE = "docs/qemu.md";
/** Where recipes find QEMU, the kernel and the disk. */
const CACHE = ".cache/guests";
const QEMUS = [
	{ name: "qemu-10", suite: "trixie" },
	{ name: "qemu-11", suite: "trixie-backports" },
];
/** How the line of init.sh begins that has the checksum of the guest's file. */
const CHECKSUM = "checksum: ";

interface Ended {
	readonly status: number | null;
	readonly stdout: readonly string[];
	readonly stderr: readonly string[];
}

export async function main(checkout: string, parameters: string[]): Promise<number> {
	const command = new Command("npm run guests --")
		.description(
			`Boots Linux as a guest of QEMU by each recipe of ${PAGE}, and looks whether its disk is as it should be.`,
		)
		.argument("[words...]", "only recipes whose heading has one of these")
		.option("--prepare", `get QEMU and Linux into ${CACHE}, and no more`)
		.option("--timeout <seconds>", "for one guest", "600")
		.option("--verbose", "print all that a guest says")
		.addHelpText("after", "\nExample: npm run guests -- nested");
	command.parse(parameters, { from: "user" });
	const words = command.processedArgs[0] as string[];
	const { prepare, timeout, verbose } = command.opts<{ prepare?: true; timeout: string; verbose?: true }>();

	const lacks = [...DEBIAN_NEEDS, ...GUEST_NEEDS].filter(({ program }) => !isThere(program));
	if (process.arch !== "x64") lacks.push({ program: "an x86-64 processor", from: "" });
	if (lacks.length > 0) {
		for (const { program, from } of lacks) console.error(`lacks ${program}${from && `: apt-get install ${from}`}`);
		return 1;
	}
	const directory = join(checkout, CACHE);
	try {
		prepareAll(checkout, directory);
	} catch (error) {
		console.error(`${CACHE} can't be filled: ${(error as Error).message}`);
		return 1;
	}
	if (prepare) {
		writeDisk(directory);
		return 0;
	}

	const recipes = recipesOf(PAGE, readFileSync(join(checkout, PAGE), "utf8")).filter(
		({ title }) => words.length === 0 || words.some((word) => title.includes(word)),
	);
	let failed = 0;
	for (const recipe of recipes) {
		writeDisk(directory);
		const begin = Date.now();
		const ended = await run(checkout, recipe, Number(timeout) * 1000, verbose ?? false);
		const troubles = troublesOf(recipe, ended, directory);
		if (troubles.length > 0) failed++;
		const seconds = ((Date.now() - begin) / 1000).toFixed(0);
		console.log(`${troubles.length > 0 ? "FAILED" : "passed"} ${recipe.title} (${seconds} s)`);
		for (const trouble of troubles) console.log(`   ${PAGE}:${recipe.line}: ${trouble}`);
	}
	console.log(`${recipes.length - failed} passed, ${failed} failed`);
	return failed === 0 && recipes.length > 0 ? 0 : 1;
}

function prepareAll(checkout: string, directory: string): void {
	mkdirSync(directory, { recursive: true });
	const debian = new Debian(directory);
	for (const { name, suite } of QEMUS) {
		const root = debian.unpack(`${name}.root`, suite, ["qemu-system-x86"]);
		const data = ["usr/share/qemu", "usr/share/seabios"].flatMap((path) => ["-L", join(root, path)]);
		debian.writeStarter(join(directory, name), root, "usr/bin/qemu-system-x86_64", ...data);
	}
	writeKernel(directory, debian, join(checkout, "test/guests/init.sh"));
}

function run(checkout: string, { command }: Recipe, timeout: number, isVerbose: boolean): Promise<Ended> {
	// In a group of its own, so that all of it can be ended.
	const child = spawn("sh", ["-c", command], { cwd: checkout, detached: true, stdio: ["ignore", "pipe", "pipe"] });
	let stdout = "";
	let stderr = "";
	child.stdout.setEncoding("utf8").on("data", (text: string) => {
		stdout += text;
		if (isVerbose) process.stdout.write(text);
	});
	child.stderr.setEncoding("utf8").on("data", (text: string) => {
		stderr += text;
		if (isVerbose) process.stderr.write(text);
	});
	const limit = setTimeout(() => process.kill(-child.pid!, "SIGKILL"), timeout);
	return new Promise((resolve) => {
		child.on("close", (status) => {
			clearTimeout(limit);
			resolve({ status, stdout: stdout.split(/\r*\n/), stderr: stderr.split("\n") });
		});
	});
}

function troublesOf({ shown }: Recipe, { status, stdout, stderr }: Ended, directory: string): string[] {
	const said = stdout.filter((line) => line.startsWith(SAID));
	const told = stdout.find((line) => line.startsWith(CHECKSUM))?.slice(CHECKSUM.length);
	const troubles = troublesOfDisk(directory, told);
	if (status !== 0) troubles.push(status === null ? "it took too long" : `it ended with exit code ${status}`);
	if (said.join("\n") !== shown.join("\n"))
		troubles.push(`the guest says: ${said.join("; ") || stdout.slice(-20).join("\n")}`);
	if (troubles.length > 0) troubles.push(...stderr.filter((line) => line !== ""));
	return [...troubles, ...stderr.filter((line) => line.includes("DMA error"))];
}

/** @returns whether a program can be started. Those of file systems are in sbin, which not everybody looks in. */
function isThere(program: string): boolean {
	process.env.PATH = [...new Set([...process.env.PATH!.split(delimiter), "/usr/sbin", "/sbin"])].join(delimiter);
	return process.env.PATH.split(delimiter).some((directory) => {
		try {
			accessSync(join(directory, program), constants.X_OK);
			return true;
		} catch {
			return false;
		}
	});
}
