// Calls that name a file: what is answered for the machine's files, and what is left to the kernel.

import { afterAll, beforeAll, expect, test } from "vitest";
import { asClient, asNobody, buildHarness, isRoot, run, start } from "../testing/harness.testing.js";

let cleanUp: () => void;
beforeAll(async () => {
	cleanUp = await buildHarness();
});
afterAll(() => cleanUp());

const [ENOENT, EFAULT, EACCES, EEXIST, ENOTDIR, EISDIR, EINVAL, ELOOP, EXDEV] = [
	-2, -14, -13, -17, -20, -21, -22, -40, -18,
];

/** What a shell script prints, its errors among it. */
async function sh(script: string, before: readonly string[] = []): Promise<string> {
	const { stdout, stderr } = await start(["/bin/sh", "-c", script], before).outcome;
	return stdout + stderr;
}

test("a device has its number by every name, followed or not", async () => {
	const script = `
		link=$(mktemp -u); ln -s /dev/iommu $link
		stat -c '%F %t:%T %a' /dev/iommu /dev/../dev//iommu
		stat -L -c '%F %t:%T' $link; stat -c %F $link
		cd /dev && stat -c '%F %t:%T' iommu ./iommu ../dev/iommu
		exec 5<>/dev/iommu; stat -L -c '%F %t:%T' /proc/self/fd/5 /dev/fd/5
		rm $link`;
	const number = "character special file 12c:0";
	expect(await sh(script)).toBe(
		[`${number} 600`, `${number} 600`, number, "symbolic link", number, number, number, number, number, ""].join("\n"),
	);
});

test("an open is refused as Linux would", async () => {
	const { answer } = await asClient(({ open, openat, O_RDONLY, O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW }) => {
		const [O_WRONLY, O_DIRECTORY, O_PATH] = [1, process.arch === "arm64" ? 0o40000 : 0o200000, 0o10000000];
		const file = "/sys/devices/fake/dev";
		const directory = open("/sys/devices/fake", O_RDONLY | O_DIRECTORY);
		return {
			missing: open("/sys/devices/fake/nothing", O_RDONLY),
			created: open("/sys/devices/fake/nothing", O_RDWR | O_CREAT),
			readOnly: open(file, O_RDWR),
			writeOnly: open("/sys/devices/fake/unbind", O_RDONLY),
			exclusive: open(file, O_RDONLY | O_CREAT | O_EXCL),
			fileAsDirectory: open(file, O_RDONLY | O_DIRECTORY),
			deviceAsDirectory: open("/dev/iommu", O_RDWR | O_DIRECTORY),
			belowAFile: open(`${file}/more`, O_RDONLY),
			slashAfterAFile: open(`${file}/`, O_RDONLY),
			directoryForWriting: open("/sys/devices/fake", O_WRONLY),
			link: open("/sys/class/vfio-dev/vfio0", O_RDONLY | O_NOFOLLOW),
			linkWithSlash: open("/sys/class/vfio-dev/vfio0/", O_RDONLY | O_NOFOLLOW) > 0,
			name: open("/dev/iommu", O_PATH) > 0,
			written: open("/sys/devices/fake/unbind", O_WRONLY) > 0,
			fromADirectory: openat(directory, "../fake/subsystem/vfio0/dev", O_RDONLY) > 0,
			outOfADirectory: openat(directory, "../../../dev/iommu", O_RDWR) > 0,
		};
	});
	expect(answer).toEqual({
		missing: ENOENT,
		created: EACCES,
		readOnly: EACCES,
		writeOnly: EACCES,
		exclusive: EEXIST,
		fileAsDirectory: ENOTDIR,
		deviceAsDirectory: ENOTDIR,
		belowAFile: ENOTDIR,
		slashAfterAFile: ENOTDIR,
		directoryForWriting: EISDIR,
		link: ELOOP,
		linkWithSlash: true,
		name: true,
		written: true,
		fromADirectory: true,
		outOfADirectory: true,
	});
});

test("a file that is only read can't be made empty", async () => {
	const { answer } = await asClient(({ open, readText, O_RDONLY, O_TRUNC }) => {
		const directory = open("/sys/devices/fake", O_RDONLY | O_TRUNC);
		const opened = open("/sys/devices/fake/dev", O_RDONLY | O_TRUNC) > 0;
		return { directory, opened, text: readText(open("/sys/devices/fake/dev", O_RDONLY)) };
	});
	expect(answer).toEqual({ directory: EISDIR, opened: isRoot, text: "300:2\n" });
});

test("flags that a call doesn't know are refused as for any file", async () => {
	const { answer } = await asClient((client) => {
		const { syscall, openat2, AT_FDCWD, O_RDWR } = client;
		const [newfstatat, statx] = process.arch === "arm64" ? [79, 291] : [262, 332];
		const [path, place] = [client.addressOf(Buffer.from("/dev/iommu\0")), client.mmap(4096, 3, 0x22)];
		const [unknown, faccessat2] = [0x8000, 439];
		const directory = client.open("/dev/vfio", client.O_RDONLY);
		const [beneath, unknownResolve] = [8, 0x1000];
		return {
			flags: [
				syscall(newfstatat, AT_FDCWD, path, place, unknown),
				syscall(statx, AT_FDCWD, path, unknown, 0x7ff),
				syscall(faccessat2, AT_FDCWD, path, 0, unknown),
				openat2(AT_FDCWD, "/dev/iommu", O_RDWR, unknownResolve),
			],
			beneath: ["/dev/iommu", "../iommu", "./devices/../../iommu"].map((out) =>
				openat2(directory, out, O_RDWR, beneath),
			),
			below: openat2(directory, "./devices/../devices/vfio0", O_RDWR, beneath) > 0,
		};
	});
	expect(answer).toEqual({ flags: [EINVAL, EINVAL, EINVAL, EINVAL], beneath: [EXDEV, EXDEV, EXDEV], below: true });
});

