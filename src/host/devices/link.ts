// What the supervisor's thread and a device thread have in common: a piece of memory, in which each finds what the other wants.
//
// The supervisor hands over entries (accesses to registers, calls of mmap(2)) by a ring. The thread asks one question at a time, and waits for the
// answer: where a DMA leads, an interrupt that isn't its own to send, how an access ended that the supervisor has to know of. For each
// function there is its state, which the supervisor writes and the thread reads whenever it is about to do something.
//
// Whoever sleeps is woken by an eventfd, and only then: as long as both are busy no system call is made for this.

import { VfioPciIrq } from "../../uapi/vfio.js";

/** Numbers of words of 32 bits. */
const HEADER_WORDS = 192;
const ENTRIES = 64;
export const ENTRY_WORDS = 32;
const FUNCTION_WORDS = 16;
/** Bytes of a copy that the supervisor makes for the thread, and of a text. */
export const DATA_BYTES = 64 * 1024;

// The header.
const STATE = 0;
const TAIL = 1;
const HEAD = 2;
const IS_ASLEEP = 3;
const WANTS_ROOM = 4;
const ASKED = 5;
/** From here on the question, then what answers it. */
const QUESTION = 8;
const ANSWER = 32;
const LAPS = 56;
const IS_LISTENING = 57;
const IS_AWAITED = 58;
/** And fds that have to be closed when the thread has ended, each plus 1. */
const HELD = 64;
const MOST_HELD = 128;

export const LinkState = {
	/** The thread isn't there yet. */
	STARTING: 0,
	RUNNING: 1,
	/** It is told to end. */
	STOPPING: 2,
	/** It has. */
	ENDED: 3,
	/** It has ended by itself: out of memory, or a bug. */
	DEAD: 4,
	/** And the supervisor knows that. */
	BURIED: 5,
} as const;

/** What an entry is about. */
export const EntryKind = {
	READ: 1,
	WRITE: 2,
	/** Nothing but to be told when it has been come to, and whatever the function's state says has been done. */
	BARRIER: 3,
	/** Bytes that come over the bus, and that nobody waits for. They are where else the call is. */
	STORE: 4,
	/** Some that are asked for. */
	LOAD: 5,
	/** An mmap(2) of registers, which the kernel is to make. */
	MAP: 10,
	/** A fork(2), which the kernel is to make. */
	FORK: 11,
} as const;

/** Bytes of a STORE, at most. */
export const STORE_BYTES = 64;

/** Of an entry, in words: struct seccomp_notif first. Addresses, lengths and offsets are doubles. */
export const Entry = {
	KIND: 20,
	FUNCTION: 21,
	BAR: 22,
	/** 0 when the thread answers the call itself, if it goes well. */
	TICKET: 23,
	ADDRESS: 24,
	LENGTH: 26,
	OFFSET: 28,
} as const;

/** What the thread asks. */
export const QuestionKind = {
	LOCATE: 1,
	COPY: 2,
	INTERRUPT: 3,
	DEASSERT: 4,
	TELL: 5,
	/** An access is done, or a barrier come to. */
	DONE: 6,
	/** One that the thread would have answered fails. */
	FAILED: 7,
	/** The function's model is no more. */
	BROKEN: 8,
	/** What has changed of the memory that a function of somebody else's may reach, and he isn't told yet. What was asked for last, he is. */
	MEMORY: 9,
	/** What a LOAD was for is there. */
	LOADED: 10,
	/** Something about mapped registers that people may want to know. */
	NEWS: 11,
	/** The oldest entry, a FORK, is of a process that has nothing of ours mapped. */
	PASSED_ON: 12,
} as const;

/** Of a question, in words. */
export const Question = {
	KIND: 0,
	FUNCTION: 1,
	PASID: 2,
	/** Whether it is a write. */
	WRITE: 3,
	/** A double: a page of IOVA, or what came of an access. */
	VALUE: 4,
	/** Of a copy, the offset in the page and the number of bytes; of a text its bytes. */
	OFFSET: 6,
	LENGTH: 7,
	/** A vector, a ticket. */
	NUMBER: 8,
} as const;

/** Of an answer, in words. Pages are doubles. */
export const Answer = {
	/** A value of AnswerKind. */
	KIND: 0,
	FD: 1,
	PROTECTION: 2,
	FIRST_PAGE: 4,
	PAGES: 6,
	AT: 8,
	/** Of a text, its bytes. */
	LENGTH: 10,
	/** Whose memory the fd is about; 0 for our own. */
	PROCESS: 11,
	/** Of a change of memory: whether it is there now. */
	IS_MAPPED: 12,
	/** Of OWN: which function, its BAR, and where in that (a double). */
	FUNCTION: 13,
	BAR: 16,
	OFFSET: 14,
} as const;

