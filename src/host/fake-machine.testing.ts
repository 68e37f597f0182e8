// A machine that knows nothing of IOMMUs, but tells its clients what the host tells it: the worker that the tests of this room
// run instead of the real one. An ioctl's argument points to { u32 length; char text[1020]; }: the question as JSON,
// overwritten by the answer.

import type { Caller, OpenFile } from "../iommufd/caller.js";
import { type Backing, Extents } from "../memory/address-space.js";
import { Errno } from "../uapi/errno.js";
import { type Host, type Machine, supervise } from "./supervisor-thread.js";

/** The ioctl that asks, and one shaped like IOMMU_IOAS_ALLOC: { u32 size, flags, out } with out counted up. */
export const ASK = 0x3bfe;
export const COUNT = 0x3b81;
export const ASK_BYTES = 1024;

export type Question =
	| { what: "who" }
	| { what: "files" }
	| { what: "settle" }
	| { what: "resolve"; address: number; pages: number; writable?: boolean }
	| { what: "read"; backing: number; at: number; length: number }
	| { what: "write"; backing: number; at: number; text: string }
	| { what: "drop" }
	| { what: "file"; fd: number }
	| { what: "install" }
	| { what: "bug" }
	| { what: "sleep"; milliseconds: number }
	| { what: "refuse"; code: "EBUSY" };

class FakeMachine implements Machine {
	readonly paths = ["/dev/iommu", "/dev/vfio/vfio", "/dev/vfio/devices/vfio0"];
	readonly #host: Host;
	readonly #question = new Uint8Array(ASK_BYTES);
	readonly #count = new Uint32Array(3);
	/** Numbers of the files that are open, and of those that were. */
	readonly #open: number[] = [];
	readonly #released: number[] = [];
	#lastFile = 0;
	/** Things by the order in which they were first seen, so that a test can tell whether two are the same. */
	readonly #seen: object[] = [];

	constructor(host: Host) {
		this.#host = host;
	}

	open(path: string): OpenFile | undefined {
		if (path === "/dev/vfio/vfio") throw new Errno("EBUSY", "this one is always busy");
		const number = ++this.#lastFile;
		this.#open.push(number);
		return {
			path,
			ioctl: (caller, command, argument) => this.#ioctl(number, caller, command, argument),
			release: () => {
				this.#open.splice(this.#open.indexOf(number), 1);
				this.#released.push(number);
			},
		};
	}

	leftovers(): string[] {
		return [`open: ${this.#open.join(" ")}`, `released: ${this.#released.join(" ")}`];
	}

	#ioctl(file: number, caller: Caller, command: number, argument: number): number {
		if (command === COUNT) {
			const bytes = new Uint8Array(this.#count.buffer);
			if (caller.memory.read(argument, bytes) !== bytes.length) throw new Errno("EFAULT", "no struct");
			this.#count[2]++;
			if (caller.memory.write(argument, bytes) !== bytes.length) throw new Errno("EFAULT", "no room");
			return 0;
		}
		if (command !== ASK) throw new Errno("ENOTTY", "unknown");
		if (caller.memory.read(argument, this.#question) !== ASK_BYTES) throw new Errno("EFAULT", "no question");
		const length = new Uint32Array(this.#question.buffer)[0];
		const question = JSON.parse(Buffer.from(this.#question.buffer, 4, length).toString()) as Question;
		const text = Buffer.from(JSON.stringify(this.#answer(file, caller, question)));
		const answer = Buffer.alloc(4 + text.length);
		answer.writeUInt32LE(text.length);
		text.copy(answer, 4);
		if (caller.memory.write(argument, answer) !== answer.length) throw new Errno("EFAULT", "no room");
		return 42;
	}

	#answer(file: number, caller: Caller, question: Question): unknown {
		switch (question.what) {
			case "who":
				return {
					file,
					thread: caller.thread,
					memory: this.#numberOf(caller.memory),
					memoryName: caller.memory.name,
					alive: caller.memory.alive,
					owner: this.#numberOf(caller.owner),
					uid: caller.owner.uid,
					memlock: String(caller.owner.memlockLimit()),
					ipcLock: caller.capable("CAP_IPC_LOCK"),
				};
			case "files":
				return { open: this.#open, released: this.#released };
			case "settle":
				this.#host.settle();
				return { open: this.#open, released: this.#released };
			case "resolve": {
				const extents = new Extents();
				caller.memory.resolve(question.address / 4096, question.pages, question.writable ?? false, extents);
				return extents.backing.map((backing, i) => ({
					backing: this.#numberOf(backing),
					name: backing.name,
					page: extents.page[i],
					count: extents.count[i],
				}));
			}
			case "read": {
				const bytes = new Uint8Array(question.length);
				const length = (this.#seen[question.backing] as Backing).read(question.at, bytes);
				return Buffer.from(bytes.subarray(0, length)).toString("latin1");
			}
			case "write":
				return (this.#seen[question.backing] as Backing).write(question.at, Buffer.from(question.text));
			case "drop":
				this.#seen.length = 0;
				return null;
			case "file": {
				const found = caller.file(question.fd);
				if (found === undefined) return null;
				if (found.kind !== "shared-memory") return { kind: found.kind };
				return {
					kind: found.kind,
					backing: this.#numberOf(found.backing),
					name: found.backing.name,
					size: found.size(),
				};
			}
			case "install":
				return caller.install(this.open("/dev/iommu")!);
			case "bug":
				throw new TypeError("a bug made on purpose");
			case "sleep":
				for (const end = performance.now() + question.milliseconds; performance.now() < end; );
				return null;
			case "refuse":
				throw new Errno(question.code, "as you wish");
		}
	}

	#numberOf(thing: object): number {
		if (!this.#seen.includes(thing)) this.#seen.push(thing);
		return this.#seen.indexOf(thing);
	}
}

supervise((_name, host) => new FakeMachine(host));
