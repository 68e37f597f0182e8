// All device threads: which functions share one, and what the supervisor's thread hears from them. The threads themselves are the main
// thread's to start, which hears of their end, too.

import type { Machine } from "../../machine/machine.js";
import type { ModelledFunction, ModelPlace } from "../../machine/models.js";
import { Destroy, IoasUnmap } from "../../uapi/iommufd.js";
import type { ParkedCall } from "../../uapi/later.js";
import {
	VfioDeviceAttachIommufdPt,
	VfioDeviceDetachIommufdPt,
	VfioGroupUnsetContainer,
	VfioIommuUnmapDma,
} from "../../uapi/vfio.js";
import type { VfioDevice } from "../../vfio/device.js";
import type { Registers } from "../../vfio/registers.js";
import { reportInternalError } from "../internal-error.js";
import { EPOLLIN, type Events } from "../linux/events.js";
import { O_CLOEXEC, O_NONBLOCK } from "../linux/flags.js";
import { close, eventfd, NativeMemory, poll, read, succeed, write } from "../linux/libc.js";
import { sayOnStderr } from "../say.js";
import type { ParkedCalls } from "../trap/parked-calls.js";
import type { Notification } from "../trap/seccomp.js";
import { DeviceGroup } from "./device-group.js";
import type { DeviceThreadData } from "./device-thread.js";
import { LinkState } from "./link.js";
import { nothing } from "./nothing.js";
import { PeerReads } from "./peer-read.js";

/** How long threads have to end, in milliseconds, and how often we look. */
const PATIENCE = 1000;
const STEP = 20;
const POLLIN = 1;

/** Ioctls after which devices may reach less than before. */
const TAKING_AWAY: ReadonlySet<number> = new Set(
	[
		Destroy,
		IoasUnmap,
		VfioIommuUnmapDma,
		VfioDeviceAttachIommufdPt,
		VfioDeviceDetachIommufdPt,
		VfioGroupUnsetContainer,
	].map(({ number }) => number),
);

const counter = new NativeMemory(8);
const one = new NativeMemory(8);
one.words[0] = 1;
const polled = new NativeMemory(8);

/** What the supervisor has for them. */
interface Services {
	readonly notification: Notification;
	readonly parked: ParkedCalls;
	readonly events: Events;
	/** A call that was handed over is made again, and would be counted twice. */
	takenBack(): void;
}

export class DeviceThreads {
	readonly #startThread: (data: DeviceThreadData) => void;
	readonly #groups: DeviceGroup[] = [];
	/** Of those that were started. */
	readonly #started = new Set<DeviceGroup>();
	readonly #peerReads = new PeerReads();
	#services: Services | undefined;
	#listener = -1;
	/** Answers that wait until nobody takes memory for his own any more that was taken away. */
	#late: ParkedCall[] = [];
	/** Whether the call that is under way has taken memory away which somebody else may still take for his. */
	hasTakenAway = false;
	/** Readable when a thread has something to say. */
	#tells = -1;

	/** @param startThread has the main thread start one */
	constructor(startThread: (data: DeviceThreadData) => void) {
		this.#startThread = startThread;
	}

	/** Where the models of a machine's functions run. */
	placeFor(machine: Machine): ModelPlace {
		return { place: (functions, bare) => this.#placeAll(machine, functions, bare) };
	}

	serve(services: Services): void {
		this.#services = services;
	}

	/** @param listener where their answers to calls go */
	listenTo(listener: number): void {
		this.#listener = listener;
	}

	/** Functions that are connected to each other share a thread. */
	#placeAll(
		machine: Machine,
		functions: readonly ModelledFunction[],
		bare: readonly VfioDevice[],
	): Map<VfioDevice, Registers> {
		const alone = bare.map((vfio) => [{ vfio, model: nothing, options: {}, chosen: {} }]);
		const registers = new Map<VfioDevice, Registers>();
		for (const together of [...connected(functions), ...alone]) {
			const group = this.#newGroup(machine, together);
			together.forEach(({ vfio }, index) => {
				registers.set(vfio, group.registers[index]);
			});
		}
		return registers;
	}

