// A function whose registers, interrupts and DMA are a vfio-user server's. To the machine it is a model like others; but each access
// is a message to another process, and what that process asks for comes by itself.

import { allOnes, type Endpoint, type EndpointPort } from "../../devices/endpoint.js";
import { close, eventfd, NativeMemory, read } from "../linux/libc.js";
import type { VfioUserClient } from "./client.js";
import { ServerLost, ServerRefused } from "./connection.js";
import { CONFIG_REGION, Interrupt } from "./identity.js";
import { Command, type DmaMap, type DmaRange, decodeDmaAccess, encodeDmaReply, type ShortWrite } from "./protocol.js";

/** Writes that wait to be sent together. */
const MOST_WRITES = 64;
const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;
/** Errnos for the server. */
const EFAULT = 14;
const ENOTSUP = 95;
/** In the configuration space. */
const COMMAND_REGISTER = 4;

const NOTHING = new Uint8Array(0);

export class VfioUserDevice implements Endpoint {
	readonly #port: EndpointPort;
	readonly #client: VfioUserClient;
	readonly #tell: (message: string) => void;
	/** Written and not yet sent: a write is posted. */
	#writes: ShortWrite[] = [];
	/** By vector, of the kind of interrupts that is on. */
	#eventFds: number[] = [];
	#interrupts: number | undefined;
	readonly #count = new NativeMemory(8);
	/** The pin is asserted until a register is accessed: a server says when it is, and not until when. */
	#isAsserted = false;
	#isToldLost = false;

	/** @param tell is told, once, that the server is lost and why */
	constructor(port: EndpointPort, client: VfioUserClient, tell: (message: string) => void) {
		this.#port = port;
		this.#client = client;
		this.#tell = tell;
		client.connection.onCommand = (command, payload) => this.#serve(command, payload);
	}

	/** Whether the server can't be asked any more. */
	get isLost(): boolean {
		return this.#client.connection.lost !== undefined;
	}

	/** When one of these is readable, there is work. */
	get fds(): readonly number[] {
		return this.isLost ? [] : [...this.#client.connection.fds, ...this.#eventFds];
	}

	readRegister(bar: number, offset: number, size: number): bigint {
		this.#accessed();
		const bytes = new Uint8Array(8);
		const isRead = this.#ask(() => {
			this.#flush();
			this.#client.read(bar, offset, bytes.subarray(0, size));
		});
		return isRead ? new DataView(bytes.buffer).getBigUint64(0, true) : allOnes(size);
	}

	writeRegister(bar: number, offset: number, size: number, value: bigint): void {
		this.#accessed();
		this.#writes.push({ region: bar, offset, size, value });
		if (this.#writes.length >= MOST_WRITES) this.#ask(() => this.#flush());
	}

	/** Sends what is written, answers what the server asks for, and passes its interrupts on. */
	work(): boolean {
		let hasMore = false;
		this.#ask(() => {
			this.#flush();
			hasMore = this.#client.connection.serve();
		});
		if (!this.isLost) this.#takeInterrupts();
		return hasMore && !this.isLost;
	}

	reset(): void {
		this.#writes = [];
		this.#deassert();
		this.#ask(() => this.#client.info.canReset && this.#client.reset());
	}

	close(): void {
		this.#closeEventFds();
		this.#client.close();
	}

	/** The command register has been written: a server may look at it before it does DMA. */
	commandChanged(command: number): void {
		const bytes = new Uint8Array(2);
		new DataView(bytes.buffer).setUint16(0, command, true);
		this.#ask(() => this.#client.write(CONFIG_REGION, COMMAND_REGISTER, bytes));
	}

	/**
	 * Another kind of interrupts is on, or none.
	 * @param index VFIO_PCI_*_IRQ_INDEX; undefined for none
	 * @param count of vectors
	 */
	interruptsChanged(index: number | undefined, count: number): void {
		const before = this.#interrupts;
		this.#ask(() => {
			if (before !== undefined) this.#client.disableInterrupts(before);
		});
		this.#closeEventFds();
		this.#interrupts = index;
		if (index === undefined) return;
		this.#eventFds = Array.from({ length: count }, () => eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
		this.#ask(() => this.#client.setEventFds(index, this.#eventFds));
	}

	/** @param fd of the file that the memory is in, the caller's; undefined for memory that the server asks for */
	mapped(map: DmaMap, fd: number | undefined): void {
		this.#ask(() => this.#client.map(map, fd));
	}

	/** When it returns the server has let go of it, or is lost. */
	unmapped(range: DmaRange): void {
		this.#ask(() => this.#client.unmap(range));
	}

	#flush(): void {
		if (this.#writes.length === 0) return;
		const writes = this.#writes;
		this.#writes = [];
		this.#client.writeAll(writes);
	}

	/** @returns whether the server has done it */
	#ask(action: () => void): boolean {
		try {
			action();
			return true;
		} catch (error) {
			if (error instanceof ServerLost) this.#tellLost(error);
			else if (!(error instanceof ServerRefused)) throw error;
			return false;
		}
	}

	#tellLost({ message }: ServerLost): void {
		if (this.#isToldLost) return;
		this.#isToldLost = true;
		this.#writes = [];
		this.#tell(message);
	}

	#serve(command: number, payload: Uint8Array): Uint8Array | number {
		if (command !== Command.DMA_READ && command !== Command.DMA_WRITE) return ENOTSUP;
		const access = decodeDmaAccess(payload, command);
		if (command === Command.DMA_WRITE)
			return this.#port.writeMemory(access.address, access.data) === undefined
				? encodeDmaReply(access, NOTHING)
				: EFAULT;
		const bytes = new Uint8Array(access.count);
		return this.#port.readMemory(access.address, bytes) === undefined ? encodeDmaReply(access, bytes) : EFAULT;
	}

	#takeInterrupts(): void {
		this.#eventFds.forEach((fd, vector) => {
			if (read(fd, this.#count.address, 8) !== 8) return;
			if (this.#interrupts === Interrupt.INTX) this.#isAsserted = true;
			this.#port.interrupt(vector);
		});
	}

	#accessed(): void {
		if (this.#isAsserted) this.#deassert();
	}

	#deassert(): void {
		this.#isAsserted = false;
		this.#port.deassert();
	}

	#closeEventFds(): void {
		for (const fd of this.#eventFds) close(fd);
		this.#eventFds = [];
	}
}
