// F_ADD_SEALS and F_GET_SEALS, of memfds that the engine has pinned and of our own files.

import { afterAll, beforeAll, expect, test } from "vitest";
import { asClient, buildHarness } from "../testing/harness.testing.js";

const [EPERM, EBUSY, EINVAL] = [-1, -16, -22];
const [SHRINK, GROW, WRITE, EXEC] = [2, 4, 8, 0x20];
/** memfd_create(2) */
const [ALLOW_SEALING, NOEXEC] = [2, 8];

let cleanUp: () => void;
beforeAll(async () => {
	cleanUp = await buildHarness();
});
afterAll(() => cleanUp());

test("a memfd that is pinned can't be sealed against writing, by whichever seal, and is otherwise sealed", async () => {
	const input = { seals: [SHRINK, WRITE, WRITE | GROW, EXEC, 0x40 | WRITE], flags: ALLOW_SEALING };
	const { answer } = await asClient((client, { seals, flags }) => {
		const [F_ADD_SEALS, F_GET_SEALS] = [1033, 1034];
		const fd = client.open("/dev/iommu", client.O_RDWR);
		const [memfd, other] = [0, 1].map((i) => client.memfdCreate(`memory ${i}`, flags));
		for (const file of [memfd, other]) client.ftruncate(file, 4096);
		client.ask(fd, { what: "file", fd: other });
		client.ask(fd, { what: "pin", fd: memfd });
		const add = (fd: number, seals: number) => client.fcntl(fd, F_ADD_SEALS, seals);
		const reading = client.open(`/proc/self/fd/${memfd}`, client.O_RDONLY);
		const pinned = [...seals.map((seals) => add(memfd, seals)), add(reading, 8), add(other, 8)];
		const has = client.fcntl(memfd, F_GET_SEALS, 0);
		client.ask(fd, { what: "pin", fd: undefined });
		return { pinned, has, unpinned: add(memfd, 8 | 1), again: add(memfd, 8) };
	}, input);
	expect(answer.pinned).toEqual([0, EBUSY, EBUSY, EBUSY, EINVAL, EPERM, 0]);
	expect(answer.has).toBe(SHRINK);
	expect(answer).toMatchObject({ unpinned: 0, again: EPERM });
});

test("what stands in the way besides is for the kernel to say, and what is sealed already is nobody's matter", async () => {
	const input = { flags: ALLOW_SEALING, noexec: NOEXEC };
	const { answer } = await asClient((client, { flags, noexec }) => {
		const F_ADD_SEALS = 1033;
		const fd = client.open("/dev/iommu", client.O_RDWR);
		const add = (fd: number, seals: number) => client.fcntl(fd, F_ADD_SEALS, seals);
		const memfd = (flags: number) => {
			const file = client.memfdCreate("memory", flags);
			client.ftruncate(file, 4096);
			return file;
		};
		const answers: number[] = [];
		const withPin = (file: number, seals: number) => {
			client.ask(fd, { what: "pin", fd: file });
			answers.push(add(file, seals));
		};
		withPin(memfd(0), 8); // it can't be sealed at all: F_SEAL_SEAL
		const sealed = memfd(flags);
		add(sealed, 8);
		withPin(sealed, 8 | 2);
		withPin(memfd(flags | noexec), 0x20); // implies no F_SEAL_WRITE
		return answers;
	}, input);
	expect(answer).toEqual([EPERM, 0, 0]);
});

test("a file of ours has no seals, as a device has none", async () => {
	const { answer } = await asClient((client) => {
		const fd = client.open("/dev/iommu", client.O_RDWR);
		return [client.fcntl(fd, 1034, 0), client.fcntl(fd, 1033, 1), client.fcntl(99, 1034, 0)];
	});
	expect(answer).toEqual([EINVAL, EINVAL, -9]);
});
