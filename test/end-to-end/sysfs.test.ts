// Programs that look at the machine by its files, before they open anything or instead of that.

import { spawn as start } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildClient, command, hasCompiler, spawn, temporaryDirectory } from "./programs.js";

const directory = temporaryDirectory();
afterAll(directory.remove);

/** Where ioasis puts the machine's files in these tests, to see that nothing is left there. */
const shadows = join(directory.path, "shadows");
beforeAll(() => {
	mkdirSync(shadows);
	chmodSync(directory.path, 0o755); // The client is in it, whoever runs it.
});

interface As {
	readonly who: string;
	readonly before: readonly string[];
}
const me: As = { who: "whoever runs the tests", before: [] };
const nobody: As = { who: "an ordinary user", before: ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] };

/** Runs a program on the machine "intel". */
function on({ before }: As, ...program: string[]) {
	const words = [...before, command, "run", "--quiet", "--machine", "intel", "--", ...program];
	const { stdout, stderr, status } = spawn(words[0], ...words.slice(1));
	return { stdout, stderr, status };
}

const sh = (as: As, script: string) => on(as, "sh", "-c", script);

const canBeNobody = spawn(nobody.before[0], ...nobody.before.slice(1), command, "machines").status === 0;

describe.each(canBeNobody ? [me, nobody] : [me])("for $who", (as) => {
	test("ls, find and stat see the devices as what they are", () => {
		const { stdout, stderr, status } = sh(as, "ls -l /dev/vfio/devices /dev/iommu && find /dev/vfio -type c | sort");
		expect(stderr).toBe("");
		expect(stdout).toMatch(/^crw------- .* 10, 261 .* \/dev\/iommu$/m);
		expect(stdout).toMatch(/^crw------- .* 510, 1 .* vfio1$/m);
		expect(stdout).toMatch(/\/dev\/vfio\/devices\/vfio0\n\/dev\/vfio\/devices\/vfio1\n\/dev\/vfio\/vfio\n$/);
		expect(status).toBe(0);
		expect(sh(as, "stat -c %t:%T /dev/vfio/devices/vfio0; cat /sys/class/vfio-dev/vfio0/dev").stdout).toBe(
			`${(510).toString(16)}:0\n510:0\n`,
		);
		expect(sh(as, "test -c /dev/iommu && test -r /dev/iommu && test -w /dev/vfio/vfio && echo yes").stdout).toBe(
			"yes\n",
		);
	});

	test("a shell finds functions by a pattern, and their groups by links", () => {
		const { stdout, stderr } = sh(
			as,
			"for group in /sys/bus/pci/devices/*/iommu_group; do echo $group $(readlink -f $group); done; cat /sys/bus/pci/devices/*/vendor",
		);
		expect(stderr).toBe("");
		expect(stdout).toBe(
			[
				"/sys/bus/pci/devices/0000:00:02.0/iommu_group /sys/kernel/iommu_groups/0",
				"/sys/bus/pci/devices/0000:01:00.0/iommu_group /sys/kernel/iommu_groups/1",
				"0x1234\n0x1b36\n",
			].join("\n"),
		);
	});

	test("a whole tree can be walked, and nothing of the host's is in it", () => {
		const { stdout, stderr, status } = sh(
			as,
			"find /sys/kernel/iommu_groups /sys/class/iommu/ /sys/bus/pci/devices/ -ls",
		);
		expect([stderr, status]).toEqual(["", 0]);
		expect(stdout).toMatch(
			/iommu_groups\/1\/devices\/0000:01:00.0 -> \.\.\/\.\.\/\.\.\/\.\.\/devices\/pci0000:01\/0000:01:00.0/,
		);
		const [functions] = [existsSync("/sys/bus/pci/devices") ? readdirSync("/sys/bus/pci/devices") : []];
		for (const host of functions.filter((name) => !/^0000:(00:02|01:00)\.0$/.test(name))) {
			expect(stdout).not.toContain(host);
			expect(sh(as, `cat /sys/bus/pci/devices/${host}/vendor`).status).toBe(1);
		}
	});

	test("Node lists directories, reads links, and knows what it has open", () => {
		const script = `
			const fs = require("node:fs");
			const fd = fs.openSync("/dev/vfio/devices/vfio1", "r+");
			const file = fs.openSync("/sys/class/vfio-dev/vfio1/device/class", "r");
			console.log(JSON.stringify([
				fs.readdirSync("/sys/class/vfio-dev"),
				fs.readdirSync("/dev/vfio", { withFileTypes: true }).map((entry) => entry.name + entry.isCharacterDevice()).sort(),
				fs.realpathSync("/sys/class/vfio-dev/vfio1/device"),
				fs.realpathSync.native("/sys/class/vfio-dev/vfio1/device/driver"),
				fs.fstatSync(fd).isCharacterDevice(), fs.fstatSync(fd).rdev === fs.statSync("/dev/vfio/devices/vfio1").rdev,
				fs.readlinkSync("/proc/self/fd/" + fd), fs.readlinkSync("/proc/self/fd/" + file),
				fs.readFileSync(file, "latin1"), fs.readFileSync("/sys/bus/pci/devices/0000:01:00.0/config").length,
				fs.existsSync("/dev/vfio/devices/vfio2"), fs.existsSync("/sys/class/vfio-dev/vfio0/device/driver/module"),
			]));`;
		const { stdout, stderr } = on(as, process.execPath, "-e", script);
		expect(stderr).toBe("");
		expect(JSON.parse(stdout)).toEqual([
			["vfio0", "vfio1"],
			["0true", "1true", "devicesfalse", "vfiotrue"],
			"/sys/devices/pci0000:01/0000:01:00.0",
			"/sys/bus/pci/drivers/vfio-pci",
			true,
			true,
			"/dev/vfio/devices/vfio1",
			"/sys/devices/pci0000:01/0000:01:00.0/class",
			"0x010802\n",
			4096,
			false,
			true,
		]);
	});

	test.skipIf(!hasCompiler)("a program finds its device and checks its number as QEMU does", () => {
		const { stdout, stderr, status } = on(as, buildClient("find-vfio", directory.path), "0000:00:02.0");
		expect({ stdout, stderr, status }).toEqual({
			stdout: "group 0\ndevice /dev/vfio/devices/vfio0\n",
			stderr: "",
			status: 0,
		});
	});

	test("a listing of /sys/module has the machine's modules and the host's", () => {
		const host = existsSync("/sys/module") ? readdirSync("/sys/module") : [];
		const { stdout, stderr } = sh(
			as,
			"cd / && ls /sys/module; ls -d /sys/module/*/initstate; ls /sys/module/. /sys/module/vfio_pci",
		);
		expect(stderr).toBe("");
		const lines = stdout.split("\n");
		expect(lines).toEqual(expect.arrayContaining([...host, "vfio_pci", "/sys/module/vfio/initstate", "initstate"]));
	});

	test("/sys is sysfs, by path and by what is open", () => {
		expect(sh(as, "stat -f -c %T /sys/bus/pci/devices; stat -f -L -c %T /sys/class/vfio-dev/vfio0/dev").stdout).toBe(
			"sysfs\nsysfs\n",
		);
		const script = `
			import ctypes, os
			libc, buffer = ctypes.CDLL(None), ctypes.create_string_buffer(256)
			fd = os.open("/sys/class/vfio-dev/vfio0", os.O_RDONLY)
			print(libc.fstatfs(fd, buffer), buffer.raw[:4].hex())`;
		const { stdout, status } = on(as, "python3", "-c", script.replaceAll(/^\t+/gm, ""));
		if (status === 0) expect(stdout).toBe("0 72656562\n");
	});

	test("a setting can be written and read again, and what can't be written can't", () => {
		const script = `
			cd /; file=/sys/bus/pci/devices/0000:00:02.0
			echo other > $file/driver_override; cat $file/driver_override
			echo 1 > $file/vendor || echo refused
			cat $file/remove || echo refused
			echo 1 > $file/nonesuch || echo refused`;
		expect(sh(as, script).stdout).toBe("other\nrefused\nrefused\nrefused\n");
	});
});

