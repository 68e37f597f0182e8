// A root run whose program has given up its privileges: what it may find and reach is what it could by itself.

import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { asClient, buildHarness, isRoot } from "../testing/harness.testing.js";

const [ENOENT, EACCES] = [-2, -13];
const NOBODY = 65534;

let cleanUp: () => void;
beforeAll(async () => {
	cleanUp = await buildHarness();
});
afterAll(() => cleanUp());

let directory: string;
beforeEach(() => {
	directory = mkdtempSync("/var/tmp/ioasis-test-");
	chmodSync(directory, 0o755);
});
afterEach(() => rmSync(directory, { recursive: true }));

describe.runIf(isRoot)("a program of root's that has become nobody", () => {
	test("finds no device through a directory that it may not search", async () => {
		mkdirSync(join(directory, "private"), { mode: 0o700 });
		symlinkSync("/dev/iommu", join(directory, "private", "link"));
		symlinkSync("/dev", join(directory, "private", "devices"));
		symlinkSync("/dev/iommu", join(directory, "link"));
		const { answer } = await asClient(
			({ open, setresuid, syscall, O_RDWR }, { directory, nobody }) => {
				const paths = ["private/link", "private/devices/iommu", "private/../link", "link"];
				const opened = () => paths.map((path) => open(`${directory}/${path}`, O_RDWR));
				const asRoot = opened().map((fd) => fd >= 0);
				syscall(process.arch === "x64" ? 116 : 159, 0, 0); // setgroups(2)
				setresuid(nobody, nobody, nobody);
				return { asRoot, asNobody: opened().map((fd) => Math.min(fd, 0)) };
			},
			{ directory, nobody: NOBODY },
		);
		expect(answer).toEqual({ asRoot: [true, true, true, true], asNobody: [EACCES, EACCES, EACCES, 0] });
	});

	test("finds its own files by their names in /proc, but not those of root's", async () => {
		const { answer } = await asClient((client, nobody) => {
			const { open, inChild, setresuid, readlink, O_RDWR } = client;
			const fd = open("/dev/iommu", O_RDWR);
			const own = `/proc/self/fd/${fd}`;
			const rootsOwn = `/proc/${process.pid}/fd/${fd}`;
			const asChild = inChild(
				({ open, setresuid, readlink, O_RDWR }, { path, nobody }) => {
					const before = [open(path, O_RDWR) > 0, readlink(path)];
					setresuid(nobody, nobody, nobody);
					return { before, after: [open(path, O_RDWR), readlink(path)] };
				},
				{ path: rootsOwn, nobody },
			);
			setresuid(nobody, nobody, nobody);
			return { asChild, own: [open(own, O_RDWR) > 0, readlink(own)] };
		}, NOBODY);
		expect(answer.own).toEqual([true, "/dev/iommu"]);
		expect(answer.asChild).toEqual({ before: [true, "/dev/iommu"], after: [EACCES, EACCES] });
	});

	test("has a device write only to files that it could write to", async () => {
		const { answer } = await asClient((client, nobody) => {
			const { open, ask, setresuid, memfdCreate, O_RDONLY, O_RDWR } = client;
			const fd = open("/dev/iommu", O_RDWR);
			const [roots, everybodys] = [0o644, 0o666].map((mode) => {
				const memfd = memfdCreate("memory", 0);
				client.ftruncate(memfd, 4096);
				client.syscall(process.arch === "x64" ? 91 : 52, memfd, mode); // fchmod(2)
				return { reading: open(`/proc/self/fd/${memfd}`, O_RDONLY), both: memfd };
			});
			setresuid(nobody, nobody, nobody);
			const mayWrite = (fd_: number) => ask<{ mayWrite: boolean }>(fd, { what: "file", fd: fd_ }).mayWrite;
			const asked = [roots.reading, roots.both, everybodys.reading].map(mayWrite);
			return { asked };
		}, NOBODY);
		expect(answer.asked).toEqual([false, true, true]);
	});

	test("has nothing written through an fd for reading, or a mapping of one, of a file that isn't its own", async () => {
		const file = join("/dev/shm", `ioasis-test-${process.pid}`);
		writeFileSync(file, "of root's".padEnd(4096));
		try {
			const { answer } = await asClient(
				(client, { file, nobody }) => {
					const { open, ask, setresuid, mmap, O_RDONLY, O_RDWR, PROT_READ, MAP_SHARED } = client;
					const fd = open("/dev/iommu", O_RDWR);
					setresuid(nobody, nobody, nobody);
					const reading = open(file, O_RDONLY);
					const address = mmap(4096, PROT_READ, MAP_SHARED, reading);
					const [{ backing: mapped }] = ask<{ backing: number }[]>(fd, { what: "resolve", address, pages: 1 });
					const { backing: named } = ask<{ backing: number }>(fd, { what: "file", fd: reading });
					const write = (backing: number) => ask<number>(fd, { what: "write", backing, at: 0, text: "by nobody" });
					return {
						read: ask(fd, { what: "read", backing: mapped, at: 0, length: 9 }),
						written: [mapped, named].map(write),
						same: mapped === named,
					};
				},
				{ file, nobody: NOBODY },
			);
			expect(answer).toEqual({ read: "of root's", written: [0, 0], same: true });
			expect(readFileSync(file, "utf8").trimEnd()).toBe("of root's");
		} finally {
			rmSync(file);
		}
	});

	test("has only its own threads fail", async () => {
		const { answer } = await asClient((client, nobody) => {
			const { open, inChild, O_RDWR } = client;
			const path = `/proc/${process.pid}/fail-nth`;
			const opened = inChild(
				({ open, setresuid, syscall, O_RDONLY, O_RDWR }, { path, nobody }) => {
					setresuid(nobody, nobody, nobody);
					syscall(process.arch === "x64" ? 157 : 167, 4, 1); // PR_SET_DUMPABLE, which else would make it root's own
					const tried = [open(path, O_RDWR), open(path, O_RDONLY), open("/proc/self/fail-nth", O_RDWR)];
					return tried.map((fd) => Math.min(fd, 0));
				},
				{ path, nobody },
			);
			return { opened, ofRoots: Math.min(0, open(path, O_RDWR)) };
		}, NOBODY);
		expect(answer).toEqual({ opened: [EACCES, 0, 0], ofRoots: 0 });
	});

	test("may do to the machine's files what their modes allow to others", async () => {
		const { answer } = await asClient(({ open, access, setresuid, O_RDWR, O_RDONLY }, nobody) => {
			const path = "/sys/devices/fake/setting";
			const tried = () => [open(path, O_RDONLY) > 0, open(path, O_RDWR) > 0, access(path, 2) === 0];
			const before = tried();
			setresuid(nobody, nobody, nobody);
			return [before, tried()];
		}, NOBODY);
		expect(answer).toEqual([
			[true, true, true],
			[true, false, false],
		]);
	});
});

