// A machine that knows nothing of IOMMUs, but tells its clients what the host tells it. The tests of this room run this
// worker instead of the real one.

import { MemoryBudget } from "../../faults/memory-budget.js";
import type { Caller } from "../../files/caller.js";
import type { EventFd } from "../../files/event-fd.js";
import type { OpenFile } from "../../files/open-file.js";
import { type AddressMap, MappingHistory } from "../../iommu/dma/mapping-history.js";
import { FileTree, READ_WRITE, WRITE_ONLY } from "../../machine/file-tree.js";
import { type Backing, Extents } from "../../memory/address-space.js";
import { Errno } from "../../uapi/errno.js";
import { WaitQueue } from "../../uapi/later.js";
import { worked } from "../../uapi/slices.js";
import { Refusal } from "../failure.js";
import { type Host, type Machine, supervise } from "../launch/supervisor-thread.js";
import { syscalls } from "../linux/syscalls.js";
import { Supervisor } from "../supervisor.js";
import { Notification } from "../trap/seccomp.js";
import { FakeQueue, FakeRegion, FakeRegisters } from "./fake-files.testing.js";
import { ANSWERED, ASK, ASK_BYTES, COUNT, type Files, PATHS, type Question } from "./questions.testing.js";

/** The devices, and some files in a /sys of one class. */
function fakeFiles(): FileTree {
	const files = new FileTree();
	for (const path of [PATHS[0], "/dev/vfio", "/sys/class/vfio-dev", "/sys/devices/fake"]) files.own(path);
	PATHS.forEach((path, i) => {
		files.addDevice(path, 300, i);
	});
	files.addFile("/sys/devices/fake/dev", "300:2\n");
	files.addFile("/sys/devices/fake/setting", "0\n", READ_WRITE);
	files.addFile("/sys/devices/fake/unbind", "", WRITE_ONLY);
	files.addLink("/sys/class/vfio-dev/vfio0", "/sys/devices/fake");
	files.addLink("/sys/devices/fake/subsystem", "/sys/class/vfio-dev");
	return files;
}

/** More than can be done without a look at others. */
const SLICE = 2 ** 20;

/** The file that a question is asked on. */
interface Asked {
	readonly number: number;
	readonly path: string;
	readonly file: OpenFile;
}

/** What calls map something in. */
const MAP: AddressMap = { name: "a map", domains: [], nearest: () => ({ below: undefined, above: undefined }) };

/** What calls wait at. */
interface Gate {
	isOpen: boolean;
	readonly queue: WaitQueue;
	/** How often each thread's call was made. */
	readonly made: Map<number, number>;
}

class FakeMachine implements Machine {
	readonly paths = PATHS;
	readonly files = fakeFiles();
	readonly budget = new MemoryBudget();
	readonly history = new MappingHistory();
	readonly #host: Host;
	readonly #open: number[] = [];
	readonly #released: number[] = [];
	#pinned: Backing | undefined;
	readonly #seen: object[] = [];
	readonly #listening: EventFd[] = [];
	readonly #gates = new Map<string, Gate>();
	#working = 0;
	/** The last of each. */
	#queue: FakeQueue | undefined;
	#region: FakeRegion | undefined;
	readonly #question = new Uint8Array(ASK_BYTES);
	readonly #count = new Uint32Array(3);

	constructor(host: Host) {
		this.#host = host;
	}

	whyMissing(path: string): string | undefined {
		return path.startsWith("/dev/") ? "it is only a fake machine" : undefined;
	}

	store(): void {}

	open(path: string): OpenFile {
		if (path === "/dev/vfio/vfio") throw new Errno("EBUSY", "this one is always busy");
		const { number, release } = this.#addFile();
		const file: OpenFile = {
			path,
			ioctl: (caller, command, argument) => this.#ioctl({ number, path, file }, caller, command, argument),
			release,
		};
		return path === PATHS[2] ? Object.assign(file, new FakeRegisters()) : file;
	}