test("looking at files is not counted as calls, and isn't traced", () => {
	const look = "ls /dev/vfio /sys/bus/pci/devices; test -c /dev/iommu; cat /sys/class/misc/iommu/dev";
	const { stdout, stderr } = spawn(command, "run", "--trace", "--machine", "intel", "--", "sh", "-c", look);
	expect(stdout).toContain("10:261\n");
	expect(stderr).toBe("ioasis: 0 calls, no errors\n");
});

describe("nothing is left where the machine's files were", () => {
	const LOOK = "ls /sys/bus/pci/devices/ >/dev/null; echo looked;";

	/** The directory of `ioasis walk`'s sockets stays, empty. */
	const trees = () => readdirSync(shadows).filter((name) => /^ioasis-\d+-/.test(name));

	/** Starts a program, and does something when it has looked. @returns what is left, and how many files there were then */
	async function leftAfter(
		script: string,
		action: (pid: number) => void,
	): Promise<{ before: number; after: string[] }> {
		const ioasis = start(command, ["run", "-q", "-m", "intel", "--", "sh", "-c", LOOK + script], {
			env: { ...process.env, TMPDIR: shadows },
			stdio: ["ignore", "pipe", "inherit"],
		});
		await once(ioasis.stdout, "data");
		const before = trees().length;
		action(ioasis.pid!);
		await once(ioasis, "exit");
		return { before, after: trees() };
	}

	test("when the program ends", async () => {
		expect(await leftAfter("sleep 0.3", () => {})).toEqual({ before: 1, after: [] });
	});

	test("when it is killed", async () => {
		expect(await leftAfter("kill -KILL $$", () => {})).toMatchObject({ after: [] });
	});

	test.each(["SIGTERM", "SIGINT"] as const)("when ioasis gets %s", async (signal) => {
		const { before, after } = await leftAfter("exec sleep 20", (pid) => process.kill(pid, signal));
		expect({ before, after }).toEqual({ before: 1, after: [] });
	});

	test("when it is told to leave while something that the program has left goes on", async () => {
		const leave = (pid: number) => setTimeout(() => process.kill(pid, "SIGTERM"), 1500);
		expect(await leftAfter("sleep 5 & exit 0", leave)).toEqual({ before: 1, after: [] });
	});

	test("when nobody has looked there was nothing", () => {
		spawn("env", `TMPDIR=${shadows}`, command, "run", "-q", "-m", "intel", "--", "true");
		expect(trees()).toEqual([]);
		rmSync(shadows, { recursive: true });
	});
});