test("a bad pointer is EFAULT, and an empty path isn't there", async () => {
	const { answer } = await asClient(({ syscall, mmap, addressOf, AT_FDCWD }) => {
		const [newfstatat, readlinkat, faccessat, statx] =
			process.arch === "arm64" ? [79, 78, 48, 291] : [262, 267, 269, 332];
		const text = (path: string) => addressOf(Buffer.from(`${path}\0`));
		const readOnly = mmap(4096, 1, 0x22);
		const place = mmap(4096, 3, 0x22);
		return [
			syscall(newfstatat, AT_FDCWD, text("/dev/iommu"), readOnly, 0),
			syscall(newfstatat, AT_FDCWD, text("/dev/iommu"), 0, 0),
			syscall(newfstatat, AT_FDCWD, 0, place, 0),
			syscall(newfstatat, AT_FDCWD, text(""), place, 0),
			syscall(statx, AT_FDCWD, -4096, 0, 0x7ff),
			syscall(readlinkat, AT_FDCWD, text("/sys/devices/fake/subsystem"), readOnly, 100),
			syscall(readlinkat, AT_FDCWD, text("/sys/devices/fake/subsystem"), place, 0),
			syscall(readlinkat, AT_FDCWD, text("/sys/devices/fake/dev"), place, 100),
			syscall(readlinkat, AT_FDCWD, text("/sys/devices/fake/subsystem"), place, 5),
			syscall(faccessat, AT_FDCWD, 1, 0),
			syscall(faccessat, AT_FDCWD, text("/dev/iommu"), 8),
		];
	});
	expect(answer).toEqual([EFAULT, EFAULT, EFAULT, ENOENT, EFAULT, EFAULT, EINVAL, EINVAL, 5, EFAULT, EINVAL]);
});

test("what a program may do with a file goes by who it is", async () => {
	const script = `
		for file in /dev/iommu /sys/devices/fake/dev /sys/devices/fake/setting /sys/devices/fake/unbind /sys/class/vfio-dev
		do echo $(test -r $file && echo r)$(test -w $file && echo w)$(test -x $file && echo x); done`;
	const asOwner = ["rw", "r", "rw", "w", "rwx", ""].join("\n");
	const asRoot = ["rw", "rw", "rw", "rw", "rwx", ""].join("\n");
	expect(await sh(script)).toBe(isRoot ? asRoot : asOwner);
	if (!isRoot) return;
	expect(await sh(script, asNobody)).toBe(asOwner);
	// A program that becomes another user after it was started.
	const { stdout } = await run(...asNobody, "/bin/sh", "-c", script);
	expect(stdout).toBe(["", "r", "r", "", "rx", ""].join("\n"));
});

test("an fd says by which name it was opened", async () => {
	const script = "exec 5<>/dev/iommu 6</sys/class/vfio-dev/vfio0/dev 7</sys/class/vfio-dev";
	expect(
		await sh(`${script}; for fd in 5 6 7; do readlink /proc/$$/fd/$fd; done; cd /proc/self/fd && readlink 6`),
	).toBe("/dev/iommu\n/sys/devices/fake/dev\n/sys/class/vfio-dev\n/sys/devices/fake/dev\n");
});

test("files of the host's are the host's, also next to the machine's", async () => {
	expect(
		await sh(
			"stat -c %F /dev/null /dev/../dev/null; cd /dev; stat -c %F null; readlink /dev/fd; test -d /sys && echo d",
		),
	).toBe("character special file\ncharacter special file\ncharacter special file\n/proc/self/fd\nd\n");
	expect(await sh("cat /sys/class/vfio-dev/vfio7/dev")).toContain("No such file");
	expect(await sh("ls /dev/vfio")).toBe("devices\nvfio\n");
});

test("what is written to a setting is read from it, and a new run begins anew", async () => {
	const script = "cat /sys/devices/fake/setting; echo 1 > /sys/devices/fake/setting; cat /sys/devices/fake/setting";
	expect(await sh(script)).toBe("0\n1\n");
	expect(await sh(script)).toBe("0\n1\n");
});

test("where there is no room for the files it is said once, and the program gets EIO", async () => {
	const taken = ["/bin/sh", "-c", 'rmdir "$TMPDIR"; ls /dev/vfio; ls /dev/vfio; echo on'];
	const before = ["/bin/sh", "-c", 'TMPDIR=$(mktemp -d --suffix=-taken-away) exec "$@"', "sh"];
	const { stdout, stderr } = await start(taken, before).outcome;
	expect(stdout).toBe("on\n");
	expect(stderr.match(/machine's files can't be put into .*-taken-away.*, where TMPDIR has them: /g)).toHaveLength(1);
	expect(stderr).toMatch(/Input\/output error/);
});

test("many threads look at the same time", async () => {
	const { answer } = await asClient(async ({ inThread }) => {
		const look = () =>
			inThread(({ open, close, readText, O_RDONLY }) => {
				for (let i = 0; i < 200; i++) {
					const fd = open("/sys/class/vfio-dev/vfio0/dev", O_RDONLY);
					if (readText(fd) !== "300:2\n" || open("/sys/devices/fake/nothing", O_RDONLY) !== -2) return false;
					close(fd);
				}
				return true;
			});
		return Promise.all([look(), look(), look()]);
	});
	expect(answer).toEqual([true, true, true]);
});
