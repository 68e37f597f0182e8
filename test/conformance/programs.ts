// Builds the kernel's selftest programs, unmodified: what a raw kernel header needs is given on the command line.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { type KernelSources, SELFTESTS } from "./kernel-sources.js";
import { Trouble } from "./trouble.js";

export const PROGRAMS = ["iommufd", "iommufd_fail_nth"] as const;
export type Program = (typeof PROGRAMS)[number];

/** `make headers` would take these two annotations out of a uapi header. */
const KERNEL_ANNOTATIONS = ["-D__user=", "-D__counted_by(member)="];

/** Builds one program, unless it was built from the same sources before. Returns its path. */
export function buildProgram(
	program: Program,
	sources: KernelSources,
	cache: string,
	tell: (line: string) => void,
): string {
	const compiler = process.env.CC ?? "gcc";
	// Run in the selftests' directory, because a failing test shows its file by the name that it was compiled under.
	const directory = join(sources.directory, SELFTESTS);
	const top = relative(directory, sources.directory);
	const parameters = [
		...["-D_GNU_SOURCE=", "-O2", "-w", ...KERNEL_ANNOTATIONS],
		// Before the system's own, so that this kernel's <linux/iommufd.h> and <linux/vfio.h> are found first.
		...["-I", join(top, "include/uapi"), "-I", ".."],
		...[`${program}.c`, "-lcap"],
	];
	const output = join(cache, "programs", digest([compiler, ...parameters], sources.directory), program);
	if (existsSync(output)) return output;

	requireCompiler(compiler);
	tell(`building ${program} from ${sources.version}`);
	mkdirSync(dirname(output), { recursive: true });
	// Under another name first: a build that is interrupted leaves nothing that looks finished.
	const unfinished = `${output}.${process.pid}`;
	const build = spawnSync(compiler, [...parameters, "-o", unfinished], { cwd: directory, encoding: "utf8" });
	if (build.status !== 0) {
		const first = build.stderr.split("\n").find((line) => line.includes("error")) ?? build.stderr.trim();
		throw new Trouble(`${program} can't be built from ${sources.version}: ${first}`, "try the sources of Linux 7.3");
	}
	renameSync(unfinished, output);
	return output;
}

function requireCompiler(compiler: string): void {
	const remedy = "install them: apt-get install gcc libc6-dev libcap-dev";
	const program = "#include <stdio.h>\n#include <sys/capability.h>\n";
	const check = spawnSync(compiler, ["-fsyntax-only", "-x", "c", "-"], { input: program, encoding: "utf8" });
	if (check.error) throw new Trouble(`the kernel's selftests need a C compiler, and there is no ${compiler}`, remedy);
	if (check.status !== 0)
		throw new Trouble("the kernel's selftests need the headers of the C library and of libcap", remedy);
}

/** Changes with the command and with every source file. */
function digest(command: string[], directory: string): string {
	const hash = createHash("sha256").update(command.join("\0"));
	for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
		if (entry.isFile()) hash.update(readFileSync(join(entry.parentPath, entry.name)));
	}
	return hash.digest("hex").slice(0, 16);
}
