// The fds that a program gets, wherever they go: dup, fork, exec, sockets, mmap. And that a file is released when the last is
// gone, not before and not after.

import { afterAll, beforeAll, expect, test } from "vitest";
import { asClient, buildHarness } from "../testing/harness.testing.js";
import type { Files, Who } from "../testing/questions.testing.js";

const EBADF = -9;

let cleanUp: () => void;
beforeAll(async () => {
	cleanUp = await buildHarness();
});
afterAll(() => cleanUp());

test("each open is a file of its own, with the lowest fd that is free", async () => {
	const { answer, outcome } = await asClient(({ open, ask, close, O_RDWR }) => {
		const free = open("/dev/null", O_RDWR);
		close(free);
		const fds = [open("/dev/iommu", O_RDWR), open("/dev/iommu", O_RDWR), open("/dev/vfio/devices/vfio0", O_RDWR)];
		return fds.map((fd) => `${fd - free}: ${ask<Who>(fd, { what: "who" }).file} ${ask<Who>(fd, { what: "who" }).path}`);
	});
	expect(answer).toEqual(["0: 1 /dev/iommu", "1: 2 /dev/iommu", "2: 3 /dev/vfio/devices/vfio0"]);
	expect(outcome.report).toEqual({ calls: 9, errors: [], dmaErrors: [], leftovers: [], missing: [], stillOpen: [] });
});

test("a file is released with its last dup", async () => {
	const { answer } = await asClient(({ open, dup, close, ask, O_RDWR }) => {
		const watcher = open("/dev/iommu", O_RDWR);
		const fd = open("/dev/iommu", O_RDWR);
		const copy = dup(fd);
		close(fd);
		const before = ask<Files>(watcher, { what: "settle" });
		const throughCopy = ask<Who>(copy, { what: "who" }).file;
		close(copy);
		return { before, throughCopy, after: ask<Files>(watcher, { what: "settle" }) };
	});
	expect(answer.before).toEqual({ open: [1, 2], released: [] });
	expect(answer.throughCopy).toBe(2);
	expect(answer.after).toEqual({ open: [1], released: [2] });
});

test("a file is released when it is neither open nor mapped", async () => {
	const { answer } = await asClient((client) => {
		const { open, mmap, munmap, close, ask } = client;
		const watcher = open("/dev/iommu", client.O_RDWR);
		const fd = open("/dev/iommu", client.O_RDWR);
		const address = mmap(4096, client.PROT_READ, client.MAP_SHARED, fd);
		close(fd);
		const before = ask<Files>(watcher, { what: "settle" });
		munmap(address, 4096);
		return { before, after: ask<Files>(watcher, { what: "settle" }) };
	});
	expect(answer.before.released).toEqual([]);
	expect(answer.after.released).toEqual([2]);
});

test("an open of ours releases what was closed before it", async () => {
	const { answer } = await asClient(({ open, close, ask, O_RDWR }) => {
		close(open("/dev/iommu", O_RDWR));
		return ask<Files>(open("/dev/iommu", O_RDWR), { what: "files" });
	});
	expect(answer).toEqual({ open: [2], released: [1] });
});

test("an fd number that is used again means the new file at once", async () => {
	const { answer } = await asClient((client) => {
		const { open, close, dup2, ioctl, ask, O_RDWR } = client;
		const first = open("/dev/iommu", O_RDWR);
		const second = open("/dev/iommu", O_RDWR);
		const whose = () => ask<Who | number>(first, { what: "who" });
		const seen = [whose()];
		dup2(second, first);
		seen.push(whose());
		close(first);
		seen.push(whose());
		open("/dev/null", O_RDWR);
		seen.push(whose());
		dup2(open("/dev/iommu", O_RDWR), first);
		seen.push(whose(), ioctl(-1, 0x3b81, 0), ioctl(1000, 0x3b81, 0));
		return seen.map((who) => (typeof who === "number" ? who : who.file));
	});
	expect(answer).toEqual([1, 2, -9, -25, 3, -9, -9]); // EBADF and ENOTTY are the kernel's own answers
});

