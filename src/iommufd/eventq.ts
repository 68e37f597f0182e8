// A queue of events as an object, and the file in which user space reads them. drivers/iommu/iommufd/eventq.c.

import { Errno } from "../uapi/errno.js";
import type { Caller, ReadableFile } from "./caller.js";
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
	/** See ReadableFile. */
	abstract read(into: Uint8Array): number;
	abstract write(from: Uint8Array): number;

	/**
	 * Gives the caller an fd of the queue. It is the last thing that can fail.
	 * @returns its number
	 */
	open(caller: Caller): number {
		const file = new EventQueueFile(this);
		const fd = caller.install(file);
		this.#file = file;
		this.users++;
		this.context.hold();
		return fd;
	}

	/** The file is closed for good. */
	close(): void {
		this.#file = undefined;
		this.users--;
		this.context.drop();
	}

	/** Tells who waits for events, if there is something to tell. */
	protected notify(wasReadable: boolean): void {
		if (wasReadable !== this.readable) this.#file?.onReadableChange?.();
	}
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

	read(into: Uint8Array): number {
		return this.#queue.read(into);
	}

	write(from: Uint8Array): number {
		return this.#queue.write(from);
	}

	ioctl(): number {
		throw new Errno("ENOTTY", `${this.#queue} has no ioctls: it is read and polled`);
	}

	release(): void {
		this.#queue.close();
	}
}
