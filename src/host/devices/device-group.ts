// The functions that share a device thread, as the supervisor's thread knows them: their beginning and end, the calls that it hands over to
// them, and who answers their questions: group-dma.ts those about memory.

import { Undo } from "../../faults/undo.js";
import type { Machine } from "../../machine/machine.js";
import type { ModelledFunction } from "../../machine/models.js";
import { Errno } from "../../uapi/errno.js";
import { type Later, type ParkedCall, WaitQueue } from "../../uapi/later.js";
import type { PciHardware } from "../../vfio/pci-config.js";
import { REGION_SIZE } from "../../vfio/region-access.js";
import { isMappable, mappableLength } from "../../vfio/region-mapping.js";
import { ClientEventFd } from "../files/eventfd.js";
import { O_CLOEXEC, O_NONBLOCK } from "../linux/flags.js";
import { close, eventfd, NativeMemory, succeed, write } from "../linux/libc.js";
import { FunctionMemory } from "../memory/function-memory.js";
import type { ParkedCalls } from "../trap/parked-calls.js";
import type { Notification } from "../trap/seccomp.js";
import { BusAccesses } from "./bus-accesses.js";
import type { DeviceThreadData } from "./device-thread.js";
import { GroupDma } from "./group-dma.js";
import {
	Answer,
	AnswerKind,
	ASK_FOR_SIGNAL,
	DeviceLink,
	Entry,
	EntryKind,
	LinkState,
	NO_EVENTFD,
	Question,
	QuestionKind,
} from "./link.js";
import { nothing } from "./nothing.js";
import type { PeerReads } from "./peer-read.js";
import { ThreadRegisters } from "./thread-registers.js";

/** What a group has of the supervisor. */
export interface GroupServices {
	readonly notification: Notification;
	readonly parked: ParkedCalls;
	/** Has its thread started. */
	start(group: DeviceGroup): void;
	/** All whose threads were started. */
	groups(): readonly DeviceGroup[];
	readonly peerReads: PeerReads;
	/** Has all groups look soon. */
	lookAgain(): void;
	/** A call that was handed over is made again. */
	takenBack(): void;
	/** A fork(2) of a process that has nothing of a group's mapped: it may have of another's. */
	passForkOn(from: DeviceGroup, words: Int32Array, at: number): void;
	/** The call that is under way has taken memory away which somebody else may still take for his. */
	takenAway(): void;
	/** That may be over. */
	caughtUp(): void;
	/** Says something on stderr. */
	say(text: string): void;
	/** An exception that nobody threw on purpose. */
	reportBug(error: unknown): void;
}

/** Somebody waits for what comes of an entry. */
interface Expected {
	readonly call: ParkedCall;
	readonly by: object;
}

const DEFAULT_VECTORS = 32;
/** How long an eventfd is waited for that is being signalled, in milliseconds: nothing about it can block. */
const SIGNAL_PATIENCE = 1000;

/** What is stored during one lap is heard at the end of the next, and done in the one after it. */
const LAPS_TO_CATCH_UP = 3;
/** How long that is waited for, and after which time we look whether the thread has a question. In milliseconds. */
const CATCHING_UP = 5;
const BETWEEN_LOOKS = 0.1;

const one = new NativeMemory(8);
one.words[0] = 1;

export class DeviceGroup {
	readonly link: DeviceLink;
	readonly services: GroupServices;
	readonly registers: readonly ThreadRegisters[];
	readonly dma: GroupDma;
	readonly bus = new BusAccesses(this);
	/** What programs map of each function, once the thread was started. */
	readonly #memories: FunctionMemory[] = [];
	/** Whether anybody has ever mapped any. */
	isMapped = false;
	/** The eventfd that wakes the thread, once it was started. */
	#wakes = -1;
	readonly #machine: Machine;
	readonly #functions: readonly ModelledFunction[];
	readonly #room = new WaitQueue();
	readonly #expected = new Map<number, Expected>();
	#lastTicket = 0;
	#isStarted = false;
	isDead = false;