test("an fd that is passed over a socket goes on working, in this process and in another", async () => {
	const { answer } = await asClient((client) => {
		const { open, close, ask, socketpair, sendFd, receiveFd, inChild } = client;
		const watcher = open("/dev/iommu", client.O_RDWR);
		const sockets = new Int32Array(2);
		socketpair(1, 1, 0, sockets);
		const fd = open("/dev/iommu", client.O_RDWR);
		sendFd(sockets[0], fd);
		sendFd(sockets[0], fd);
		close(fd);
		const underway = ask<Files>(watcher, { what: "settle" });
		const received = receiveFd(sockets[1]);
		const here = ask<Who>(received, { what: "who" }).file;
		close(received);
		const stdio = ["ignore", "pipe", "inherit", sockets[1]] as const;
		const there = inChild(({ ask, receiveFd }) => ask<Who>(receiveFd(3), { what: "who" }).file, null, [...stdio]);
		return { underway, here, there, after: ask<Files>(watcher, { what: "settle" }) };
	});
	expect(answer.underway.open).toEqual([1, 2]);
	expect([answer.here, answer.there]).toEqual([2, 2]);
	expect(answer.after).toEqual({ open: [1], released: [2] });
});

test("a file that is on its way through a socket when everybody ends is released", async () => {
	const { outcome } = await asClient(({ open, socketpair, sendFd, O_RDWR }) => {
		const sockets = new Int32Array(2);
		socketpair(1, 1, 0, sockets);
		sendFd(sockets[0], open("/dev/iommu", O_RDWR));
	});
	expect(outcome.report).toMatchObject({ leftovers: [], stillOpen: [] });
});

test("a file that nobody can close any more is released all the same", async () => {
	const { outcome } = await asClient(({ open, socketpair, sendFd, O_RDWR }) => {
		const sockets = new Int32Array(2);
		socketpair(1, 1, 0, sockets);
		sendFd(sockets[0], open("/dev/iommu", O_RDWR));
		// A ring of sockets keeps itself open until the kernel comes to collect such garbage, which may be never.
		sendFd(sockets[0], sockets[1]);
		sendFd(sockets[1], sockets[0]);
	});
	expect(outcome.report?.leftovers).toEqual([]);
});

test("an fd that is inherited over fork and exec is the same file, and counts", async () => {
	const { answer } = await asClient((client) => {
		const { open, close, ask, inChild, O_RDWR } = client;
		const watcher = open("/dev/iommu", O_RDWR);
		const fd = open("/dev/iommu", O_RDWR);
		const inherited = ["ignore", "pipe", "inherit", fd] as const;
		const child = inChild(({ ask }) => ask<Who>(3, { what: "who" }).file, null, [...inherited]);
		const still = ask<Files>(watcher, { what: "settle" });
		close(fd);
		return { child, still, after: ask<Files>(watcher, { what: "settle" }) };
	});
	expect(answer.child).toBe(2);
	expect(answer.still.open).toEqual([1, 2]);
	expect(answer.after.released).toEqual([2]);
});

test("O_CLOEXEC is as the program asks for, and so are the access mode and O_NONBLOCK", async () => {
	const { answer } = await asClient(({ open, fcntl, close, O_RDWR, O_RDONLY, O_CLOEXEC }) => {
		const modes = [O_RDWR, O_RDWR | O_CLOEXEC, O_RDONLY, O_RDONLY | 0o4000, 1].map((flags) => {
			const fd = open("/dev/iommu", flags);
			const found = [fcntl(fd, 1, 0), fcntl(fd, 3, 0) & 0o4003];
			close(fd);
			return found;
		});
		return modes;
	});
	expect(answer).toEqual([
		[0, 2],
		[1, 2],
		[0, 0],
		[0, 0o4000],
		[0, 1],
	]);
});

