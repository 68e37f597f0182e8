// Registers that programs have mapped: each load and store that they make is made on the device's model instead.
// userfaultfd(2), ptrace(2); Documentation/admin-guide/mm/userfaultfd.rst
//
// One of these belongs to one function, and lives in the thread that its model lives in: all of it is called from there, as ptrace(2) asks
// it, and all of it may wait for a program's thread to stop. How it is used:
//
//	const registers = new MappedRegisters({ fd, bars, pages, bus, events, isWanted, tell });
//	registers.map({ thread, offset, length, proceed })   // a thread stands at its mmap(2) of `fd`: it goes on, and is registered
//	for (;;) wait(events, registers.attend())            // milliseconds until it wants to be called again: 0, some, or Infinity
//	registers.close()
//
// Children get what their parents have mapped by forks.ts.
//
// `fd` is a memfd as large as it has to be, in which each BAR lies at the offset that mmap(2) is given. What pages hold that are accessed
// exactly is never anything: they stay holes. So each access to one is a fault, which `events` hears of, and which is told with the number
// of the thread that waits at it. That is stopped (tracee.ts), what it stands at is decoded (x86/, arm64/), made on the model, and gone
// past. Threads that fault at the same time wait for each other.
//
// Registering takes a userfaultfd of the process's own memory. The thread that maps makes it, because we have it do so: once it stands
// behind its mmap(2), it makes two more system calls for us and forgets about them. The fd comes to us with pidfd_getfd(2).
//
// Where a thread can't be stopped (a debugger has it) or there can be no userfaultfd (Docker forbids it), the pages are watched instead:
// watched-registers.ts. A system call that is given an address in pages that are accessed exactly fails with EFAULT.

import type { PageBehaviour } from "../../devices/endpoint.js";
import { PAGE_SIZE } from "../../memory/address-space.js";
import { EPOLLIN, type Events } from "../linux/events.js";
import { O_CLOEXEC, O_NONBLOCK } from "../linux/flags.js";
import { close, errno, errorName, errors, pidfdGetfd, pidfdOpen, SystemError, signals, usleep } from "../linux/libc.js";
import { syscalls } from "../linux/syscalls.js";
import {
	type FaultEvent,
	nextEvent,
	protect,
	REGISTER_MODE_MINOR,
	REGISTER_MODE_MISSING,
	REGISTER_MODE_WP,
	register,
	startUserfaultfd,
	UFFD_USER_MODE_ONLY,
	unregister,
} from "../linux/userfaultfd.js";
import { ClientMemory } from "./client-memory.js";
import { ClientView } from "./client-view.js";
import { Code } from "./code.js";
import { Doorbells } from "./doorbells.js";
import { MemoryFault } from "./instruction.js";
import { BarLayout, type MappableBar, type Stretch } from "./layout.js";
import type { MappedPart } from "./mappings.js";
import { PlainPages } from "./plain-pages.js";
import { instructionSet } from "./processor.js";
import type { RegisterBus } from "./register-bus.js";
import { makeHole } from "./shared-pages.js";
import { Tracee } from "./tracee.js";
import { WatchedRegisters } from "./watched-registers.js";
import { identify, obstacleOf, takeThread } from "./who.js";

/** A thread that stands at an mmap(2), as a notification says. Offset and length are in bytes. */
export interface ParkedMap {
	readonly thread: number;
	/** In the file. */
	readonly offset: number;
	readonly length: number;
	/** Has the kernel make the call. */
	proceed(): void;
}

export type MapOutcome =
	/** Each access is heard of. */
	| { readonly kind: "registered" }
	/** They are watched, and why. */
	| { readonly kind: "watched"; readonly reason: string }
	/** There is no mapping: the kernel refused, or the thread was killed. */
	| { readonly kind: "none" };

/** What whoever runs the program may want to know. */
export type RegisterNews =
	| { readonly kind: "watched"; readonly process: number; readonly reason: string }
	/** What was watched is accessed exactly again. */
	| { readonly kind: "exact again"; readonly process: number }
	/** An instruction that isn't known here: the thread gets SIGBUS. */
	| {
			readonly kind: "unknown instruction";
			readonly thread: number;
			readonly address: bigint;
			readonly bytes: string;
	  };