export const AnswerKind = {
	YES: 0,
	/** Why not is a text. */
	FAULT: 1,
	/** Only the supervisor can. */
	ASK_FOR_COPY: 2,
	/** There is nothing more. */
	NOTHING: 3,
	/** It can't be done at once: each page is to be asked for. */
	PAGE_BY_PAGE: 4,
	/** It is in a BAR of a function of the same thread, who only can look there himself. */
	OWN: 5,
} as const;

const NOT_ASKED = 0;
const IS_ASKED = 1;

// The state of a function.
const COMMAND = 0;
const GENERATION = 1;
const BUSY = 2;
const RESETS = 3;
const INTERRUPTS = 4;
const SIGNALLING = 5;
const WATCHED = 6;
const MEMORY_CHANGED = 7;
const REACHABLE = 8;

const MEMORY_ENABLED = 1;
const BUS_MASTER = 2;
/** Between our bits and those of the register. */
const COMMAND_SHIFT = 1;

const IDLE = 0;
const AT_WORK = 1;
/** And somebody waits for it to be over. */
const WAITED_FOR = 2;

/** Of a vector: no eventfd; one that only the supervisor can signal. */
export const NO_EVENTFD = -1;
export const ASK_FOR_SIGNAL = -2;

/** Notes that the thread of a link has ended. @returns whether that was by itself, and the supervisor is to know */
export function noteEnd(memory: SharedArrayBuffer): boolean {
	const words = new Int32Array(memory, 0, HEADER_WORDS);
	const before = Atomics.load(words, STATE);
	return before !== LinkState.ENDED && Atomics.compareExchange(words, STATE, before, LinkState.DEAD) === before;
}