describe.each(canBeNobody ? [me, nobody] : [me])("what is written to /sys, for $who", (as) => {
	test("a shell takes a function from vfio-pci, and gives it back, as driverctl does", () => {
		const { stdout, stderr } = sh(
			as,
			[
				"cd /sys/bus/pci/devices/0000:00:02.0",
				"echo 0000:00:02.0 > driver/unbind; readlink driver || echo no driver; ls /dev/vfio",
				'echo "" > driver_override; cat driver_override',
				"echo 0000:00:02.0 > /sys/bus/pci/drivers_probe; readlink driver || echo no driver",
				"echo vfio-pci > driver_override; cat driver_override",
				"echo 0000:00:02.0 > /sys/bus/pci/drivers_probe; readlink driver; ls /dev/vfio",
			].join("\n"),
		);
		const link = "../../../bus/pci/drivers/vfio-pci";
		expect([stderr, stdout.split("\n")]).toEqual([
			"",
			["no driver", "1", "devices", "vfio", "(null)", "no driver", "vfio-pci", link, "0", "1", "devices", "vfio", ""],
		]);
	});

	test("who writes to the file itself hears what came of it", () => {
		const script = `
			const fs = require("node:fs");
			const write = (path, text) => {
				const fd = fs.openSync(path, "w");
				try { fs.writeSync(fd, text); return "ok"; } catch (error) { return error.code; } finally { fs.closeSync(fd); }
			};
			const driver = "/sys/bus/pci/drivers/vfio-pci";
			console.log([
				write(driver + "/bind", "0000:00:02.0"), write(driver + "/unbind", "0000:00:02.0"), write(driver + "/unbind", "0000:00:02.0"),
				write(driver + "/bind", "0000:00:1f.7"), write(driver + "/bind", "0000:00:02.0"), write(driver + "/new_id", "x"),
			].join(" "));
		`;
		const { stdout, stderr } = on(as, process.execPath, "-e", script);
		expect([stderr, stdout]).toEqual(["", "EBUSY ok ENODEV ENODEV ok EINVAL\n"]);
	});
});

test("what a program looks for and doesn't find is told, in the trace and at the end", () => {
	const { stderr } = spawn(
		command,
		...["run", "--trace", "--machine", "selftest", "--"],
		...["sh", "-c", "cat /dev/vfio/8 /sys/bus/pci/devices/0000:00:02.0/vendor /dev/nothing; exec 3<>/dev/vfio/9"],
	);
	const why = "selftest has no PCI functions: try --machine intel";
	expect(stderr).toMatch(/^\d+ open\("\/dev\/vfio\/8", O_RDONLY\) = -1 ENOENT\n {5}selftest has no PCI/m);
	// Who would make it can't.
	expect(stderr).toMatch(/^\d+ open\("\/dev\/vfio\/9", O_RDWR\) = -1 EACCES\n/m);
	const paths = ["/dev/vfio/8", "/sys/bus/pci/devices/0000:00:02.0", "/dev/vfio/9"];
	expect(stderr).toContain(`${paths.map((path) => `ioasis: not there: ${path}: ${why}\n`).join("")}`);
	expect(stderr).not.toContain("ioasis: not there: /dev/nothing");
	expect(stderr).toContain("ioasis: 0 calls, no errors\n");
});