export interface MappedRegistersOptions {
	/** Of the file that programs map; it stays whoever's it is. */
	readonly fd: number;
	readonly bars: readonly MappableBar[];
	/** Which pages aren't accessed exactly. */
	readonly pages: readonly PageBehaviour[];
	readonly bus: RegisterBus;
	/** The thread's own: settle() serves what has happened. */
	readonly events: Events;
	/** Whether the thread has something to do that shouldn't wait until doorbells have been looked at: what one has asked for. */
	readonly isWanted?: () => boolean;
	/** Is told before programs can store something in doorbells without being stopped. */
	readonly listens?: () => void;
	readonly tell?: (news: RegisterNews) => void;
	/** Is told of each userfaultfd that is open, and that it isn't any more: whoever waits at a fault waits until it is closed. */
	readonly holds?: (fd: number, isHeld: boolean) => void;
}

// <asm-generic/siginfo.h>
const BUS_ADRERR = 2;
const SEGV_MAPERR = 1;

/** Errors of a system call are as many numbers below 0. */
const MOST_ERRORS = 4095;
/** How long lies between two looks whether an mmap(2) has been made, in microseconds. */
const STEP = 20;
/** How soon watched pages are looked at again, in milliseconds: while something is stored there, and after a while without. */
const BUSY = 0;
const IDLE = 4;
/** So many looks without a store are made at once before it counts as idle. */
const LOOKS_UNTIL_IDLE = 256;
/** How often somebody looks whether what was traced still is, in milliseconds. */
const TRACED = 250;
/** After a fault the next one is waited for in this way, in tries: a program that accesses one register accesses others. */
const TRIES_FOR_NEXT = 24;
export class MappedRegisters {
	readonly #fd: number;
	readonly #bus: RegisterBus;
	readonly #events: Events;
	readonly #isWanted: () => boolean;
	readonly #listens: () => void;
	readonly #tell: (news: RegisterNews) => void;
	readonly #holds: (fd: number, isHeld: boolean) => void;
	readonly #layout: BarLayout;
	readonly #doorbellStretches: readonly Stretch[];
	readonly #plain: PlainPages;
	readonly #doorbells: Doorbells;
	readonly #watched: WatchedRegisters;
	readonly #view: ClientView;
	readonly #code: Code;
	readonly #tracee: Tracee;
	readonly #clients = new Set<ClientMemory>();
	/** Those whose threads somebody else traces: their pages are watched for as long. */
	readonly #suspended = new Set<ClientMemory>();
	/** Pages that aren't accessed exactly aren't there now: memory decoding is off. */
	#arePlainAway = false;
	/** Accesses that were heard of while something else was done. */
	readonly #delayed: { readonly client: ClientMemory; readonly event: FaultEvent & { kind: "fault" } }[] = [];
	/** Doorbells are mapped where we can't be woken. */
	#hasDeafDoorbells = false;
	#looksWithoutStore = 0;
	#lastLookForTracers = 0;
	/** What wasn't known at the last fault. If the same comes again the thread does stand there. */
	#unknown: { readonly thread: number; readonly at: bigint } | undefined;