/** Whether the supervisor doesn't know it yet. */
export function isUnburied(memory: SharedArrayBuffer): boolean {
	return Atomics.load(new Int32Array(memory, 0, HEADER_WORDS), STATE) === LinkState.DEAD;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class DeviceLink {
	readonly memory: SharedArrayBuffer;
	readonly words: Int32Array;
	/** The same memory, of which two words are one double. */
	readonly doubles: Float64Array;
	/** All of it as bytes. */
	readonly bytes: Uint8Array;
	readonly data: Uint8Array;
	readonly functions: readonly FunctionState[];

	/** @param vectors how many interrupt vectors each function has @param memory of the other side */
	constructor(vectors: readonly number[], memory?: SharedArrayBuffer) {
		const ring = HEADER_WORDS + ENTRIES * ENTRY_WORDS;
		const starts: number[] = [];
		let end = ring;
		for (const count of vectors) {
			starts.push(end);
			end += FUNCTION_WORDS + ((count + 1) & ~1);
		}
		this.memory = memory ?? new SharedArrayBuffer(end * 4 + DATA_BYTES);
		this.words = new Int32Array(this.memory, 0, end);
		this.doubles = new Float64Array(this.memory, 0, end / 2);
		this.bytes = new Uint8Array(this.memory);
		this.data = new Uint8Array(this.memory, end * 4, DATA_BYTES);
		this.functions = starts.map((start) => new FunctionState(this.words, start));
	}

	get state(): number {
		return Atomics.load(this.words, STATE);
	}

	set state(state: number) {
		Atomics.store(this.words, STATE, state);
		Atomics.notify(this.words, STATE);
	}

	/** Changes it if it is what somebody takes it for. */
	changeState(from: number, to: number): boolean {
		return Atomics.compareExchange(this.words, STATE, from, to) === from;
	}

	// --- The ring ---

	get hasRoom(): boolean {
		return Atomics.load(this.words, TAIL) - Atomics.load(this.words, HEAD) < ENTRIES;
	}

	/** Where the next entry is to be put, in words. push() hands it over. */
	get nextEntry(): number {
		return entryAt(Atomics.load(this.words, TAIL));
	}

	push(): void {
		Atomics.add(this.words, TAIL, 1);
	}

	/** Where the oldest entry is, in words; undefined when there is none. pop() gives its place back. */
	get oldestEntry(): number | undefined {
		const head = Atomics.load(this.words, HEAD);
		return head === Atomics.load(this.words, TAIL) ? undefined : entryAt(head);
	}

	pop(): void {
		Atomics.add(this.words, HEAD, 1);
	}

	/** Wants to be told when there is room. */
	wantRoom(): void {
		Atomics.store(this.words, WANTS_ROOM, 1);
	}

	/** Whether somebody wants to be told. Then it is done. */
	takeWantsRoom(): boolean {
		return Atomics.load(this.words, WANTS_ROOM) === 1 && Atomics.exchange(this.words, WANTS_ROOM, 0) === 1;
	}

	// --- Fds ---

	/** The thread has an fd that somebody has to close for it, if it can't. What there is no room for is lost. */
	hold(fd: number, isHeld: boolean): void {
		const [from, to] = isHeld ? [0, fd + 1] : [fd + 1, 0];
		for (let at = HELD; at < HELD + MOST_HELD; at++)
			if (Atomics.compareExchange(this.words, at, from, to) === from) return;
	}

	/** Those that it had. Nobody has them any more then. */
	takeHeld(): number[] {
		const fds: number[] = [];
		for (let at = HELD; at < HELD + MOST_HELD; at++) {
			const held = Atomics.exchange(this.words, at, 0);
			if (held > 0) fds.push(held - 1);
		}
		return fds;
	}

	// --- Sleep ---

	/** The thread is about to wait for events, or isn't any more. Between the two whoever has something for it must wake it. */
	set isAsleep(isAsleep: boolean) {
		Atomics.store(this.words, IS_ASLEEP, isAsleep ? 1 : 0);
	}

	get isAsleep(): boolean {
		return Atomics.load(this.words, IS_ASLEEP) === 1;
	}

	// --- Doorbells ---

	/** The thread looks for what programs store, again and again. */
	get isListening(): boolean {
		return Atomics.load(this.words, IS_LISTENING) === 1;
	}

	set isListening(isListening: boolean) {
		if (isListening !== (this.words[IS_LISTENING] === 1)) Atomics.store(this.words, IS_LISTENING, isListening ? 1 : 0);
	}

	/** How often the thread has done, one after the other, what it has to do. */
	get laps(): number {
		return Atomics.load(this.words, LAPS);
	}

	addLap(): void {
		Atomics.add(this.words, LAPS, 1);
		if (this.isAwaited) Atomics.notify(this.words, LAPS);
	}

	/** Somebody waits for the next lap, which should not take longer than it must. */
	get isAwaited(): boolean {
		return Atomics.load(this.words, IS_AWAITED) === 1;
	}

	set isAwaited(isAwaited: boolean) {
		Atomics.store(this.words, IS_AWAITED, isAwaited ? 1 : 0);
	}

	/** @param patience in milliseconds */
	waitForLapAfter(lap: number, patience: number): void {
		Atomics.wait(this.words, LAPS, lap, patience);
	}

	// --- Questions ---

	/** Sets a word of the question. */
	ask(word: number, value: number): void {
		this.words[QUESTION + word] = value;
	}

	asked(word: number): number {
		return this.words[QUESTION + word];
	}

	askDouble(word: number, value: number): void {
		this.doubles[(QUESTION + word) / 2] = value;
	}

	askedDouble(word: number): number {
		return this.doubles[(QUESTION + word) / 2];
	}

	/** Sets a word of the answer. */
	answer(word: number, value: number): void {
		this.words[ANSWER + word] = value;
	}

	answered(word: number): number {
		return this.words[ANSWER + word];
	}

	answerDouble(word: number, value: number): void {
		this.doubles[(ANSWER + word) / 2] = value;
	}

	answeredDouble(word: number): number {
		return this.doubles[(ANSWER + word) / 2];
	}

	/** The question is complete. Tell the supervisor, and waitForAnswer(). */
	handIn(): void {
		Atomics.store(this.words, ASKED, IS_ASKED);
	}

	waitForAnswer(): void {
		while (Atomics.load(this.words, ASKED) === IS_ASKED) Atomics.wait(this.words, ASKED, IS_ASKED);
	}

	get isAsked(): boolean {
		return Atomics.load(this.words, ASKED) === IS_ASKED;
	}

	/** The answer is complete. */
	handBack(): void {
		Atomics.store(this.words, ASKED, NOT_ASKED);
		Atomics.notify(this.words, ASKED);
	}

	/** Puts a text where copies go. @returns its bytes */
	writeText(text: string): number {
		// What is longer than that is cut.
		const bytes = encoder.encode(text).subarray(0, DATA_BYTES);
		this.data.set(bytes);
		return bytes.length;
	}

	readText(length: number): string {
		return decoder.decode(this.data.slice(0, length));
	}
}

function entryAt(index: number): number {
	return HEADER_WORDS + (((index % ENTRIES) + ENTRIES) % ENTRIES) * ENTRY_WORDS;
}

/** What there is of one function. */
export class FunctionState {
	readonly #words: Int32Array;
	readonly #start: number;

	constructor(words: Int32Array, start: number) {
		this.#words = words;
		this.#start = start;
	}

	get isMemoryEnabled(): boolean {
		return (Atomics.load(this.#words, this.#start + COMMAND) & MEMORY_ENABLED) !== 0;
	}

	get isBusMaster(): boolean {
		return (Atomics.load(this.#words, this.#start + COMMAND) & BUS_MASTER) !== 0;
	}

	/** The two bits, as they are in the command register. */
	get command(): number {
		return Atomics.load(this.#words, this.#start + COMMAND) << COMMAND_SHIFT;
	}

	setCommand(isMemoryEnabled: boolean, isBusMaster: boolean): void {
		const command = (isMemoryEnabled ? MEMORY_ENABLED : 0) | (isBusMaster ? BUS_MASTER : 0);
		Atomics.store(this.#words, this.#start + COMMAND, command);
	}

	/** Whether programs reach what they have mapped of it. */
	get isReachable(): boolean {
		return Atomics.load(this.#words, this.#start + REACHABLE) === 1;
	}

	set isReachable(isReachable: boolean) {
		Atomics.store(this.#words, this.#start + REACHABLE, isReachable ? 1 : 0);
	}

	/** Counts up whenever what was remembered of translations doesn't count any more. */
	get generation(): number {
		return Atomics.load(this.#words, this.#start + GENERATION);
	}

	/** How often it was told to reset itself. Until it has, nothing that it does has an effect. */
	get resets(): number {
		return Atomics.load(this.#words, this.#start + RESETS);
	}

	addReset(): void {
		Atomics.add(this.#words, this.#start + RESETS, 1);
	}

	/** Whether somebody wants to know of everything it does. */
	get isWatched(): boolean {
		return Atomics.load(this.#words, this.#start + WATCHED) === 1;
	}

	set isWatched(isWatched: boolean) {
		Atomics.store(this.#words, this.#start + WATCHED, isWatched ? 1 : 0);
	}

	/** The kind of interrupts that is on, VFIO_PCI_*_IRQ_INDEX; undefined for none. */
	get interrupts(): number | undefined {
		const word = Atomics.load(this.#words, this.#start + INTERRUPTS);
		return word === 0 ? undefined : word - 1;
	}

	set interrupts(index: number | undefined) {
		Atomics.store(this.#words, this.#start + INTERRUPTS, index === undefined ? 0 : index + 1);
	}

	/** Whether interrupts are messages. */
	get hasMessages(): boolean {
		return Atomics.load(this.#words, this.#start + INTERRUPTS) > VfioPciIrq.INTX + 1;
	}

	/** The memory that it may reach has changed, and it wasn't asked yet how. */
	get hasMemoryChanged(): boolean {
		return Atomics.load(this.#words, this.#start + MEMORY_CHANGED) === 1;
	}

	set hasMemoryChanged(hasChanged: boolean) {
		Atomics.store(this.#words, this.#start + MEMORY_CHANGED, hasChanged ? 1 : 0);
	}

	/** An eventfd of ours, NO_EVENTFD or ASK_FOR_SIGNAL. */
	eventFdOf(vector: number): number {
		return Atomics.load(this.#words, this.#start + FUNCTION_WORDS + vector);
	}

	setEventFd(vector: number, fd: number): void {
		Atomics.store(this.#words, this.#start + FUNCTION_WORDS + vector, fd);
	}

	// --- What may be interrupted ---

	/** The thread copies by what it remembers. What it looks at from then on can't be taken away unnoticed. */
	beginCopy(): void {
		Atomics.store(this.#words, this.#start + BUSY, AT_WORK);
	}

	endCopy(): void {
		end(this.#words, this.#start + BUSY);
	}

	beginSignal(): void {
		Atomics.store(this.#words, this.#start + SIGNALLING, AT_WORK);
	}

	endSignal(): void {
		end(this.#words, this.#start + SIGNALLING);
	}

	/**
	 * Nothing that is remembered counts any more.
	 * @param patience how long a copy that is under way is waited for, in milliseconds
	 * @returns whether none is under way any more
	 */
	revoke(patience: number): boolean {
		Atomics.add(this.#words, this.#start + GENERATION, 1);
		return waitFor(this.#words, this.#start + BUSY, patience);
	}

	get isCopying(): boolean {
		return Atomics.load(this.#words, this.#start + BUSY) !== IDLE;
	}

	/** Waits until no eventfd is being signalled that was in the table before. */
	waitForSignal(patience: number): boolean {
		return waitFor(this.#words, this.#start + SIGNALLING, patience);
	}
}

function end(words: Int32Array, at: number): void {
	if (Atomics.exchange(words, at, IDLE) === WAITED_FOR) Atomics.notify(words, at);
}

function waitFor(words: Int32Array, at: number, patience: number): boolean {
	if (Atomics.compareExchange(words, at, AT_WORK, WAITED_FOR) === IDLE) return true;
	return Atomics.wait(words, at, WAITED_FOR, patience) !== "timed-out";
}