	constructor(machine: Machine, functions: readonly ModelledFunction[], services: GroupServices) {
		this.#machine = machine;
		this.#functions = functions;
		this.services = services;
		this.link = new DeviceLink(functions.map(vectorsOf));
		this.dma = new GroupDma(this, machine);
		this.registers = functions.map(({ vfio }, index) => {
			const state = this.link.functions[index];
			const isRemote = functions[index].model.remote !== undefined;
			if (isRemote) this.dma.tellMemory(functions[index], index);
			for (let vector = 0; vector < vectorsOf(functions[index]); vector++) state.setEventFd(vector, NO_EVENTFD);
			vfio.interrupts.sender = {
				setKind: (kind) => {
					state.interrupts = kind;
					if (isRemote && this.isRunning) this.wake();
				},
				setVector: (vector, eventFd) => {
					const isOurs = eventFd instanceof ClientEventFd;
					state.setEventFd(vector, isOurs ? eventFd.fd : eventFd === undefined ? NO_EVENTFD : ASK_FOR_SIGNAL);
					if (this.isRunning) state.waitForSignal(SIGNAL_PATIENCE);
				},
			};
			return new ThreadRegisters(vfio, this, index, state);
		});
	}

	/** What the thread has to know. */
	dataOf(listener: number, tells: number): DeviceThreadData {
		return {
			link: this.link.memory,
			functions: this.#functions.map(({ vfio, model, options, chosen }, index) => ({
				name: vfio.name,
				model: model.name,
				chosen,
				handedOver: model.remote?.handOver(options),
				hardware: { bars: vfio.hardware.bars, msix: vfio.hardware.msix },
				pages: model.pages?.(options) ?? [],
				memory: this.#memories[index].fd,
				vectors: vectorsOf(this.#functions[index]),
			})),
			listener,
			wakes: this.#wakes,
			tells,
		};
	}

	/** "0000:01:00.0 (nvme)" */
	get name(): string {
		return this.#functions.map(({ vfio, model }) => `${vfio.name} (${model.name})`).join(", ");
	}

	/** Whether it was started, and hasn't ended. */
	get isRunning(): boolean {
		return this.#isStarted && !this.isDead;
	}

	/** Whether nobody answers for its registers, by whichever thread. */
	get isSilent(): boolean {
		return this.isDead || this.#functions.every(({ model }) => model === nothing);
	}

	/** Starts the thread, if it doesn't run. What is pushed meanwhile waits for it. @throws SystemError, and then it can be tried again */
	start(): void {
		if (this.#isStarted) return;
		using undo = new Undo();
		this.#wakes = succeed(eventfd(0, O_CLOEXEC | O_NONBLOCK), "eventfd");
		undo.push(() => this.#closeFds());
		for (const [index, { vfio }] of this.#functions.entries())
			this.#memories.push(
				new FunctionMemory(
					`registers of ${vfio.name}`,
					barsInFile(vfio.hardware),
					(bar) => vfio.barMemory.get(bar),
					(offset, length) => this.#handOverMap(index, offset, length),
				),
			);
		const { dma } = this.#machine;
		for (const { state } of this.registers) state.isWatched = dma.report !== undefined;
		this.services.start(this);
		undo.keep();
		this.#isStarted = true;
	}

	// --- Handing over ---

	newTicket(): number {
		this.#lastTicket = (this.#lastTicket % 0x3fff_ffff) + 1;
		return this.#lastTicket;
	}

	get hasRoom(): boolean {
		return !this.bus.areKept && this.link.hasRoom;
	}

	/** Hands an entry over, with the call that is being answered. There has to be room. */
	push(
		kind: number,
		index: number,
		bar: number,
		ticket: number,
		address: number,
		length: number,
		offset: number,
	): void {
		const { link } = this;
		const { words, doubles, nextEntry: at } = link;
		this.services.notification.copyTo(words, at);
		words[at + Entry.KIND] = kind;
		words[at + Entry.FUNCTION] = index;
		words[at + Entry.BAR] = bar;
		words[at + Entry.TICKET] = ticket;
		doubles[(at + Entry.ADDRESS) / 2] = address;
		doubles[(at + Entry.LENGTH) / 2] = length;
		doubles[(at + Entry.OFFSET) / 2] = offset;
		link.push();
		this.wake();
	}

	/**
	 * Waits until the thread has heard what programs have stored in doorbells by now, and has begun with what that takes: on a bus it would have
	 * arrived long ago. For some milliseconds at most.
	 */
	catchUp(): void {
		const { link } = this;
		if (!link.isListening || !this.isRunning) return;
		const last = link.laps + LAPS_TO_CATCH_UP;
		const deadline = performance.now() + CATCHING_UP;
		link.isAwaited = true;
		for (let lap = link.laps; lap - last < 0 && performance.now() < deadline && !this.hasEnded; lap = link.laps) {
			link.waitForLapAfter(lap, BETWEEN_LOOKS);
			this.look();
		}
		link.isAwaited = false;
	}

	memoryOf(index: number): FunctionMemory {
		return this.#memories[index];
	}

	#handOverMap(index: number, offset: number, length: number): void {
		this.isMapped = true;
		this.push(EntryKind.MAP, index, 0, 0, 0, length, offset);
	}

	/** Hands a fork(2) over to see to what the child gets of mapped registers. @throws Later */
	handOverFork(): void {
		if (!this.link.hasRoom) throw this.waitForRoom();
		this.push(EntryKind.FORK, 0, 0, 0, 0, 0, 0);
	}

	/** Has the thread look, if it sleeps. */
	wake(): void {
		if (this.link.isAsleep) write(this.#wakes, one.address, 8);
	}

	/** For a call that finds no room. */
	waitForRoom(): Later {
		this.wantRoom();
		return this.#room.later(`${this.name} has as much to do as can be handed over`);
	}

	/** look() is to be called when there is room. */
	wantRoom(): void {
		this.link.wantRoom();
		// There may be some by now, and then nobody else tells.
		if (this.link.hasRoom && this.link.takeWantsRoom()) this.services.lookAgain();
	}

	/** A call waits for what comes of the entry with a ticket. */
	expect(ticket: number, call: ParkedCall, by: object): void {
		this.#expected.set(ticket, { call, by });
		call.onDropped = () => this.#expected.delete(ticket);
	}

	// --- What the thread says ---

	/** Looks whether it has something to say. Whatever goes wrong while a question is answered, it is answered: the thread waits for that. */
	look(): void {
		const { link } = this;
		if (this.hasEnded) this.bus.giveUp();
		if (link.isAsked && !this.dma.isWaiting) {
			this.dma.closeOld(); // It doesn't copy while it asks.
			try {
				this.#answer();
			} catch (error) {
				this.services.reportBug(error);
				this.#answerNothing();
			}
			if (!this.dma.isWaiting) link.handBack();
		}
		if (this.bus.areKept) this.bus.pushKept();
		if (this.#room.length > 0 && this.hasRoom) this.#room.wakeAll();
	}

	#answer(): void {
		const { link } = this;
		const index = link.asked(Question.FUNCTION);
		const modelled = this.#functions[index];
		switch (link.asked(Question.KIND)) {
			case QuestionKind.LOCATE:
				this.dma.locate(modelled, this.registers[index].revoke);
				break;
			case QuestionKind.COPY:
				this.dma.copy(modelled);
				break;
			case QuestionKind.INTERRUPT:
				modelled.vfio.interrupts.raise(link.asked(Question.NUMBER));
				break;
			case QuestionKind.DEASSERT:
				modelled.vfio.interrupts.deassert();
				break;
			case QuestionKind.TELL:
				this.#machine.report?.({ device: modelled.vfio.name, message: this.#text });
				break;
			case QuestionKind.DONE:
				this.#done();
				break;
			case QuestionKind.FAILED:
				this.#failed();
				break;
			case QuestionKind.LOADED:
				this.bus.loaded();
				break;
			case QuestionKind.BROKEN:
				this.#broken(modelled, index);
				break;
			case QuestionKind.MEMORY:
				this.dma.tell(index);
				break;
			case QuestionKind.NEWS:
				this.#news(modelled);
				break;
			case QuestionKind.PASSED_ON:
				this.services.passForkOn(this, link.words, link.oldestEntry!);
				break;
		}
	}

	/** What is said where a bug of ours keeps us from the answer. */
	#answerNothing(): void {
		const { link } = this;
		switch (link.asked(Question.KIND)) {
			case QuestionKind.LOCATE:
				link.answer(Answer.KIND, AnswerKind.ASK_FOR_COPY);
				break;
			case QuestionKind.COPY:
				this.dma.refuse("a bug in ioasis, reported on stderr");
				break;
			case QuestionKind.MEMORY:
				link.answer(Answer.KIND, AnswerKind.NOTHING);
				break;
		}
	}

	get #text(): string {
		return this.link.readText(this.link.asked(Question.LENGTH));
	}

	#done(): void {
		const { link } = this;
		const ticket = link.asked(Question.NUMBER);
		const expected = this.#expected.get(ticket);
		if (expected === undefined) return;
		this.#expected.delete(ticket);
		const outcome = link.asked(Question.LENGTH) > 0 ? errnoOf(this.#text) : link.askedDouble(Question.VALUE);
		this.services.parked.noteOutcome(expected.call, expected.by, outcome);
		expected.call.makeAgain();
	}

	/** A call that was handed over comes back, with its error. */
	#failed(): void {
		const at = this.link.oldestEntry!;
		this.#takeBack(at, errnoOf(this.#text));
	}

	#takeBack(at: number, outcome: Errno): void {
		const { words } = this.link;
		if (words[at + Entry.KIND] !== EntryKind.FORK) this.services.takenBack();
		this.services.parked.takeBack(words, at, this.registers[words[at + Entry.FUNCTION]], outcome);
	}

	#broken({ vfio, model }: ModelledFunction, index: number): void {
		this.services.say(`${vfio.name} (${model.name}) answers nothing any more: ${this.#text}`);
		this.dma.forgetMemory(index);
	}

	#news({ vfio }: ModelledFunction): void {
		// What a program does not notice is for the trace; an instruction that we don't know ends it.
		if (this.link.asked(Question.NUMBER) === 1) this.services.say(`${vfio.name}: ${this.#text}`);
		else this.#machine.report?.({ device: vfio.name, message: this.#text });
	}

	// --- Its end ---

	get gone(): Errno {
		return new Errno("EIO", `the model of ${this.name} has ended`);
	}

	/** The thread is no more, and nobody has told it to end. Whoever waits for it gets EIO. */
	die(): void {
		if (this.isDead) return;
		this.isDead = true;
		this.link.state = LinkState.BURIED;
		const { gone } = this;
		const { parked } = this.services;
		for (const { call, by } of this.#expected.values()) {
			parked.noteOutcome(call, by, gone);
			call.makeAgain();
		}
		this.#expected.clear();
		for (let at = this.link.oldestEntry; at !== undefined; at = this.link.oldestEntry) {
			const kind = this.link.words[at + Entry.KIND];
			const isCall = kind !== EntryKind.BARRIER && kind !== EntryKind.STORE && kind !== EntryKind.LOAD;
			if (isCall && this.link.words[at + Entry.TICKET] === 0) this.#takeBack(at, gone);
			this.link.pop();
		}
		this.bus.giveUp();
		this.#room.wakeAll();
		this.dma.close();
		// Whoever waits at an access goes on when nobody hears of it any more, and reads what nobody answers.
		for (const memory of this.#memories) memory.fillWithOnes();
		for (const fd of this.link.takeHeld()) close(fd);
		this.dma.forgetAllMemory();
	}

	/** Tells it to end. */
	stop(): void {
		if (!this.isRunning) return;
		if (!this.link.changeState(LinkState.STARTING, LinkState.STOPPING))
			this.link.changeState(LinkState.RUNNING, LinkState.STOPPING);
		write(this.#wakes, one.address, 8);
	}

	/** Whether it has ended. */
	get hasEnded(): boolean {
		return !this.isRunning || this.link.state === LinkState.ENDED || this.link.state === LinkState.DEAD;
	}

	/** Gives back what we have because of it. */
	close(): void {
		this.dma.close();
		this.#closeFds();
	}

	#closeFds(): void {
		if (this.#wakes !== -1) close(this.#wakes);
		this.#wakes = -1;
		for (const memory of this.#memories.splice(0)) memory.close();
	}
}

/** Each BAR lies where the device's file has it. */
function barsInFile({ bars }: PciHardware): { start: number; length: number }[] {
	return bars.filter(isMappable).map((bar) => ({ start: bar.index * REGION_SIZE, length: mappableLength(bar) }));
}

function vectorsOf({ vfio: { hardware } }: ModelledFunction): number {
	return Math.max(DEFAULT_VECTORS, hardware.msix?.vectors ?? 0);
}

function errnoOf(text: string): Errno {
	return Errno.again(JSON.parse(text));
}