	/** @throws Error for pages that the BARs don't have; SystemError */
	constructor(options: MappedRegistersOptions) {
		const { fd, bars, pages, bus, events } = options;
		const { isWanted = () => false, listens = () => {}, tell = () => {}, holds = () => {} } = options;
		this.#fd = fd;
		this.#bus = bus;
		this.#events = events;
		this.#isWanted = isWanted;
		this.#listens = listens;
		this.#tell = tell;
		this.#holds = holds;
		this.#layout = new BarLayout(bars, pages);
		this.#doorbellStretches = this.#layout.ofKind("doorbell");
		this.#plain = new PlainPages(fd, this.#layout.ofKind("memory"));
		this.#doorbells = new Doorbells(
			fd,
			this.#doorbellStretches,
			(fileOffset, value) => this.#rang(fileOffset, value),
			(isProtected) => this.#protectDoorbells(isProtected),
		);
		this.#watched = new WatchedRegisters(fd, bus);
		this.#view = new ClientView(this.#layout, bus);
		this.#code = new Code(instructionSet);
		this.#tracee = new Tracee(instructionSet);
	}

	/** Whether a process has any of this mapped, as far as we know. */
	isMappedBy(process: number): boolean {
		for (const client of this.#clients) if (client.process === process && client.mappings.parts.length > 0) return true;
		return false;
	}

	/** Has a thread make its mmap(2), and sees to what it maps before it goes on. */
	map({ thread, offset, length, proceed }: ParkedMap): MapOutcome {
		const who = identify(thread);
		const whole = { start: offset, end: offset + Math.ceil(length / PAGE_SIZE) * PAGE_SIZE };
		const reason = who === undefined ? undefined : (obstacleOf(who) ?? takeThread(this.#tracee, thread));
		if (who === undefined || reason === "gone") {
			proceed();
			return { kind: "none" };
		}
		if (reason !== undefined) {
			this.#watch(whole, who.process, reason);
			proceed();
			return { kind: "watched", reason };
		}
		this.#tracee.interrupt();
		proceed();
		if (!this.#waitForMapper()) return { kind: "none" };
		const outcome = this.#registerMapping(who.process, whole);
		this.#tracee.release();
		return outcome;
	}

	/**
	 * A child has a copy of a process's memory, and stands still before its first instruction: what it has of that process's registers is
	 * registered for it, too.
	 */
	inherit(parent: number, child: Tracee, process: number): void {
		const parts = this.#clientOf(parent)?.mappings.parts ?? [];
		if (parts.length === 0) return;
		const client = this.#newClient(child, process);
		if (typeof client === "string") {
			for (const part of parts) this.#watch(fileRange(part), process, client);
			return;
		}
		for (const part of parts) {
			client.mappings.add(part.start, part.end - part.start, part.fileOffset);
			this.#registerPart(client, part);
		}
	}

	/** The same for a child that can't be made to stand still. */
	watchChildOf(parent: number, reason: string): void {
		for (const part of this.#clientOf(parent)?.mappings.parts ?? [])
			this.#watch(fileRange(part), parent, `a child of it: ${reason}`);
	}

	/** Whether what is stored is seen by looking for it. */
	get isListening(): boolean {
		return this.#doorbells.isAwake || this.#hasDeafDoorbells;
	}

	/** Hears what was stored in doorbells before an access that comes after it. */
	hearDoorbells(): void {
		if (this.isListening) this.#doorbells.hear();
	}

	/** Gives a doorbell a value that nobody has rung it with. @param fileOffset in bytes, a multiple of 4 */
	setDoorbell(fileOffset: number, value: number): void {
		this.#doorbells.set(fileOffset, value);
	}

	/** Whether the function answers, or doesn't, and attend() hasn't seen to that yet. */
	get areBehind(): boolean {
		// As long as nobody has them mapped there is nothing to be taken away.
		return this.#arePlainAway === this.#isDecoding && (this.#arePlainAway || this.#clients.size > 0);
	}

	/**
	 * Looks at what has to be looked at; faults are served by settle() of the events.
	 * @returns how long that can wait until the next time, in milliseconds, if no event comes before: 0 for not at all
	 */
	attend(): number {
		this.#serveDelayed();
		const patience = this.#attend();
		return this.#delayed.length > 0 ? 0 : patience;
	}

	#attend(): number {
		this.#followDecoding();
		if (this.#doorbells.isAwake) this.#doorbells.look(this.#isWanted);
		if (this.#suspended.size > 0) this.#lookForTracers();
		const untilWatched = this.#watched.count > 0 ? this.#lookAtWatched() : Number.POSITIVE_INFINITY;
		if (this.#doorbells.isAwake) return 0;
		if (!this.#hasDeafDoorbells) return untilWatched;
		if (this.#doorbells.lookAtAll()) this.#doorbells.wake();
		return Math.min(untilWatched, IDLE);
	}

	/** Forgets all processes. What they have mapped is plain memory from then on. */
	close(): void {
		for (const client of [...this.#clients]) this.#forget(client);
		this.#doorbells.close();
		this.#watched.close();
	}

	// --- Mapping ---

	/** Waits for a thread to have made its mmap(2). What that takes the place of is unmapped, which we have to hear of for it to go on. */
	#waitForMapper(): boolean {
		for (;;) {
			const hasStopped = this.#tracee.hasStopped();
			if (hasStopped !== undefined) return hasStopped;
			for (const client of this.#clients) this.#hear(client);
			usleep(STEP);
		}
	}

	#registerMapping(process: number, { start, end }: { start: number; end: number }): MapOutcome {
		const tracee = this.#tracee;
		if (!tracee.fetch()) return { kind: "none" };
		const address = Number(BigInt.asIntN(64, instructionSet.callResult(tracee.registers)));
		if (address < 0 && address >= -MOST_ERRORS) return { kind: "none" };
		const known = this.#clientOf(process);
		const client = known ?? this.#newClient(tracee, process);
		if (typeof client === "string") {
			this.#watch({ start, end }, process, client);
			return { kind: "watched", reason: client };
		}
		client.mappings.add(address, end - start, start);
		if (!this.#registerPart(client, { start: address, end: address + end - start, fileOffset: start })) {
			const reason = `its pages can't be registered: ${errorName(errno())}`;
			this.#watch({ start, end }, process, reason);
			return { kind: "watched", reason };
		}
		// MAP_POPULATE, or mlockall(2), has filled them in.
		if (this.#watched.count === 0)
			for (const stretch of this.#layout.stretches(start, end))
				if (stretch.kind === "exact") makeHole(this.#fd, stretch);
		if (this.#suspended.has(client)) this.#suspend(client, "it is traced");
		return { kind: "registered" };
	}

	/** Those pages of a mapping that we want to hear of. errno() says why not. */
	#registerPart(client: ClientMemory, part: MappedPart): boolean {
		for (const { kind, start, end } of this.#stretchesOf(part)) {
			const address = part.start + start - part.fileOffset;
			if (kind === "exact" || this.#arePlainAway) {
				const modes = REGISTER_MODE_MISSING | REGISTER_MODE_MINOR;
				if (register(client.userfaultfd, address, end - start, modes) === -1) return false;
			} else if (kind === "memory") unregister(client.userfaultfd, address, end - start);
			else if (register(client.userfaultfd, address, end - start, REGISTER_MODE_WP) === -1) return false;
		}
		if (!this.#arePlainAway && !this.#doorbells.isAwake) this.#protectDoorbellsOf(client, true);
		return true;
	}

	/** Has a stopped thread, which has just made a system call, give us a userfaultfd. @returns why there is none */
	#newClient(tracee: Tracee, process: number): ClientMemory | string {
		const pidfd = pidfdOpen(process, 0);
		if (pidfd === -1) return `pidfd_open(2) fails: ${errorName(errno())}`;
		const fd = tracee.inject((call): number | string => {
			const theirs = call(syscalls.userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
			if (theirs < 0) return `it may not use userfaultfd(2): ${errorName(-theirs)}`;
			const ours = pidfdGetfd(pidfd, theirs, 0);
			const problem = errno();
			call(syscalls.close, theirs);
			return ours === -1 ? `pidfd_getfd(2) fails: ${errorName(problem)}` : ours;
		});
		close(pidfd);
		if (typeof fd !== "number") return fd ?? "it was killed";
		try {
			startUserfaultfd(fd);
		} catch (error) {
			close(fd);
			if (error instanceof SystemError) return error.message;
			throw error;
		}
		const client = new ClientMemory(process, tracee.thread, fd);
		this.#clients.add(client);
		this.#holds(fd, true);
		this.#events.add(fd, EPOLLIN, () => this.#serve(client));
		if (client.pidfd !== -1) this.#events.add(client.pidfd, EPOLLIN, () => this.#ended(client));
		return client;
	}

	#clientOf(process: number): ClientMemory | undefined {
		for (const client of this.#clients) {
			if (client.process !== process) continue;
			if (client.isAlive) return client;
			this.#forget(client); // It has become another program.
		}
		return undefined;
	}

	/** A process has ended; another that shares its memory may go on. */
	#ended(client: ClientMemory): void {
		if (client.isAlive) this.#events.remove(client.pidfd);
		else this.#forget(client);
	}

	#forget(client: ClientMemory): void {
		this.#clients.delete(client);
		this.#suspended.delete(client);
		this.#events.remove(client.userfaultfd);
		this.#holds(client.userfaultfd, false);
		this.#events.remove(client.pidfd);
		client.close();
	}

	#stretchesOf(part: MappedPart): Stretch[] {
		const { start, end } = fileRange(part);
		return this.#layout.stretches(start, end);
	}

	// --- Faults ---

	#serve(client: ClientMemory): void {
		for (let tries = 0; tries < TRIES_FOR_NEXT; tries++) {
			const event = nextEvent(client.userfaultfd);
			if (event === undefined) continue;
			tries = 0;
			if (event.kind === "fault") this.#faulted(client, event);
			else this.#mappingChanged(client, event);
			if (!this.#clients.has(client)) return;
		}
	}

	/** Hears how mappings change, for which somebody waits, while something else is being done. Accesses have to wait until that is over. */
	#hear(client: ClientMemory): void {
		for (let event = nextEvent(client.userfaultfd); event !== undefined; event = nextEvent(client.userfaultfd)) {
			if (event.kind === "fault") this.#delayed.push({ client, event });
			else this.#mappingChanged(client, event);
		}
	}

	#serveDelayed(): void {
		for (const { client, event } of this.#delayed.splice(0))
			if (this.#clients.has(client)) this.#faulted(client, event);
	}

	#mappingChanged(client: ClientMemory, event: Exclude<FaultEvent, { kind: "fault" }>): void {
		if (event.kind === "unmap") client.mappings.remove(event.start, event.end);
		else client.mappings.move(event.from, event.to, event.length);
	}

	#faulted(client: ClientMemory, { thread, address, isProtected }: FaultEvent & { kind: "fault" }): void {
		this.#followDecoding();
		if (isProtected && !this.#arePlainAway) {
			this.#doorbells.wake();
			// Somebody who has mapped it since may be protected still.
			this.#protectDoorbellsOf(client, false);
			return;
		}
		const tracee = this.#tracee;
		const reason = takeThread(this.#tracee, thread);
		if (reason !== undefined) {
			// Another of our threads has it: then it is somewhere else, and comes again.
			if (reason !== "gone" && identify(thread)?.tracer !== process.pid) this.#suspend(client, reason);
			return;
		}
		tracee.interrupt();
		if (!tracee.waitForStop()) return;
		if (!tracee.fetch()) tracee.release();
		else this.#access(client, BigInt(address));
	}

	/** Makes the access that a stopped thread stands at, and lets it go on. */
	#access(client: ClientMemory, address: bigint): void {
		const tracee = this.#tracee;
		const { registers, thread } = tracee;
		const at = registers.programCounter;
		const instruction = this.#code.at(thread, at);
		if (instruction === undefined) {
			this.#notKnown(client, at, address);
			return;
		}
		// A signal may have taken it elsewhere: then it will come again.
		if (!instruction.touches(registers, address)) {
			tracee.release();
			return;
		}
		this.hearDoorbells();
		this.#view.become(client, thread);
		try {
			instruction.execute(registers, this.#view);
		} catch (fault) {
			if (!(fault instanceof MemoryFault)) {
				tracee.release();
				throw fault;
			}
			tracee.commit();
			const isRegister = client.mappings.find(Number(fault.address)) !== undefined;
			const [signal, code] = isRegister ? [signals.SIGBUS, BUS_ADRERR] : [signals.SIGSEGV, SEGV_MAPERR];
			tracee.fail(client.process, signal, code, fault.address);
			return;
		}
		tracee.commit();
		tracee.release();
	}

	#notKnown(client: ClientMemory, at: bigint, address: bigint): void {
		const tracee = this.#tracee;
		const { thread } = tracee;
		const isSure = this.#unknown?.thread === thread && this.#unknown.at === at;
		this.#unknown = isSure ? undefined : { thread, at };
		if (!isSure) {
			tracee.release();
			return;
		}
		this.#tell({ kind: "unknown instruction", thread, address: at, bytes: this.#code.textAt(thread, at) });
		tracee.fail(client.process, signals.SIGBUS, BUS_ADRERR, address);
	}

	// --- Where threads can't be stopped ---

	/** Watches what a process has mapped, instead of hearing of its accesses. */
	#suspend(client: ClientMemory, reason: string): void {
		this.#suspended.add(client);
		for (const part of client.mappings.parts) {
			this.#watch(fileRange(part), client.process, reason);
			for (const { kind, start, end } of this.#stretchesOf(part))
				if (kind === "exact") unregister(client.userfaultfd, part.start + start - part.fileOffset, end - start);
		}
	}

	#watch({ start, end }: { start: number; end: number }, process: number, reason: string): void {
		for (const stretch of this.#layout.stretches(start, end)) {
			if (stretch.kind === "doorbell") {
				this.#hasDeafDoorbells = true;
				this.#doorbells.wake();
			}
			if (stretch.kind !== "exact") continue;
			for (let page = stretch.start; page < stretch.end; page += PAGE_SIZE) {
				const bar = this.#layout.barAt(page);
				if (bar !== undefined) this.#watched.add(page, bar);
			}
		}
		this.#looksWithoutStore = 0;
		this.#tell({ kind: "watched", process, reason });
	}

	/** @returns as attend() does */
	#lookAtWatched(): number {
		this.#looksWithoutStore = this.#watched.look() ? 0 : this.#looksWithoutStore + 1;
		return this.#looksWithoutStore < LOOKS_UNTIL_IDLE ? BUSY : IDLE;
	}

	/** Registers again what nobody traces any more. */
	#lookForTracers(): void {
		const now = performance.now();
		if (now - this.#lastLookForTracers < TRACED) return;
		this.#lastLookForTracers = now;
		for (const client of this.#suspended) {
			const who = identify(client.process);
			if (who === undefined || who.tracer !== 0) continue;
			this.#suspended.delete(client);
			this.#resume(client);
		}
	}

	#resume(client: ClientMemory): void {
		this.#watched.look();
		for (const part of client.mappings.parts) {
			this.#registerPart(client, part);
			for (const { kind, start, end } of this.#stretchesOf(part)) {
				if (kind !== "exact") continue;
				for (let page = start; page < end; page += PAGE_SIZE) this.#watched.remove(page);
				makeHole(this.#fd, { start, end });
			}
		}
		this.#tell({ kind: "exact again", process: client.process });
	}

	// --- While the function doesn't answer ---

	/** Pages that aren't accessed exactly are there, or not, as memory decoding is switched on or off. */
	#followDecoding(): void {
		if (!this.areBehind) return;
		this.#arePlainAway = !this.#arePlainAway;
		for (const pages of [this.#doorbells, this.#plain]) this.#arePlainAway ? pages.takeAway() : pages.bringBack();
		for (const client of this.#clients)
			if (!this.#suspended.has(client)) for (const part of client.mappings.parts) this.#registerPart(client, part);
	}

	/** All BARs are switched on and off together. */
	get #isDecoding(): boolean {
		return this.#layout.bars.every(({ bar }) => this.#bus.isDecoding(bar));
	}

	// --- Doorbells ---

	#rang(fileOffset: number, value: number): void {
		const bar = this.#layout.barAt(fileOffset)!;
		if (this.#bus.isDecoding(bar.bar)) this.#bus.write(bar.bar, fileOffset - bar.fileOffset, 4, BigInt(value));
	}

	#protectDoorbells(isProtected: boolean): void {
		if (this.#doorbellStretches.length === 0) return;
		if (!isProtected) this.#listens();
		for (const client of this.#clients) this.#protectDoorbellsOf(client, isProtected);
	}

	#protectDoorbellsOf(client: ClientMemory, isProtected: boolean): void {
		while (this.#clients.has(client) && !this.#tryToProtectDoorbellsOf(client, isProtected)) this.#hear(client);
	}

	/** @returns false while the client's mappings are changing, until that is heard of */
	#tryToProtectDoorbellsOf(client: ClientMemory, isProtected: boolean): boolean {
		for (const part of client.mappings.parts)
			for (const { kind, start, end } of this.#stretchesOf(part)) {
				if (kind !== "doorbell") continue;
				const address = part.start + start - part.fileOffset;
				if (protect(client.userfaultfd, address, end - start, isProtected) === -1 && errno() === errors.EAGAIN)
					return false;
			}
		return true;
	}
}

function fileRange({ start, end, fileOffset }: MappedPart): { start: number; end: number } {
	return { start: fileOffset, end: fileOffset + end - start };
}
