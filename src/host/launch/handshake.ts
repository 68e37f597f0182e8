// What the supervisor's and the launcher's threads wait for in each other before the program starts.

const MACHINE = 0;
const LISTENER = 1;
const LAUNCHER = 2;
const SUPERVISOR = 3;
const CHILDREN = 4;
const SLOTS = 5;

const GOOD = 1;
const BAD = -1;
/** The listener is an fd, so stored one higher to tell it from "not yet". */
const FIRST_FD = 1;

/** Both have one, over the same memory. */
export class Handshake {
	readonly memory: SharedArrayBuffer;
	readonly #slots: Int32Array;

	constructor(memory = new SharedArrayBuffer(SLOTS * 4)) {
		this.memory = memory;
		this.#slots = new Int32Array(memory);
	}

	/** The supervisor says whether there is a machine to serve. */
	announceMachine(good: boolean): void {
		this.#set(MACHINE, good ? GOOD : BAD);
	}

	/** The launcher waits for that: without a machine nothing is started. */
	waitForMachine(): boolean {
		return this.#wait(MACHINE) === GOOD;
	}

	/** The launcher says where the notifications come from, and which thread it is; no listener if there could be none. */
	announceListener(listener: number | undefined, thread: number): void {
		Atomics.store(this.#slots, LAUNCHER, thread);
		this.#set(LISTENER, listener === undefined ? BAD : listener + FIRST_FD);
	}

	/** The supervisor waits for that. */
	waitForListener(): number | undefined {
		const value = this.#wait(LISTENER);
		return value === BAD ? undefined : value - FIRST_FD;
	}

	/** The launcher's thread, once there is a listener. */
	get launcher(): number {
		return Atomics.load(this.#slots, LAUNCHER);
	}

	/** The supervisor says which thread it is, once it can be woken. */
	announceSupervisor(thread: number): void {
		Atomics.store(this.#slots, SUPERVISOR, thread);
	}

	/** The supervisor's thread; 0 as long as it can't be woken. */
	get supervisor(): number {
		return Atomics.load(this.#slots, SUPERVISOR);
	}

	/** The main thread says that SIGCHLD has come: a child of this process has ended. */
	announceChild(): void {
		Atomics.add(this.#slots, CHILDREN, 1);
		Atomics.notify(this.#slots, CHILDREN);
	}

	/** How often that was said by now. */
	get childrenEnded(): number {
		return Atomics.load(this.#slots, CHILDREN);
	}

	/** The launcher waits until it was said once more than that. */
	waitForChild(before: number): void {
		Atomics.wait(this.#slots, CHILDREN, before);
	}

	#set(slot: number, value: number): void {
		Atomics.store(this.#slots, slot, value);
		Atomics.notify(this.#slots, slot);
	}

	#wait(slot: number): number {
		Atomics.wait(this.#slots, slot, 0);
		return Atomics.load(this.#slots, slot);
	}
}
