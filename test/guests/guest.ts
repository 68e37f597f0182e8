// What a guest boots with: Debian's kernel for clouds, which has NVMe, ext4 and VT-d built in, an initramfs of busybox and init.sh, and a
// disk with a file on it. Linux, Documentation/driver-api/early-userspace/buffer-format.rst.

import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Debian } from "./debian.js";

/** What has to be on this computer to make them, and what to install where it isn't. */
export const GUEST_NEEDS = [
	{ program: "cpio", from: "cpio" },
	{ program: "xz", from: "xz-utils" },
	...["mkfs.ext4", "e2fsck", "debugfs"].map((program) => ({ program, from: "e2fsprogs" })),
];

/** Of the file that the host writes, and of the guest's. */
const FILE_SIZE = 64 * 2 ** 20;
const DISK_SIZE = 4 * FILE_SIZE;
/** What isn't built in. */
const MODULES = ["drivers/iommu/virtio-iommu"];

/** Writes vmlinuz and initrd.gz. @param init the guest's first process, a script */
export function writeKernel(directory: string, debian: Debian, init: string): void {
	const packages = ["linux-image-cloud-amd64", "busybox-static"];
	const root = debian.unpack("guest", "trixie", packages, (file) => /^(linux-image|busybox)/.test(file));
	const kernel = readdirSync(join(root, "boot")).find((name) => name.startsWith("vmlinuz-"))!;
	copyFileSync(join(root, "boot", kernel), join(directory, "vmlinuz"));
	const modules = join(root, "usr/lib/modules", kernel.replace("vmlinuz-", ""), "kernel");

	const tree = join(directory, "initramfs");
	rmSync(tree, { recursive: true, force: true });
	for (const name of ["bin", "dev", "mnt", "modules", "proc", "sys"]) mkdirSync(join(tree, name), { recursive: true });
	copyFileSync(join(root, "usr/bin/busybox"), join(tree, "bin/busybox"));
	writeFileSync(join(tree, "init"), readFileSync(init), { mode: 0o755 });
	for (const module of MODULES)
		writeFileSync(
			join(tree, "modules", `${module.split("/").at(-1)}.ko`),
			execFileSync("xz", ["--decompress", "--stdout", join(modules, `${module}.ko.xz`)], { maxBuffer: 2 ** 26 }),
		);
	const names = execFileSync("find", ["."], { cwd: tree });
	const words = ["--create", "--quiet", "--format=newc", "--owner=0:0"];
	const archive = execFileSync("cpio", words, { cwd: tree, input: names, maxBuffer: 2 ** 28 });
	writeFileSync(join(directory, "initrd.gz"), gzipSync(archive));
	rmSync(tree, { recursive: true });
}

/** Writes disk.img: ext4 with a file that a guest checks, and room for one of the guest's. */
export function writeDisk(directory: string): void {
	const files = join(directory, "files");
	mkdirSync(files, { recursive: true });
	const bytes = randomBytes(FILE_SIZE);
	writeFileSync(join(files, "from-host"), bytes);
	writeFileSync(join(files, "from-host.sha256"), `${checksum(bytes)}  from-host\n`);
	const disk = join(directory, "disk.img");
	rmSync(disk, { force: true });
	writeFileSync(disk, "");
	truncateSync(disk, DISK_SIZE);
	execFileSync("mkfs.ext4", ["-q", "-d", files, disk]);
	rmSync(files, { recursive: true });
}

/** @returns what is wrong with the disk that a guest has left. @param told the checksum that the guest has found its own file to have */
export function troublesOfDisk(directory: string, told: string | undefined): string[] {
	const disk = join(directory, "disk.img");
	const copy = join(directory, "from-guest");
	rmSync(copy, { force: true });
	try {
		execFileSync("e2fsck", ["-f", "-n", disk], { stdio: ["ignore", "pipe", "pipe"] });
		execFileSync("debugfs", ["-R", `dump /from-guest ${copy}`, disk], { stdio: ["ignore", "pipe", "pipe"] });
		const found = checksum(readFileSync(copy));
		return found === told ? [] : [`disk.img: from-guest has checksum ${found}, and had ${told} in the guest`];
	} catch (error) {
		return [`disk.img: ${(error as { stdout?: Buffer }).stdout?.toString() || (error as Error).message}`];
	} finally {
		rmSync(copy, { force: true });
	}
}

function checksum(bytes: Uint8Array): string {
	return createHash("sha256").update(bytes).digest("hex");
}