describe.runIf(isRoot)("in a chroot", () => {
	test("a path leads to what is there, whatever the host has at the same path", async () => {
		const inside = join(directory, "root", directory);
		mkdirSync(inside, { recursive: true });
		mkdirSync(join(directory, "root", "dev"));
		symlinkSync("/dev/iommu", join(directory, "file"));
		writeFileSync(join(inside, "file"), "mine");
		symlinkSync("/dev", join(directory, "devices"));
		mkdirSync(join(inside, "devices"));
		writeFileSync(join(inside, "devices", "iommu"), "mine too");
		const { answer } = await asClient(({ open, chroot, chdir, readText, O_RDONLY, O_RDWR }, directory) => {
			chroot(`${directory}/root`);
			chdir("/");
			const read = (path: string) => {
				const fd = open(path, O_RDONLY);
				return fd < 0 ? fd : readText(fd);
			};
			const paths = [`${directory}/file`, `${directory}/devices/iommu`, `.${directory}/file`];
			return { read: paths.map(read), device: open("/dev/iommu", O_RDWR) > 0, byCwd: open("dev/iommu", O_RDWR) > 0 };
		}, directory);
		expect(answer).toEqual({ read: ["mine", "mine too", "mine"], device: true, byCwd: true });
	});
});

test.runIf(isRoot)(
	"a directory of the caller's is where it looks, though it has become another user meanwhile",
	async () => {
		const { answer } = await asClient(({ open, openat, chdir, setresuid, O_RDWR, O_RDONLY, AT_FDCWD }, nobody) => {
			chdir("/dev");
			const dev = open("/dev", O_RDONLY);
			setresuid(nobody, nobody, nobody);
			return [openat(AT_FDCWD, "iommu", O_RDWR), openat(dev, "../dev/iommu", O_RDWR), open("nothing", O_RDWR)].map(
				(fd) => Math.min(fd, 0),
			);
		}, NOBODY);
		expect(answer).toEqual([0, 0, ENOENT]);
	},
);