	#newGroup(machine: Machine, functions: readonly ModelledFunction[]): DeviceGroup {
		const threads = this;
		const group = new DeviceGroup(machine, functions, {
			get notification() {
				return threads.#theServices.notification;
			},
			get parked() {
				return threads.#theServices.parked;
			},
			start: (started) => this.#start(started),
			groups: () => [...this.#started],
			peerReads: this.#peerReads,
			lookAgain: () => write(this.#tells, one.address, 8),
			takenBack: () => this.#theServices.takenBack(),
			passForkOn: (from, words, at) => this.#passForkOn(from, words, at),
			takenAway: () => {
				this.hasTakenAway = true;
			},
			caughtUp: () => this.#caughtUp(),
			say: (text) => sayOnStderr(`ioasis: ${text}`),
			reportBug: (error) =>
				reportInternalError(error, "a question of a device", "the device goes on without an answer"),
		});
		this.#groups.push(group);
		return group;
	}

	get #theServices(): Services {
		if (this.#services === undefined) throw new Error("a device is used before there is a program");
		return this.#services;
	}

	#start(group: DeviceGroup): void {
		if (this.#tells === -1) {
			this.#tells = succeed(eventfd(0, O_CLOEXEC | O_NONBLOCK), "eventfd");
			this.#theServices.events.addUrgent(this.#tells, EPOLLIN, () => this.#listen());
		}
		this.#started.add(group);
		this.#startThread(group.dataOf(this.#listener, this.#tells));
	}

	#listen(): void {
		read(this.#tells, counter.address, 8);
		for (const group of this.#started) group.look();
	}

	/** Has an answer, which was put aside, given as soon as nobody takes for his own what its call has taken away. */
	answerLate(call: ParkedCall): void {
		this.hasTakenAway = false;
		this.#late.push(call);
		this.#caughtUp();
	}

	#caughtUp(): void {
		if (this.#late.length === 0) return;
		for (const { dma, isRunning } of this.#started) if (dma.isAhead && isRunning) return;
		for (const call of this.#late.splice(0)) call.makeAgain();
	}

	/** Whether any program may have registers mapped. */
	get areMapped(): boolean {
		for (const { isMapped } of this.#started) if (isMapped) return true;
		return false;
	}

	/**
	 * A fork(2) is being answered: the thread whose registers the caller may have mapped sees to what the child has of them.
	 * @returns whether there is one, which answers then
	 * @throws Later
	 */
	handOverFork(): boolean {
		const [first] = this.#mapped;
		first?.handOverFork();
		return first !== undefined;
	}

	/** The call is in `words` now, and no longer the one that is being answered. */
	#passForkOn(from: DeviceGroup, words: Int32Array, at: number): void {
		const { notification } = this.#theServices;
		const mapped = this.#mapped;
		const next = mapped.slice(mapped.indexOf(from) + 1).find(({ link }) => link.hasRoom);
		const answered = notification.copy();
		notification.resumeFrom(words, at);
		if (next === undefined) notification.proceed();
		else next.handOverFork();
		notification.resume(answered);
	}

	get #mapped(): DeviceGroup[] {
		return [...this.#started].filter(({ isMapped, isRunning }) => isMapped && isRunning);
	}

	/**
	 * A call is about to be answered. One that takes memory away from devices comes after what its program has stored in doorbells.
	 * @param command of an ioctl
	 */
	catchUpFor(command: number): void {
		if (this.#started.size === 0 || !TAKING_AWAY.has(command)) return;
		for (const group of this.#started) group.catchUp();
	}

	/** Some memory is about to go: nobody may go by what he remembers of the way there. */
	revokeAll(): void {
		for (const { registers } of this.#started) for (const { revoke } of registers) revoke();
	}

	/** Looks after those that have ended by themselves: the main thread has noted it, and woken us. */
	lookAfterDead(): void {
		for (const group of this.#started) if (group.link.state === LinkState.DEAD) group.die();
	}

	/** Gives up what leads to memory that is gone. */
	prune(): void {
		for (const { dma } of this.#started) dma.prune();
	}

	/** Ends all. @returns whether all have ended: one may be stuck in what its model does */
	finish(): boolean {
		for (const group of this.#started) group.stop();
		const deadline = performance.now() + PATIENCE;
		let left = this.#left;
		// What they do last they may have to ask for.
		for (; left.length > 0 && performance.now() < deadline; left = this.#left) {
			polled.words[0] = this.#tells;
			polled.words[1] = POLLIN;
			poll(polled.address, 1, STEP);
			this.#listen();
		}
		for (const group of this.#groups) if (!left.includes(group)) group.close();
		if (left.length === 0 && this.#tells !== -1) close(this.#tells);
		return left.length === 0;
	}

	get #left(): DeviceGroup[] {
		return [...this.#started].filter(({ hasEnded }) => !hasEnded);
	}
}

/** Puts functions together that name the same wire, directly or by others. */
function connected(functions: readonly ModelledFunction[]): ModelledFunction[][] {
	const groups: { readonly wires: Set<string>; readonly members: ModelledFunction[] }[] = [];
	for (const one of functions) {
		const wires = new Set(one.model.wires?.(one.options) ?? []);
		const members = [one];
		for (const other of groups.filter((group) => [...wires].some((wire) => group.wires.has(wire)))) {
			groups.splice(groups.indexOf(other), 1);
			members.unshift(...other.members);
			for (const wire of other.wires) wires.add(wire);
		}
		groups.push({ wires, members });
	}
	return groups.map(({ members }) => members);
}
