// A machine that has nothing but a file of registers, /dev/registers, for the tests of src/host/registers: the supervisor's thread and
// the device's are one here. What is at which offset: clients/registers.h says the same for C.

import { parentPort, workerData } from "node:worker_threads";
import { Handshake } from "../launch/handshake.js";
import type { SupervisorData, SupervisorMessage } from "../launch/supervisor-thread.js";
import { Events } from "../linux/events.js";
import { ftruncate, memfdCreate, NativeMemory, poll, succeed } from "../linux/libc.js";
import { inodeOf } from "../linux/proc.js";
import { AT_FDCWD, statOf } from "../linux/stat.js";
import { syscalls } from "../linux/syscalls.js";
import { readRemote } from "../memory/remote.js";
import { Forks, isFork } from "../registers/forks.js";
import { MappedRegisters } from "../registers/mapped-registers.js";
import type { RegisterBus } from "../registers/register-bus.js";
import { SharedPages } from "../registers/shared-pages.js";
import { FAREWELL } from "../trap/filter.js";
import { Notification } from "../trap/seccomp.js";

const PATH = "/dev/registers";
const PAGE = 4096;

/** BAR 0: a page of registers, one that keeps what is stored as memory does, one of doorbells, one of memory, one more to keep. */
const BAR0 = { bar: 0, fileOffset: 0, length: 5 * PAGE };
const KEPT = PAGE;
const DOORBELLS = 2 * PAGE;
const MEMORY = 3 * PAGE;
/** BAR 2 keeps what is stored. */
const BAR2 = { bar: 2, fileOffset: 2 ** 40, length: 2 ** 21 };

/** In the first page of BAR 0. */
const COUNTER = 0x00;
const SUM = 0x08;
const WRITES = 0x10;
const WATCHED = 0x18;
const UNKNOWN = 0x20;
const EXACT_AGAIN = 0x28;
const DECODING_OFF = 0x30;

const mask = (size: number) => (1n << BigInt(8 * size)) - 1n;

class FakeRegisterFile implements RegisterBus {
	readonly fd: number;
	readonly registers: MappedRegisters;
	readonly #kept = new Map<number, Uint8Array>([
		[0, new Uint8Array(BAR0.length)],
		[2, new Uint8Array(BAR2.length)],
	]);
	readonly #memory: SharedPages;
	#counter = 0n;
	#sum = 0n;
	#writes = 0n;
	readonly #news = { watched: 0n, "unknown instruction": 0n, "exact again": 0n };
	#isDecoding = true;

	constructor(events: Events) {
		const name = new NativeMemory(64);
		this.fd = succeed(memfdCreate(name.setString("registers"), 1), "memfd_create");
		ftruncate(this.fd, BAR2.fileOffset + BAR2.length);
		this.#memory = new SharedPages(this.fd, MEMORY, PAGE);
		this.registers = new MappedRegisters({
			fd: this.fd,
			bars: [BAR0, BAR2],
			pages: [
				{ bar: 0, offset: DOORBELLS, length: PAGE, kind: "doorbell" },
				{ bar: 0, offset: MEMORY, length: PAGE, kind: "memory" },
			],
			bus: this,
			events,
			tell: (news) => {
				this.#news[news.kind]++;
				if (news.kind === "unknown instruction") process.stderr.write(`unknown instruction: ${news.bytes}\n`);
				if (news.kind === "watched") process.stderr.write(`watched: ${news.reason}\n`);
			},
		});
	}

	isDecoding(bar: number): boolean {
		return this.#isDecoding || bar !== 2;
	}

	read(bar: number, offset: number, size: number): bigint {
		if (bar === 0 && offset < KEPT) {
			if (offset === COUNTER) this.#counter++;
			return this.peek(bar, offset) & mask(size);
		}
		const kept = this.#kept.get(bar)!;
		let value = 0n;
		for (let at = size - 1; at >= 0; at--) value = (value << 8n) | BigInt(kept[offset + at]);
		return value;
	}

	peek(bar: number, offset: number): bigint {
		if (bar !== 0 || offset >= KEPT) return this.read(bar, offset, 4);
		switch (offset) {
			case COUNTER:
				return this.#counter;
			case SUM:
				return this.#sum;
			case WRITES:
				return this.#writes;
			case WATCHED:
				return this.#news.watched;
			case UNKNOWN:
				return this.#news["unknown instruction"];
			case EXACT_AGAIN:
				return this.#news["exact again"];
			default:
				return 0n;
		}
	}

	write(bar: number, offset: number, size: number, value: bigint): void {
		this.#writes++;
		if (bar === 0 && offset < KEPT) {
			if (offset === SUM) this.#sum = (this.#sum + value) & mask(8);
			if (offset === DECODING_OFF) this.#isDecoding = value === 0n;
			return;
		}
		if (bar === 0 && offset >= DOORBELLS && offset < MEMORY) {
			// A doorbell answers in memory, at the same place.
			Atomics.store(this.#memory.words, (offset - DOORBELLS) / 4, Number(value) | 0);
			return;
		}
		const kept = this.#kept.get(bar)!;
		for (let at = 0; at < size; at++) kept[offset + at] = Number((value >> BigInt(8 * at)) & 0xffn);
	}

	writeBlock(bar: number, offset: number, from: Uint8Array): void {
		this.#writes++;
		this.#kept.get(bar)!.set(from, offset);
	}
}

const handshake = new Handshake((workerData as SupervisorData).handshake);
const events = new Events();
const file = new FakeRegisterFile(events);
const forks = new Forks();
handshake.announceMachine(true);
const listener = handshake.waitForListener();
if (listener !== undefined) serve(listener);

function serve(listener: number): void {
	const notification = new Notification();
	notification.listenTo(listener);
	const inode = statOf(file.fd)!.inode;
	const path = new NativeMemory(64);
	const polled = new NativeMemory(16);
	const wait = () => {
		polled.words.set([listener, 1, events.fd, 1]);
		const milliseconds = file.registers.attend();
		poll(polled.address, 2, milliseconds === Number.POSITIVE_INFINITY ? -1 : milliseconds);
		return polled.words[1] >>> 16 !== 0;
	};
	for (;;) {
		const isPending = wait();
		events.settle();
		if (!isPending || !notification.receive()) continue;
		const { thread, syscall } = notification;
		if (syscall === syscalls.ioctl && thread === handshake.launcher && notification.u32(1) === FAREWELL) break;
		if (syscall === syscalls.openat && pathOf(thread, notification.u64(1), path) === PATH)
			notification.addFdAndSucceed(file.fd, false);
		else if (syscall === syscalls.mmap && inodeOf(AT_FDCWD, `/proc/${thread}/fd/${notification.int(4)}`) === inode)
			file.registers.map({
				thread,
				length: notification.u64(1),
				offset: notification.u64(5),
				proceed: () => notification.proceed(),
			});
		else if (!isFork(thread, syscall, notification.u64(0))) notification.proceed();
		else if (!forks.follow({ thread, proceed: () => notification.proceed() }, [file.registers])) notification.proceed();
	}
	notification.close();
	file.registers.close();
	const report = { calls: 0, errors: [], missing: [], dmaErrors: [], leftovers: [], stillOpen: [] };
	parentPort!.postMessage({ kind: "report", report } satisfies SupervisorMessage);
}

function pathOf(thread: number, address: number, into: NativeMemory): string {
	into.bytes.fill(0);
	readRemote(thread, address, into.address, PATH.length + 1);
	return Buffer.from(into.bytes.subarray(0, into.bytes.indexOf(0))).toString("latin1");
}
