// Builds the kernel's selftest programs, unmodified: what a raw kernel header needs is given on the command line.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { IOMMUFD_SELFTESTS, type KernelSources, VFIO_SELFTESTS } from "./kernel-sources.js";
import { Trouble } from "./trouble.js";

const IOMMUFD_PROGRAMS = ["iommufd", "iommufd_fail_nth"] as const;
export const VFIO_PROGRAMS = [
	"vfio_dma_mapping_test",
	"vfio_dma_mapping_mmio_test",
	"vfio_iommufd_setup_test",
	"vfio_pci_device_test",
	"vfio_pci_device_init_perf_test",
	"vfio_pci_driver_test",
	"vfio_pci_sriov_uapi_test",
] as const;
export const PROGRAMS = [...IOMMUFD_PROGRAMS, ...VFIO_PROGRAMS] as const;
export type Program = (typeof PROGRAMS)[number];

/** Of libvfio, which vfio's programs share: lib/libvfio.mk. */
const LIBVFIO = ["iommu", "iova_allocator", "libvfio", "sysfs", "vfio_pci_device", "vfio_pci_driver"];
const LIBVFIO_DRIVERS = ["nv_falcon/nv_falcon", "igb/igb"];
const LIBVFIO_DRIVERS_X86 = ["ioat/ioat", "dsa/dsa"];

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
	const isVfio = (VFIO_PROGRAMS as readonly string[]).includes(program);
	const directory = join(sources.directory, isVfio ? VFIO_SELFTESTS : IOMMUFD_SELFTESTS);
	const top = relative(directory, sources.directory);
	const parameters = [
		...["-D_GNU_SOURCE=", "-O2", "-w", ...KERNEL_ANNOTATIONS],
		// Before the system's own, so that this kernel's <linux/iommufd.h> and <linux/vfio.h> are found first.
		...["-I", join(top, "include/uapi"), "-I", ".."],
		...(isVfio ? ofVfio(top) : []),
		...[`${program}.c`, ...(isVfio ? libvfio() : []), ...(isVfio ? ["-lpthread", "-luuid"] : ["-lcap"])],
	];
	const output = join(cache, "programs", digest([compiler, ...parameters], sources.directory), program);
	if (existsSync(output)) return output;

	requireCompiler(compiler, isVfio);
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

function ofVfio(top: string): string[] {
	return ["-I", "lib/include", "-I", join(top, "tools/include")];
}

function libvfio(): string[] {
	const drivers = process.arch === "x64" ? [...LIBVFIO_DRIVERS, ...LIBVFIO_DRIVERS_X86] : LIBVFIO_DRIVERS;
	return [...LIBVFIO, ...drivers.map((name) => `drivers/${name}`)].map((name) => `lib/${name}.c`);
}

function requireCompiler(compiler: string, isVfio: boolean): void {
	const remedy = "install them: apt-get install gcc libc6-dev libcap-dev uuid-dev";
	const header = isVfio ? "uuid/uuid.h" : "sys/capability.h";
	const program = `#include <stdio.h>\n#include <${header}>\n`;
	const check = spawnSync(compiler, ["-fsyntax-only", "-x", "c", "-"], { input: program, encoding: "utf8" });
	if (check.error) throw new Trouble(`the kernel's selftests need a C compiler, and there is no ${compiler}`, remedy);
	if (check.status !== 0)
		throw new Trouble("the kernel's selftests need the headers of the C library, of libcap and of libuuid", remedy);
}

/** Changes with the command and with every source file. */
function digest(command: string[], directory: string): string {
	const hash = createHash("sha256").update(command.join("\0"));
	for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
		if (entry.isFile()) hash.update(readFileSync(join(entry.parentPath, entry.name)));
	}
	return hash.digest("hex").slice(0, 16);
}
