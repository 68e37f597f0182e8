// The many ways to write a path.

import { afterAll, beforeAll, expect, test } from "vitest";
import { asClient, buildHarness, isRoot } from "../testing/harness.testing.js";
import type { Who } from "../testing/questions.testing.js";

let cleanUp: () => void;
beforeAll(async () => {
	cleanUp = await buildHarness();
});
afterAll(() => cleanUp());

test("a path is ours however it is written", async () => {
	const { answer } = await asClient((client) => {
		const { open, openat, openat2, ask, close, inDirectory, symlink, chdir, O_RDWR, AT_FDCWD } = client;
		const path = (fd: number) => {
			if (fd < 0) return fd;
			const found = ask<Who>(fd, { what: "who" }).path;
			close(fd);
			return found;
		};
		return inDirectory((directory) => {
			symlink("/dev/iommu", `${directory}/link`);
			symlink("link", `${directory}/iommu`);
			symlink("/dev", `${directory}/devices`);
			symlink("loop", `${directory}/loop`);
			const dev = open("/dev", 0);
			const here = open(directory, 0);
			chdir("/dev/..");
			const RESOLVE_NO_SYMLINKS = 4;
			const RESOLVE_IN_ROOT = 16;
			const root = open("/", 0);
			return {
				plain: path(open("/dev/iommu", O_RDWR)),
				dots: path(open("/dev/../dev/./iommu", O_RDWR)),
				slashes: path(open("//dev///iommu", O_RDWR)),
				missingDirectory: path(open("/dev/vfio/devices/vfio0", O_RDWR)),
				missingAndDots: path(open("/tmp/../dev/vfio/../vfio/devices/vfio0", O_RDWR)),
				relative: path(open("dev/iommu", O_RDWR)),
				byFd: path(openat(dev, "iommu", O_RDWR)),
				byFdUpwards: path(openat(here, "../../../../../../dev/iommu", O_RDWR)),
				byFdButAbsolute: path(openat(here, "/dev/iommu", O_RDWR)),
				byCwd: path(openat(AT_FDCWD, "dev/iommu", O_RDWR)),
				openat2: path(openat2(dev, "iommu", O_RDWR, 0)),
				inRoot: path(openat2(root, "/dev/iommu", O_RDWR, RESOLVE_IN_ROOT)),
				link: path(open(`${directory}/link`, O_RDWR)),
				linkOfALink: path(openat(here, "iommu", O_RDWR)),
				linkedDirectory: path(openat(here, "devices/iommu", O_RDWR)),
				selfRoot: path(open("/proc/self/root/dev/iommu", O_RDWR)),
				selfCwd: path(open("/proc/self/cwd/dev/iommu", O_RDWR)),
				noFollow: path(open(`${directory}/link`, O_RDWR | client.O_NOFOLLOW)),
				noSymlinks: path(openat2(here, "iommu", O_RDWR, RESOLVE_NO_SYMLINKS)),
				loop: path(open(`${directory}/loop`, O_RDWR)),
			};
		});
	});
	const { missingDirectory, missingAndDots, noFollow, noSymlinks, loop, ...others } = answer;
	expect([missingDirectory, missingAndDots]).toEqual(Array(2).fill("/dev/vfio/devices/vfio0"));
	expect([noFollow, noSymlinks, loop]).toEqual(Array(3).fill(-40)); // ELOOP
	for (const [how, path] of Object.entries(others)) expect([how, path]).toEqual([how, "/dev/iommu"]);
});

test("a path of the same name elsewhere isn't ours", async () => {
	const { answer } = await asClient(({ open, openat, inDirectory, writeFile, readText, O_RDWR, AT_FDCWD }) =>
		inDirectory((directory) => {
			writeFile(`${directory}/iommu`, "mine");
			const fd = open(`${directory}/iommu`, 0);
			return [
				readText(fd),
				open("/dev/nonexistent", O_RDWR),
				open("", O_RDWR),
				openat(AT_FDCWD, "iommu", 0),
				openat(99, "iommu", 0),
			];
		}),
	);
	expect(answer).toEqual(["mine", -2, -2, -2, -9]);
});

test("opening an open file by its name in /proc opens the device once more", async () => {
	const { answer } = await asClient(({ open, ask, O_RDWR }) => {
		const fd = open("/dev/iommu", O_RDWR);
		const again = [
			`/proc/self/fd/${fd}`,
			`/dev/fd/${fd}`,
			`/proc/thread-self/fd/${fd}`,
			`/proc/${process.pid}/fd/${fd}`,
		];
		return again.map((path) => ask<Who>(open(path, O_RDWR), { what: "who" }).file);
	});
	expect(answer).toEqual([2, 3, 4, 5]);
});

test("a path at a bad address, or without an end, is the kernel's to refuse", async () => {
	const { answer } = await asClient(({ openAt, mmap, memoryAt, munmap }) => {
		const address = mmap(3 * 4096, 3, 0x22);
		memoryAt(address, 2 * 4096).fill("/");
		munmap(address + 2 * 4096, 4096);
		const atTheEnd = address + 2 * 4096 - "/dev/iommu\0".length;
		const results = [openAt(0), openAt(1), openAt(address), openAt(address + 2 * 4096 - 3)];
		memoryAt(atTheEnd, 11).write("/dev/iommu\0");
		return [...results, openAt(atTheEnd) > 0];
	});
	expect(answer).toEqual([-14, -14, -36, -14, true]); // EFAULT, ENAMETOOLONG
});

test("an existing file can't be created anew", async () => {
	const { answer } = await asClient(({ open, O_RDWR, O_CREAT, O_EXCL }) => [
		open("/dev/iommu", O_RDWR | O_CREAT | O_EXCL),
		open("/dev/iommu", O_RDWR | O_CREAT) > 0,
	]);
	expect(answer).toEqual([-17, true]); // EEXIST
});

test.runIf(isRoot)("a chroot has a /dev/iommu of its own", async () => {
	const { answer } = await asClient(({ open, ask, inDirectory, chroot, chdir, O_RDWR }) =>
		inDirectory((directory) => {
			chroot(directory);
			chdir("/");
			const fds = [open("/dev/iommu", O_RDWR), open("/../dev/iommu", O_RDWR), open("dev/iommu", O_RDWR)];
			return fds.map((fd) => ask<Who>(fd, { what: "who" }).path);
		}),
	);
	expect(answer).toEqual(Array(3).fill("/dev/iommu"));
});

test("a directory is taken for one in any alphabet, and a link to one isn't", async () => {
	const { answer } = await asClient((client) =>
		client.inDirectory((directory) => {
			const [own, link] = [`${directory}/m\u00fcnchen`, `${directory}/link`];
			client.mkdir(own, 0o755);
			client.symlink("/usr/bin", link);
			const up = "/..".repeat(own.split("/").length - 1);
			const file = (start: string) => client.open(`${start}${up}/sys/devices/fake/dev`, client.O_RDONLY) > 0;
			return [file(own), file(link)];
		}),
	);
	expect(answer).toEqual([true, false]);
});
