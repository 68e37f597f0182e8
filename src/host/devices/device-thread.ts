// The thread that functions' models run in: those of one function, or of several that are connected to each other. It does what the
// supervisor hands over (link.ts), has the models work, and sleeps when nothing is left.

import { workerData } from "node:worker_threads";
import * as v from "valibot";
import type { PageBehaviour } from "../../devices/endpoint.js";
import type { DeviceModel } from "../../devices/model.js";
import { modelNamed } from "../../devices/models.js";
import type { RemoteFunction } from "../../devices/remote.js";
import { Wire } from "../../devices/wire.js";
import { Errno, type ErrnoValues } from "../../uapi/errno.js";
import type { PciHardware } from "../../vfio/pci-config.js";
import { EPOLLIN, Events } from "../linux/events.js";
import { close, NativeMemory, read, write } from "../linux/libc.js";
import { Forks } from "../registers/forks.js";
import { Notification } from "../trap/seccomp.js";
import { BlockFile } from "./block-file.js";
import { HostedFunction } from "./hosted-function.js";
import { DeviceLink, Entry, EntryKind, LinkState, Question, QuestionKind } from "./link.js";
import { nothing } from "./nothing.js";
import { RemoteMemory } from "./remote-memory.js";

/** A function, as the thread has to know it. */
export interface ThreadFunction {
	/** "0000:01:00.0" */
	readonly name: string;
	/** Of its model. */
	readonly model: string;
	/** What was chosen, as a machine file or the command line has it. */
	readonly chosen: unknown;
	/** What another thread has found out about it, if it is somebody else's. */
	readonly handedOver: unknown;
	readonly hardware: Pick<PciHardware, "bars" | "msix">;
	/** How many interrupt vectors the link has for it. */
	readonly vectors: number;
	/** Where its model isn't accessed exactly when programs have mapped it. */
	readonly pages: readonly PageBehaviour[];
	/** The memfd that programs map. */
	readonly memory: number;
}

export interface DeviceThreadData {
	readonly link: SharedArrayBuffer;
	readonly functions: readonly ThreadFunction[];
	/** Where notifications are answered. */
	readonly listener: number;
	/** An eventfd that wakes us, and one that tells the supervisor. */
	readonly wakes: number;
	readonly tells: number;
}

/** In characters, of which each takes at most six bytes as JSON. */
const LONGEST_REASON = 8192;

const one = new NativeMemory(8);
one.words[0] = 1;
const counter = new NativeMemory(8);

/**
 * The whole of the worker.
 * @param load makes models known that don't ship, by their names
 */
export async function runDeviceThread(load: (models: readonly string[]) => Promise<void>): Promise<void> {
	const data: DeviceThreadData = workerData;
	await load(data.functions.map(({ model }) => model).filter((name) => name !== nothing.name));
	new DeviceThread(data).run();
}

class DeviceThread {
	readonly #data: DeviceThreadData;
	readonly #link: DeviceLink;
	readonly #events = new Events();
	readonly #functions: readonly HostedFunction[];
	/** The call that an entry is about. */
	readonly #call = new Notification();
	readonly #memory = new RemoteMemory();
	readonly #wires = new Map<string, Wire>();
	/** Whether an entry is being dealt with. */
	#isTaking = false;
	readonly #forks = new Forks();

