// The files of Linux that its iommufd and vfio selftests are built from, copied out of a kernel tree or out of Debian's
// linux-source package. They are kept under .cache/, never in the repository: their licence is not ours.

import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Trouble } from "./trouble.js";

/** The release that Ioasis follows, as Debian names the package of its sources, and the suite that has it. */
const PACKAGE = "linux-source-7.3";
const SUITE = "trixie-backports";
const ARCHIVE_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** Where the selftests lie in a kernel tree. */
export const IOMMUFD_SELFTESTS = "tools/testing/selftests/iommu";
export const VFIO_SELFTESTS = "tools/testing/selftests/vfio";

/** Every file or directory of the kernel that the programs' sources include and that a C library doesn't bring (or brings too old). */
const FILES = [
	`${IOMMUFD_SELFTESTS}/iommufd.c`,
	`${IOMMUFD_SELFTESTS}/iommufd_fail_nth.c`,
	`${IOMMUFD_SELFTESTS}/iommufd_utils.h`,
	VFIO_SELFTESTS,
	"tools/testing/selftests/kselftest.h",
	"tools/testing/selftests/kselftest_harness.h",
	"drivers/iommu/iommufd/iommufd_test.h",
	"include/uapi/linux/iommufd.h",
	"include/uapi/linux/vfio.h",
	"include/uapi/linux/idxd.h",
	"include/uapi/linux/pci_regs.h",
	"include/linux/pci_ids.h",
	"tools/include",
	"tools/arch/x86/include",
	"tools/arch/arm64/include",
	// What the drivers among vfio's selftests have links to.
	"drivers/dma/idxd/registers.h",
	"drivers/dma/ioat/hw.h",
	"drivers/dma/ioat/registers.h",
	...["82575", "defines", "regs"].map((name) => `drivers/net/ethernet/intel/igb/e1000_${name}.h`),
];

export interface KernelSources {
	/** A directory with FILES at their places in the kernel tree. */
	readonly directory: string;
	/** Which Linux it is, for the report. */
	readonly version: string;
}

/** The sources in a kernel tree that the user has. */
export function sourcesFromTree(tree: string, cache: string): KernelSources {
	for (const file of FILES) {
		if (!existsSync(join(tree, file)))
			throw new Trouble(`${tree} has no ${file}`, "give --linux the top directory of a Linux tree, 7.3 or near it");
	}
	// A copy, because include/uapi of a kernel tree can't be used as a whole before `make headers`.
	const directory = join(cache, "linux-tree");
	rmSync(directory, { recursive: true, force: true });
	for (const file of FILES) {
		mkdirSync(dirname(join(directory, file)), { recursive: true });
		cpSync(join(tree, file), join(directory, file), { recursive: true, verbatimSymlinks: true });
	}
	return { directory, version: `the tree ${tree}` };
}

/** The sources in Debian's package, downloaded once. */
export function sourcesFromDebian(cache: string, tell: (line: string) => void): KernelSources {
	const directory = join(cache, PACKAGE);
	const versionFile = join(directory, "version");
	// An older version of us may have unpacked less.
	if (![versionFile, ...FILES.map((file) => join(directory, file))].every((file) => existsSync(file))) {
		mkdirSync(cache, { recursive: true });
		const work = mkdtempSync(join(cache, "download-"));
		try {
			const unpacked = join(work, PACKAGE);
			tell(`fetching ${PACKAGE} from ${SUITE} (160 MB, once)`);
			const archive = download(work);
			tell("unpacking the files that the selftests need");
			unpack(archive, unpacked);
			const version = capture("dpkg-deb", ["--field", archive, "Version"], work);
			writeFileSync(join(unpacked, "version"), version.trim());
			rmSync(directory, { recursive: true, force: true });
			renameSync(unpacked, directory);
		} finally {
			rmSync(work, { recursive: true, force: true });
		}
	}
	return { directory, version: `${PACKAGE} ${readFileSync(versionFile, "utf8")}` };
}

