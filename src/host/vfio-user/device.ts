// A function whose registers, interrupts and DMA are a vfio-user server's. To the machine it is a model like others; but each access
// is a message to another process, and what that process asks for comes by itself.

import { allOnes, type Endpoint, type EndpointPort } from "../../devices/endpoint.js";
import type { MemoryChange, RemoteFunction } from "../../devices/remote.js";
import { hex } from "../../uapi/errno.js";
import { close, eventfd, NativeMemory, read } from "../linux/libc.js";
import type { VfioUserClient } from "./client.js";
import { ServerLost, ServerRefused } from "./connection.js";
import { CONFIG_REGION, Interrupt } from "./identity.js";
import { Command, decodeDmaAccess, encodeDmaReply, type ShortWrite } from "./protocol.js";

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
const NO_FDS: readonly number[] = [];

export class VfioUserDevice implements Endpoint, RemoteFunction {
	readonly remote = this;
	readonly #port: EndpointPort;
	readonly #client: VfioUserClient;
	readonly #gone: (reason: string) => void;
	/** By their addresses: ranges of memory that the server didn't want. */
	readonly #unwanted = new Set<bigint>();
	/** What is waited for; undefined when it may be something else now. */
	#fds: readonly number[] | undefined;
	/** Written and not yet sent: a write is posted. */
	#writes: ShortWrite[] = [];
	/** By vector, of the kind of interrupts that is on. */
	#eventFds: number[] = [];
	#interrupts: number | undefined;
	readonly #count = new NativeMemory(8);
	/** The pin is asserted until a register is accessed: a server says when it is, and not until when. */
	#isAsserted = false;
	#isToldLost = false;

	/** @param gone is told, once, that the server is lost and why */
	constructor(port: EndpointPort, client: VfioUserClient, gone: (reason: string) => void) {
		this.#port = port;
		this.#client = client;
		this.#gone = gone;
		client.connection.onCommand = (command, payload) => this.#serve(command, payload);
	}

	/** Whether the server can't be asked any more. */
	get isLost(): boolean {
		return this.#client.connection.lost !== undefined;
	}

	/** When one of these is readable, there is work. */
	get fds(): readonly number[] {
		if (this.isLost) return NO_FDS;
		this.#fds ??= [...this.#client.connection.fds, ...this.#eventFds];
		return this.#fds;
	}

	readRegister(bar: number, offset: number, size: number): bigint {
		this.#accessed();
		if (!this.#isThere(bar, offset, size)) return allOnes(size);
		const bytes = new Uint8Array(8);
		const failure = this.#inOrder(() => this.#client.read(bar, offset, bytes.subarray(0, size)));
		return failure === undefined ? new DataView(bytes.buffer).getBigUint64(0, true) : allOnes(size);
	}

	writeRegister(bar: number, offset: number, size: number, value: bigint): void {
		this.#accessed();
		if (!this.#isThere(bar, offset, size)) return;
		this.#writes.push({ region: bar, offset, size, value });
		if (this.#writes.length >= MOST_WRITES) this.#inOrder(() => {});
	}

	/** A BAR may be larger than the region in it. */
	#isThere(bar: number, offset: number, size: number): boolean {
		return offset + size <= this.#client.regions[bar].size;
	}

	/** Sends what is written, answers what the server asks for, and passes its interrupts on. */
	work(): boolean {
		let hasMore = false;
		this.#inOrder(() => {
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
		this.#inOrder(() => this.#client.write(CONFIG_REGION, COMMAND_REGISTER, bytes));
	}

	interruptsChanged(index: number | undefined): void {
		const before = this.#interrupts;
		this.#inOrder(() => before !== undefined && this.#client.disableInterrupts(before));
		this.#closeEventFds();
		this.#interrupts = index;
		if (index === undefined || this.isLost) return;
		const { count } = this.#client.interrupts[index];
		this.#fds = undefined;
		this.#eventFds = Array.from({ length: count }, () => eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
		this.#ask(() => this.#client.setEventFds(index, this.#eventFds));
	}

	memoryChanged({ kind, iova: address, size, isReadable, isWriteable, file }: MemoryChange): void {
		if (kind === "unmap") {
			this.#unmap(address, size);
			return;
		}
		const map = { address, size, isReadable, isWriteable, fileOffset: file?.offset ?? 0 };
		const refusal = this.#inOrder(() => this.#client.map(map, file?.fd));
		if (refusal === undefined) return;
		this.#unwanted.add(address);
		this.#port.tell(`${refusal.message}: its DMA to ${hex(size)} bytes at ${hex(address)} will fail`);
	}

	/** A server that keeps memory isn't trusted any more. */
	#unmap(address: bigint, size: bigint): void {
		if (this.#unwanted.delete(address)) return;
		const refusal = this.#inOrder(() => this.#client.unmap({ address, size }));
		if (refusal instanceof ServerRefused) {
			this.#client.connection.close(
				`the vfio-user server is lost: ${refusal.message}, and may keep ${hex(size)} bytes at ${hex(address)}`,
			);
			this.#ask(() => this.#client.connection.serve());
		}
	}

	/** One that is refused doesn't take those with it that come after it. */
	#flush(): void {
		if (this.#writes.length === 0) return;
		const writes = this.#writes;
		this.#writes = [];
		const together = this.#client.capabilities.writeMulti ? [writes] : writes.map((write) => [write]);
		for (const some of together) this.#ask(() => this.#client.writeAll(some));
	}

	/** After all that was written before. @returns why the server hasn't done it */
	#inOrder(action: () => void): ServerLost | ServerRefused | undefined {
		this.#flush();
		return this.#ask(action);
	}

	/** @returns why the server hasn't done it */
	#ask(action: () => void): ServerLost | ServerRefused | undefined {
		try {
			action();
			return undefined;
		} catch (error) {
			if (error instanceof ServerLost) this.#tellLost(error);
			else if (!(error instanceof ServerRefused)) throw error;
			return error;
		}
	}

	#tellLost({ message }: ServerLost): void {
		if (this.#isToldLost) return;
		this.#isToldLost = true;
		this.#writes = [];
		this.#gone(message);
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
		this.#fds = undefined;
	}
}