	constructor(data: DeviceThreadData) {
		this.#data = data;
		this.#link = new DeviceLink(
			data.functions.map(({ vectors }) => vectors),
			data.link,
		);
		this.#call.listenTo(data.listener);
		this.#functions = data.functions.map(
			(one, index) =>
				new HostedFunction(one, index, {
					link: this.#link,
					events: this.#events,
					ask: () => this.#ask(),
					loadOwn: (other, bar, offset, into) => this.#load(this.#functions[other], bar, offset, into),
					isWanted: () => this.#hasSomething,
					beginAccess: (hosted) => this.#beginAccess(hosted),
					broken: (hosted, error) => this.#breakDown(hosted, error),
				}),
		);
		this.#events.add(data.wakes, EPOLLIN, () => read(data.wakes, counter.address, 8));
	}

	run(): void {
		const link = this.#link;
		if (link.changeState(LinkState.STARTING, LinkState.RUNNING)) {
			this.#functions.forEach((hosted, index) => {
				this.#create(hosted, this.#data.functions[index], index);
			});
			while (link.state === LinkState.RUNNING) this.#turn();
			for (const hosted of this.#functions) hosted.close();
		}
		link.state = LinkState.ENDED;
	}

	#create(hosted: HostedFunction, { model: name, chosen, handedOver }: ThreadFunction, index: number): void {
		try {
			const model = name === nothing.name ? nothing : (modelNamed(name) as DeviceModel);
			hosted.endpoint = model.create(hosted.port, v.parse(model.options, chosen), {
				address: hosted.name,
				handedOver,
				openBlocks: (path, isReadOnly) => new BlockFile(path, isReadOnly),
				wire: (wire) => this.#wire(wire).takeEnd(),
				now: () => process.hrtime.bigint(),
				gone: (reason) => this.#broken(index, reason),
			});
		} catch (error) {
			this.#broken(index, (error as Error).message);
		}
	}

	#wire(name: string): Wire {
		const wire = this.#wires.get(name) ?? new Wire();
		this.#wires.set(name, wire);
		return wire;
	}

	/** Does what there is to do, or sleeps. */
	#turn(): void {
		this.#takeEntries();
		let hasMore = false;
		for (const hosted of this.#functions) {
			if (hosted.isBehind) this.#follow(hosted);
			if (hosted.hasWork && this.#work(hosted)) hasMore = true;
		}
		this.#watchFiles();
		let patience = Number.POSITIVE_INFINITY;
		for (const { registers } of this.#functions) {
			if (this.#link.isAwaited) registers.hearDoorbells();
			patience = Math.min(patience, registers.attend());
		}
		this.#link.isListening = this.#functions.some(({ registers }) => registers.isListening);
		this.#link.addLap();
		if (hasMore || patience === 0) {
			this.#events.settle();
			return;
		}
		// In this order: whoever has something for us puts it there, and then looks whether we sleep.
		this.#link.isAsleep = true;
		if (!this.#hasSomething) this.#events.settle(patience === Number.POSITIVE_INFINITY ? -1 : Math.ceil(patience));
		this.#link.isAsleep = false;
	}

	get #hasSomething(): boolean {
		const { oldestEntry, state } = this.#link;
		if (oldestEntry !== undefined || state !== LinkState.RUNNING || this.#link.isAwaited) return true;
		for (const { hasWork, isBehind, state, port, registers } of this.#functions)
			if (hasWork || isBehind || state.resets !== port.resets || registers.areBehind) return true;
		return false;
	}

	/** Those that aren't waited for any more first: their numbers may be others' by now. */
	#watchFiles(): void {
		const changed = this.#functions.filter(({ endpoint, watched }) => endpoint?.fds !== watched);
		for (const { watched = [] } of changed) for (const fd of watched) this.#events.remove(fd);
		for (const hosted of changed) {
			hosted.watched = hosted.endpoint?.fds;
			for (const fd of hosted.watched ?? [])
				this.#events.add(fd, EPOLLIN, () => {
					hosted.hasWork = true;
				});
		}
	}

	#work(hosted: HostedFunction): boolean {
		this.#resetIfTold(hosted);
		hosted.hasWork = false;
		try {
			if (hosted.endpoint?.work?.()) hosted.hasWork = true;
		} catch (error) {
			this.#breakDown(hosted, error);
		}
		return hosted.hasWork;
	}

	#resetIfTold(hosted: HostedFunction): void {
		const { resets } = hosted.state;
		if (resets === hosted.port.resets) return;
		try {
			hosted.endpoint?.reset();
		} catch (error) {
			this.#breakDown(hosted, error);
		}
		// What it did until now had no effect; what it does from now on has.
		hosted.port.resets = resets;
	}

	/** Before an access: what has happened before it counts. */
	#catchUp(hosted: HostedFunction): void {
		this.#resetIfTold(hosted);
		if (hosted.isBehind) this.#follow(hosted);
	}

	/** Somebody else whose function it is gets told what has changed around it. */
	#follow(hosted: HostedFunction): void {
		const { state } = hosted;
		const { command, interrupts } = state;
		const remote = hosted.endpoint!.remote!;
		try {
			if (command !== hosted.command) remote.commandChanged(command);
			if (interrupts !== hosted.interrupts) remote.interruptsChanged(interrupts);
			hosted.command = command;
			hosted.interrupts = interrupts;
			if (state.hasMemoryChanged) this.#followMemory(hosted, remote);
		} catch (error) {
			this.#breakDown(hosted, error);
		}
	}

	#followMemory({ state, port }: HostedFunction, remote: RemoteFunction): void {
		state.hasMemoryChanged = false;
		for (let change = port.askForMemory(); change !== undefined; change = port.askForMemory()) {
			try {
				remote.memoryChanged(change);
			} finally {
				if (change.file !== undefined) close(change.file.fd);
			}
		}
	}

	// --- What the supervisor hands over ---

	#takeEntries(): void {
		for (const hosted of this.#functions) this.#resetIfTold(hosted);
		this.#takeWhile(() => true);
	}

	/** A program's access is about to be made: what was handed over before comes first, as far as it is an access, too. */
	#beginAccess(hosted: HostedFunction): void {
		if (!this.#isTaking) this.#takeWhile((kind) => kind !== EntryKind.MAP && kind !== EntryKind.FORK);
		this.#catchUp(hosted);
	}

	#takeWhile(isMeant: (kind: number) => boolean): void {
		const link = this.#link;
		this.#isTaking = true;
		for (let at = link.oldestEntry; at !== undefined; at = link.oldestEntry) {
			if (!isMeant(link.words[at + Entry.KIND])) break;
			this.#take(at);
			link.pop();
			if (link.takeWantsRoom()) this.#tell();
		}
		this.#isTaking = false;
	}

	#take(at: number): void {
		const { words } = this.#link;
		const hosted = this.#functions[words[at + Entry.FUNCTION]];
		// They were stored before.
		hosted.registers.hearDoorbells();
		this.#catchUp(hosted);
		const ticket = words[at + Entry.TICKET];
		if (words[at + Entry.KIND] === EntryKind.BARRIER) {
			this.#done(ticket, 0);
			return;
		}
		if (words[at + Entry.KIND] === EntryKind.STORE) {
			this.#store(at, hosted);
			return;
		}
		if (words[at + Entry.KIND] === EntryKind.LOAD) {
			this.#answerLoad(at, hosted, ticket);
			return;
		}
		if (words[at + Entry.KIND] === EntryKind.MAP) {
			this.#map(at, hosted);
			return;
		}
		if (words[at + Entry.KIND] === EntryKind.FORK) {
			this.#fork(at);
			return;
		}
		let result: number | Errno;
		try {
			result = this.#access(at, hosted);
		} catch (error) {
			result = error instanceof Errno ? error : new Errno("EIO", this.#breakDown(hosted, error));
		}
		hosted.hasWork = true;
		if (ticket !== 0) this.#done(ticket, result);
		else if (typeof result === "number") this.#call.succeed(result);
		else this.#failed(result);
	}

	#store(at: number, hosted: HostedFunction): void {
		const { words, doubles, bytes } = this.#link;
		const length = doubles[(at + Entry.LENGTH) / 2];
		try {
			const window = hosted.windows.get(words[at + Entry.BAR])!;
			window.store(doubles[(at + Entry.OFFSET) / 2], bytes.subarray(4 * at, 4 * at + length));
		} catch (error) {
			this.#breakDown(hosted, error);
		}
		hosted.hasWork = true;
	}

	#answerLoad(at: number, hosted: HostedFunction, ticket: number): void {
		const link = this.#link;
		const { words, doubles } = link;
		const into = new Uint8Array(doubles[(at + Entry.LENGTH) / 2]);
		this.#load(hosted, words[at + Entry.BAR], doubles[(at + Entry.OFFSET) / 2], into);
		link.ask(Question.KIND, QuestionKind.LOADED);
		link.ask(Question.NUMBER, ticket);
		link.ask(Question.LENGTH, into.length);
		link.data.set(into);
		this.#ask();
	}

	/** What another function reads. */
	#load(hosted: HostedFunction, bar: number, offset: number, into: Uint8Array): void {
		try {
			hosted.windows.get(bar)!.load(offset, into);
		} catch (error) {
			this.#breakDown(hosted, error);
			into.fill(0xff);
		}
		hosted.hasWork = true;
	}

	#map(at: number, { registers }: HostedFunction): void {
		const { words, doubles } = this.#link;
		const call = this.#call;
		call.resumeFrom(words, at);
		if (!call.isWaitedFor) return;
		registers.map({
			thread: call.thread,
			offset: doubles[(at + Entry.OFFSET) / 2],
			length: doubles[(at + Entry.LENGTH) / 2],
			proceed: () => call.proceed(),
		});
	}

	#fork(at: number): void {
		const call = this.#call;
		call.resumeFrom(this.#link.words, at);
		if (!call.isWaitedFor) return;
		const isFollowed = this.#forks.follow(
			{ thread: call.thread, proceed: () => call.proceed() },
			this.#functions.map(({ registers }) => registers),
		);
		if (isFollowed) return;
		this.#link.ask(Question.KIND, QuestionKind.PASSED_ON);
		this.#ask();
	}

	/** @returns how many bytes were transferred */
	#access(at: number, hosted: HostedFunction): number {
		const { words, doubles } = this.#link;
		const memory = this.#memory;
		this.#call.resumeFrom(words, at);
		if (!this.#call.isWaitedFor) return 0;
		memory.thread = this.#call.thread;
		const window = hosted.windows.get(words[at + Entry.BAR])!;
		const address = doubles[(at + Entry.ADDRESS) / 2];
		const length = doubles[(at + Entry.LENGTH) / 2];
		const offset = doubles[(at + Entry.OFFSET) / 2];
		if (words[at + Entry.KIND] === EntryKind.READ) return window.read(memory, address, length, offset);
		return window.write(memory, address, length, offset);
	}

	// --- What we tell the supervisor ---

	#done(ticket: number, result: number | Errno): void {
		const link = this.#link;
		link.ask(Question.KIND, QuestionKind.DONE);
		link.ask(Question.NUMBER, ticket);
		if (typeof result === "number") link.askDouble(Question.VALUE, result);
		link.ask(Question.LENGTH, typeof result === "number" ? 0 : link.writeText(textOf(result)));
		this.#ask();
	}

	/** The supervisor answers the oldest entry's call. */
	#failed(error: Errno): void {
		this.#link.ask(Question.KIND, QuestionKind.FAILED);
		this.#link.ask(Question.LENGTH, this.#link.writeText(textOf(error)));
		this.#ask();
	}

	/** A bug in a model is the end of that function. @returns what is said of it */
	#breakDown(hosted: HostedFunction, error: unknown): string {
		hosted.endpoint = undefined;
		hosted.hasWork = false;
		const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
		this.#broken(this.#functions.indexOf(hosted), text);
		return `the model of ${hosted.name} has broken down: ${error instanceof Error ? error.message : error}`;
	}

	#broken(index: number, text: string): void {
		const link = this.#link;
		link.ask(Question.KIND, QuestionKind.BROKEN);
		link.ask(Question.FUNCTION, index);
		link.ask(Question.LENGTH, link.writeText(text));
		this.#ask();
	}

	#ask(): void {
		this.#link.handIn();
		this.#tell();
		this.#link.waitForAnswer();
	}

	#tell(): void {
		write(this.#data.tells, one.address, 8);
	}
}

/** The supervisor has to find all of it in the link, however much a model has to say. */
function textOf({ code, reason, hint }: Errno): string {
	return JSON.stringify({ code, reason: reason.slice(0, LONGEST_REASON), hint } satisfies ErrnoValues);
}