	#addFile(): { number: number; release: () => void } {
		const number = this.#open.length + this.#released.length + 1;
		this.#open.push(number);
		const release = () => {
			this.#open.splice(this.#open.indexOf(number), 1);
			this.#released.push(number);
			for (const eventFd of this.#listening.splice(0)) eventFd.release();
		};
		return { number, release };
	}

	counts(): { pinned: number; locked: number } {
		return { pinned: 0, locked: 0 };
	}

	pinnedOf(backing: Backing, into: Extents): void {
		if (backing === this.#pinned) into.add(backing, 0, 1);
	}

	leftovers(): string[] {
		return this.#open.map((number) => `file ${number}`);
	}

	#ioctl(file: Asked, caller: Caller, command: number, argument: number): number {
		if (command === COUNT) {
			const bytes = new Uint8Array(this.#count.buffer);
			if (caller.memory.read(argument, bytes) !== bytes.length) throw new Errno("EFAULT", "no struct");
			this.#count[2]++;
			if (caller.memory.write(argument, bytes) !== bytes.length) throw new Errno("EFAULT", "no room");
			return 0;
		}
		if (command !== ASK) throw new Errno("ENOTTY", "unknown");
		if (caller.memory.read(argument, this.#question) !== ASK_BYTES) throw new Errno("EFAULT", "no question");
		const length = new DataView(this.#question.buffer).getUint32(0, true);
		const question = JSON.parse(Buffer.from(this.#question.buffer, 4, length).toString()) as Question;
		const text = Buffer.from(JSON.stringify(this.#answer(file, caller, question) ?? null));
		const answer = Buffer.concat([Buffer.alloc(4), text]);
		answer.writeUInt32LE(text.length);
		if (caller.memory.write(argument, answer) !== answer.length) throw new Errno("EFAULT", "no room");
		return ANSWERED;
	}

	#answer(file: Asked, caller: Caller, question: Question): unknown {
		const { memory, owner } = caller;
		switch (question.what) {
			case "who":
				return {
					file: file.number,
					path: file.path,
					thread: caller.thread,
					memory: this.#numberOf(memory),
					owner: this.#numberOf(owner),
					alive: memory.alive,
					uid: owner.uid,
					memlock: Number.isFinite(owner.memlockLimit()) ? owner.memlockLimit() : -1,
					locked: memory.selfLocked,
					ipcLock: caller.capable("CAP_IPC_LOCK"),
				};
			case "settle":
				this.#host.settle();
				return this.#files();
			case "files":
				return this.#files();
			case "totals":
				return { open: this.#open.length, released: this.#released.length };
			case "resolve": {
				const found = new Extents();
				memory.resolve(question.address / 4096, question.pages, question.writable ?? false, found);
				return found.backing.map((backing, i) => ({
					backing: this.#numberOf(backing),
					name: backing.name,
					page: found.page[i],
					count: found.count[i],
				}));
			}
			case "read": {
				const bytes = new Uint8Array(question.length);
				const length = (this.#seen[question.backing] as Backing).read(question.at, bytes);
				return Buffer.from(bytes.buffer, 0, length).toString("latin1");
			}
			case "write":
				return (this.#seen[question.backing] as Backing).write(question.at, Buffer.from(question.text));
			case "forget":
				for (const thing of this.#seen) (thing as Partial<Backing>).drop?.();
				this.#seen.length = 0;
				return;
			case "file": {
				const found = caller.file(question.fd);
				if (found?.kind !== "shared-memory") return found?.kind;
				return {
					backing: this.#numberOf(found.backing),
					name: found.backing.name,
					size: found.size(),
					mayWrite: found.mayWrite?.(),
				};
			}
			case "pin": {
				const found = question.fd === undefined ? undefined : caller.file(question.fd);
				this.#pinned?.drop?.();
				this.#pinned = found?.kind === "shared-memory" ? found.backing : undefined;
				this.#pinned?.hold?.();
				return;
			}
			case "signal": {
				const eventFd = this.#eventFd(caller, question.fd);
				eventFd.signal();
				eventFd.release();
				return;
			}
			case "answer": {
				const to = this.#eventFd(caller, question.to);
				const eventFd = this.#eventFd(caller, question.fd);
				eventFd.onSignal(() => to.signal());
				this.#listening.push(to, eventFd);
				return;
			}
			case "install":
				return caller.install(this.open("/dev/iommu"));
			case "queue":
				this.#queue = new FakeQueue(question.writable, this.#addFile().release);
				return caller.install(this.#queue);
			case "push":
				this.#queue?.push(question.text);
				return;
			case "written":
				return this.#queue?.written;
			case "add region":
				this.#region = new FakeRegion(question.text);
				Object.assign(file.file, { mmap: this.#region.mmap });
				return FakeRegion.OFFSET;
			case "region": {
				this.#host.settle(true);
				const bytes = Buffer.alloc(8);
				this.#region?.memory.read(0, bytes);
				this.#region?.memory.write(8, Buffer.from("device"));
				return { mappings: this.#region?.mappings, text: bytes.toString() };
			}
			case "pass": {
				const gate = this.#gate(question.gate);
				gate.made.set(caller.thread, (gate.made.get(caller.thread) ?? 0) + 1);
				if (!gate.isOpen) throw gate.queue.later(`the gate ${question.gate} is closed`);
				return gate.made.get(caller.thread);
			}
			case "open gate": {
				const gate = this.#gate(question.gate);
				const { length } = gate.queue;
				gate.isOpen = true;
				gate.queue.wakeAll();
				return length;
			}
			case "work": {
				const gate = this.#gate(question.gate);
				this.#working++;
				while (!gate.isOpen) worked(SLICE);
				this.#working--;
				this.history.mapped(MAP, 0n, 0n);
				return memory.alive;
			}
			case "working":
				return this.#working;
			case "mapper": {
				const [{ thread, call }] = this.history.changesAt(MAP, 0n);
				return { thread, call };
			}
			case "wake":
				this.#gate(question.gate).queue.wakeAll();
				return;
			case "waiting":
				this.#host.settle();
				return this.#gate(question.gate).queue.length;
			case "end the thread":
				process.exit();
				break;
			case "bug":
				throw new TypeError("a bug made on purpose");
			case "sleep":
				for (const end = performance.now() + question.milliseconds; performance.now() < end; );
				return;
		}
	}

	#gate(name: string): Gate {
		let gate = this.#gates.get(name);
		if (gate === undefined) {
			gate = { isOpen: false, queue: new WaitQueue(), made: new Map() };
			this.#gates.set(name, gate);
		}
		return gate;
	}

	#eventFd(caller: Caller, fd: number): EventFd {
		const found = caller.file(fd);
		if (found?.kind !== "eventfd") throw new Errno("EINVAL", `a file of the kind ${found?.kind}`);
		return found.open();
	}

	#files(): Files {
		return { open: this.#open.slice(-100), released: this.#released.slice(-100) };
	}

	#numberOf(thing: object): number {
		if (!this.#seen.includes(thing)) {
			this.#seen.push(thing);
			(thing as Partial<Backing>).hold?.();
		}
		return this.#seen.indexOf(thing);
	}
}

/** What a test does to the supervisor before the program is started, by the environment. */
const troubles: { readonly [name: string]: () => void } = {
	"can't start": () => {
		throw new Refusal("the fake machine can't be had", "try another");
	},
	"never lets a program begin": () => {
		const { proceed } = Notification.prototype;
		Notification.prototype.proceed = function (this: Notification) {
			if (this.syscall !== syscalls.execve) proceed.call(this);
		};
	},
	throws: () => {
		Supervisor.prototype.run = () => {
			throw new TypeError("a bug made on purpose");
		};
	},
};

supervise((_settings, host) => {
	troubles[process.env.FAKE_TROUBLE ?? ""]?.();
	const machine = new FakeMachine(host);
	return { machine, history: machine.history };
});