test("a program that may have no more fds gets EMFILE, and nothing is left of the file", async () => {
	const { answer, outcome } = await asClient(({ open, close, ask, setSoftLimit, O_RDWR }) => {
		const watcher = open("/dev/iommu", O_RDWR);
		const next = open("/dev/null", O_RDWR);
		close(next);
		setSoftLimit(7, next, next);
		const refused = open("/dev/iommu", O_RDWR);
		const install = ask<number>(watcher, { what: "install" });
		return { refused, install, files: ask<Files>(watcher, { what: "settle" }) };
	});
	expect(answer).toEqual({ refused: -24, install: -24, files: { open: [1], released: [2, 3] } });
	expect(outcome.report?.errors).toEqual([["EMFILE", 2]]);
});

test("an fd that is only a name is as good as none: for an ioctl, and as an argument", async () => {
	const { answer } = await asClient((client) => {
		const { open, ask, O_RDWR } = client;
		const O_PATH = 0o10000000;
		const fd = open("/dev/iommu", O_RDWR);
		const others = [client.memfdCreate("memory", 0), client.eventfd(0, 0), open("/bin/sh", 0)];
		const nameOf = (fd: number) => open(`/proc/self/fd/${fd}`, O_PATH);
		const names = [open("/dev/iommu", O_PATH), nameOf(fd), ...others.map(nameOf)];
		const kinds = (fds: number[]) => fds.map((number) => ask<unknown>(fd, { what: "file", fd: number }) ?? "none");
		return {
			areNames: names.every((name) => name > 0),
			asArguments: kinds(names),
			ioctls: names.slice(0, 3).map((name) => ask(name, { what: "who" })),
			files: kinds([fd, ...others]).map((kind) => (typeof kind === "string" ? kind : "shared memory")),
		};
	});
	expect(answer.areNames).toBe(true);
	expect(answer.asArguments).toEqual(Array(5).fill("none"));
	expect(answer.ioctls).toEqual([EBADF, EBADF, EBADF]);
	expect(answer.files).toEqual(["ours", "shared memory", "eventfd", "other"]);
});

test("a refusal of the machine is open's errno", async () => {
	const { answer, outcome } = await asClient(({ open, O_RDWR }) => open("/dev/vfio/vfio", O_RDWR));
	expect(answer).toBe(-16);
	expect(outcome.report).toMatchObject({ calls: 1, errors: [["EBUSY", 1]] });
});

test("a file that the engine installs is like one that was opened, and close-on-exec", async () => {
	const { answer } = await asClient(({ open, close, fcntl, ask, O_RDWR }) => {
		const watcher = open("/dev/iommu", O_RDWR);
		const fd = ask<number>(watcher, { what: "install" });
		const who = ask<Who>(fd, { what: "who" }).file;
		const flags = fcntl(fd, 1, 0);
		close(fd);
		return { fd: fd - watcher, who, flags, files: ask<Files>(watcher, { what: "settle" }) };
	});
	expect(answer).toEqual({ fd: 1, who: 2, flags: 1, files: { open: [1], released: [2] } });
});

test("what a program writes to a file of ours is nothing", async () => {
	const { answer } = await asClient(({ open, read, write, ftruncate, O_RDWR }) => {
		const fd = open("/dev/iommu", O_RDWR);
		const bytes = new Uint8Array(new ArrayBuffer(8));
		return [write(fd, bytes, 8), ftruncate(fd, 4096), read(fd, bytes, 8)];
	});
	expect(answer).toEqual([-1, -1, 0]);
});

test("more files than inotify has room for, closed at once, are all released", async () => {
	const { answer } = await asClient(({ open, close, ask, O_RDWR }) => {
		const watcher = open("/dev/iommu", O_RDWR);
		const fds = Array.from({ length: 9000 }, () => open("/dev/iommu", O_RDWR)).filter((fd) => fd >= 0);
		for (const fd of fds) close(fd);
		ask(watcher, { what: "settle" });
		return { opened: fds.length, totals: ask(watcher, { what: "totals" }) };
	});
	expect(answer.opened).toBeGreaterThan(500);
	expect(answer.totals).toEqual({ open: 1, released: answer.opened });
});
