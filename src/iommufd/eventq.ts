// A queue of events as an object, and the file in which user space reads them. drivers/iommu/iommufd/eventq.c.

import { allocation } from "../faults/faults.js";
import type { Caller } from "../files/caller.js";
import type { ReadableFile } from "../files/open-file.js";
import type { AddressSpace } from "../memory/address-space.js";
import { Errno } from "../uapi/errno.js";
import { Later } from "../uapi/later.js";
import { whenFree } from "../uapi/turns.js";
import type { Context } from "./context.js";
import { IommufdObject, type ObjectKind } from "./object.js";

export abstract class EventQueue extends IommufdObject {
	abstract override readonly kind: ObjectKind;
	readonly context: Context;
	/** As long as it is open the queue can't be destroyed. */
	#file: EventQueueFile | undefined;

	constructor(context: Context, id: number) {
		super(id);
		this.context = context;
	}

	/** What the file is called in /proc/PID/fd. */
	abstract readonly path: string;
	/** Whether there is anything to be read. */
	abstract readonly readable: boolean;
	/** Whether user space answers what it reads. */
	abstract readonly writable: boolean;

	/** @throws Errno for a length that no read can have */
	protected abstract checkRead(length: number): void;
	/**
	 * Copies the next event out, and only then takes it from the queue.
	 * @param room in bytes
	 * @returns how long it is; 0 when there is none
	 * @throws EINVAL when there isn't room for it, EFAULT when it can't be copied
	 */
	protected abstract readNext(memory: AddressSpace, address: number, room: number): number;
	/** See ReadableFile. */
	abstract write(memory: AddressSpace, address: number, length: number): number;

	/** See ReadableFile. */
	read(memory: AddressSpace, address: number, length: number): number {
		this.checkRead(length);
		const wasReadable = this.readable;
		const done = oneByOne((done) => this.readNext(memory, address + done, length - done));
		this.notify(wasReadable);
		return done;
	}

	/**
	 * Gives the caller an fd of the queue. It is the last thing that can fail.
	 * @returns its number
	 */
	open(caller: Caller): number {
		allocation("the file of a queue");
		const file = new EventQueueFile(this);
		this.#file = file;
		this.users++;
		this.context.hold();
		return caller.install(file);
	}

	/** The file is closed for good. */
	close(): void {
		this.#file = undefined;
		this.users--;
		this.context.drop();
	}

	override keptBy(): readonly string[] {
		return this.#file === undefined ? [] : ["its fd, which is open"];
	}

	/** Tells who waits for events, if there is something to tell. */
	protected notify(wasReadable: boolean): void {
		if (wasReadable !== this.readable) this.#file?.onReadableChange?.();
	}
}

/**
 * Does something with one event after the other until there are no more (0). An error ends it, but is an error of the
 * whole only if nothing was done before.
 * @param next gets how many bytes are done, returns how many are done more
 */
export function oneByOne(next: (done: number) => number): number {
	let done = 0;
	try {
		for (let more = next(done); more > 0; more = next(done)) done += more;
	} catch (error) {
		const isAnAnswer = error instanceof Errno || error instanceof Later;
		if (done === 0 || !isAnAnswer) throw error;
	}
	return done;
}

class EventQueueFile implements ReadableFile {
	onReadableChange: (() => void) | undefined;
	readonly #queue: EventQueue;

	constructor(queue: EventQueue) {
		this.#queue = queue;
	}

	get path(): string {
		return this.#queue.path;
	}

	get readable(): boolean {
		return this.#queue.readable;
	}

	get writable(): boolean {
		return this.#queue.writable;
	}

	read(memory: AddressSpace, address: number, length: number): number {
		return this.#queue.read(memory, address, length);
	}

	write(memory: AddressSpace, address: number, length: number): number {
		return this.#queue.write(memory, address, length);
	}

	ioctl(): number {
		throw new Errno("ENOTTY", `${this.#queue} has no ioctls: it is read and polled`, "queue-read");
	}

	release(): void {
		const queue = this.#queue;
		whenFree([() => queue.context.turn], () => queue.close());
	}
}