/** Downloads the package into `work` with apt, whose lists and state stay in `work` too. Returns its path. */
function download(work: string): string {
	const mirrors = debianMirrors(work);
	const sourceList = join(work, "sources.list");
	for (const directory of ["state/lists/partial", "cache/archives/partial"])
		mkdirSync(join(work, directory), { recursive: true });
	const options = Object.entries({
		"Dir::Etc::SourceList": sourceList,
		"Dir::Etc::SourceParts": "/dev/null",
		"Dir::State": join(work, "state"),
		"Dir::State::Lists": join(work, "state/lists"),
		"Dir::Cache": join(work, "cache"),
		"Acquire::Languages": "none",
		"APT::Sandbox::User": process.getuid?.() === 0 ? "root" : "",
	}).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
	const signedBy = existsSync(ARCHIVE_KEYS) ? `[signed-by=${ARCHIVE_KEYS}] ` : "";
	let reason = "";
	for (const mirror of mirrors) {
		writeFileSync(sourceList, `deb ${signedBy}${mirror} ${SUITE} main\n`);
		try {
			capture("apt-get", [...options, "-q", "-o", "APT::Update::Error-Mode=any", "update"], work);
			capture("apt-get", [...options, "-q", "download", PACKAGE], work);
			const [file] = capture("sh", ["-c", `ls ${PACKAGE}_*.deb`], work).split("\n");
			return join(work, file!);
		} catch (error) {
			reason = `${mirror}: ${lastLine(error)}`;
		}
	}
	throw new Trouble(
		`${PACKAGE} of ${SUITE} can't be downloaded (${reason || "apt has no Debian archive configured"})`,
		"use a machine whose apt reaches a Debian mirror, or give a kernel tree with --linux DIRECTORY",
	);
}

/** The URIs under which this machine's apt reaches the Debian archive, likeliest first. */
function debianMirrors(work: string): string[] {
	const list = (format: string, ...options: string[]): string[][] => {
		try {
			const targets = capture(
				"apt-get",
				["indextargets", ...options, "--format", format, "Created-By: Packages"],
				work,
			);
			return targets.split("\n").map((line) => line.split("|"));
		} catch {
			return [];
		}
	};
	const release = osRelease("VERSION_CODENAME");
	// What a Release file says about its origin is only known after an `apt-get update`; the configuration always is.
	// A third party's entry that passes for Debian's here does no harm: it has no such suite signed with Debian's keys.
	const known = list("$(REPO_URI)|$(CODENAME)|$(ORIGIN)|$(LABEL)")
		.filter(([, codename, origin, label]) => codename === release && origin === "Debian" && label === "Debian")
		.map(([uri]) => uri!);
	const configured = list("$(REPO_URI)|$(RELEASE)|$(COMPONENT)", "--no-release-info")
		.filter(([, suite, component]) => suite === release && component === "main")
		.map(([uri]) => uri!);
	return [...new Set([...known, ...configured])];
}

function osRelease(field: string): string | undefined {
	if (!existsSync("/etc/os-release")) return undefined;
	return new RegExp(`^${field}="?([^"\n]*)`, "m").exec(readFileSync("/etc/os-release", "utf8"))?.[1];
}

/** Takes FILES out of the kernel tarball that is the package's content. */
function unpack(archive: string, directory: string): void {
	mkdirSync(directory, { recursive: true });
	const pipe = `set -o pipefail
		dpkg-deb --fsys-tarfile "$1" | tar --extract --to-stdout "./usr/src/${PACKAGE}.tar.xz" |
		xz --decompress --stdout --threads=0 | tar --extract --directory "$2" --strip-components=1 "\${@:3}"`;
	try {
		capture(
			"bash",
			["-c", pipe, "unpack", archive, directory, ...FILES.map((file) => `${PACKAGE}/${file}`)],
			directory,
		);
	} catch (error) {
		throw new Trouble(
			`${archive} can't be unpacked: ${lastLine(error)}`,
			"install what is missing: apt-get install dpkg xz-utils",
		);
	}
}

/** Runs a program to its end and returns what it printed; in the machine's language of error messages, English. */
function capture(program: string, parameters: string[], directory: string): string {
	return execFileSync(program, parameters, {
		cwd: directory,
		encoding: "utf8",
		env: { ...process.env, LC_ALL: "C" },
		maxBuffer: 1 << 26,
		stdio: ["ignore", "pipe", "pipe"],
	});
}

function lastLine(error: unknown): string {
	const text = (error as { stderr?: string }).stderr || String(error);
	return text.trimEnd().split("\n").at(-1)!;
}
