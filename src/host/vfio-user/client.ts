// What a vfio-user server is asked for, and how it answers. docs/interop/vfio-user.rst of QEMU.

import { UnixSocket } from "../linux/unix-socket.js";
import { Connection, closeAll } from "./connection.js";
import {
	type Capabilities,
	Command,
	checkRegionWrite,
	type DeviceInfo,
	type DmaMap,
	type DmaRange,
	decodeInfo,
	decodeInterruptInfo,
	decodeRegionInfo,
	decodeRegionRead,
	decodeVersion,
	encodeDisableInterrupts,
	encodeDmaMap,
	encodeDmaUnmap,
	encodeGetInfo,
	encodeGetInterruptInfo,
	encodeGetRegionInfo,
	encodeRegionRead,
	encodeRegionWrite,
	encodeSetEventFds,
	encodeUnmask,
	encodeVersion,
	encodeWriteMulti,
	type InterruptInfo,
	type RegionInfo,
	type ShortWrite,
} from "./protocol.js";

export interface Region extends RegionInfo {
	/** Of the file that its areas can be mapped from, this process's own. */
	readonly fd: number | undefined;
}

/** What was found out about a server: plain data. */
interface Findings {
	/** What both sides can do. */
	readonly capabilities: Capabilities;
	readonly info: DeviceInfo;
	readonly regions: readonly Region[];
	readonly interrupts: readonly InterruptInfo[];
}

/** A connection with all that is known, for another thread of this process. */
export interface HandedOver {
	/** The sockets of a Connection. */
	readonly fds: readonly number[];
	readonly findings: Findings;
}

export class VfioUserClient {
	readonly connection: Connection;
	readonly #findings: Findings;
	/** Of files that regions can be mapped from. */
	readonly #fds: number[] = [];

	/**
	 * Agrees on a version, and asks what the device is.
	 * @param timeout milliseconds that the server has for each answer
	 * @param known spares the questions
	 * @throws ServerLost, ServerRefused
	 */
	constructor(socket: UnixSocket, timeout: number, known?: Findings) {
		this.connection = new Connection(socket, timeout);
		try {
			this.#findings = known ?? this.#findOut();
		} catch (error) {
			this.close();
			throw error;
		}
	}

	#findOut(): Findings {
		const capabilities = this.#negotiate();
		const info = this.#ask(Command.DEVICE_GET_INFO, encodeGetInfo(), decodeInfo);
		const regions = Array.from({ length: info.regions }, (_, index) => this.#regionInfo(index));
		const interrupts = Array.from({ length: info.interrupts }, (_, index) =>
			this.#ask(Command.DEVICE_GET_IRQ_INFO, encodeGetInterruptInfo(index), (payload) =>
				decodeInterruptInfo(payload, index),
			),
		);
		return { capabilities, info, regions, interrupts };
	}

	/** Goes on where another thread has handed a connection over. */
	static takeOver({ fds: [main, twin], findings }: HandedOver, timeout: number): VfioUserClient {
		const client = new VfioUserClient(new UnixSocket(main), timeout, findings);
		if (twin !== undefined) client.connection.useTwin(twin);
		for (const { fd } of findings.regions) if (fd !== undefined) client.#fds.push(fd);
		return client;
	}

	/** For another thread. This one must not touch it any more. */
	handOver(): HandedOver {
		return { fds: this.connection.fds, findings: this.#findings };
	}

	get capabilities(): Capabilities {
		return this.#findings.capabilities;
	}

	get info(): DeviceInfo {
		return this.#findings.info;
	}

	get regions(): readonly Region[] {
		return this.#findings.regions;
	}

	get interrupts(): readonly InterruptInfo[] {
		return this.#findings.interrupts;
	}

	/** @throws ServerLost, ServerRefused, SystemError where nobody listens */
	static connect(path: string, timeout: number): VfioUserClient {
		return new VfioUserClient(UnixSocket.connect(path), timeout);
	}

	/** Reads from a region, in as many commands as it takes. @throws ServerLost, ServerRefused */
	read(region: number, offset: number, into: Uint8Array): void {
		const { maxTransfer } = this.capabilities;
		for (let done = 0; done < into.length; ) {
			const count = Math.min(into.length - done, maxTransfer);
			const access = { region, offset: offset + done, count };
			const data = this.#ask(Command.REGION_READ, encodeRegionRead(access), (payload) =>
				decodeRegionRead(payload, access),
			);
			into.set(data, done);
			done += count;
		}
	}

	write(region: number, offset: number, from: Uint8Array): void {
		for (let done = 0; done < from.length; ) {
			const data = from.subarray(done, done + this.capabilities.maxTransfer);
			const access = { region, offset: offset + done, count: data.length };
			this.#ask(Command.REGION_WRITE, encodeRegionWrite(region, access.offset, data), (payload) =>
				checkRegionWrite(payload, access),
			);
			done += data.length;
		}
	}

	/** Several short ones in their order, in one command where the server takes that. */
	writeAll(writes: readonly ShortWrite[]): void {
		if (writes.length > 1 && this.capabilities.writeMulti) {
			this.#do(Command.REGION_WRITE_MULTI, encodeWriteMulti(writes));
			return;
		}
		for (const { region, offset, size, value } of writes) {
			const data = new Uint8Array(8);
			new DataView(data.buffer).setBigUint64(0, value, true);
			this.write(region, offset, data.subarray(0, size));
		}
	}

	/** @throws ServerLost, ServerRefused */
	reset(): void {
		this.#do(Command.DEVICE_RESET, new Uint8Array(0));
	}

	/** @param fd of the file that the memory is in; undefined where the server is to ask for its bytes */
	map(range: DmaMap, fd: number | undefined): void {
		this.#do(Command.DMA_MAP, encodeDmaMap(range), fd === undefined ? [] : [fd]);
	}

	/** When it returns, the server has let go of the memory. */
	unmap(range: DmaRange): void {
		this.#do(Command.DMA_UNMAP, encodeDmaUnmap(range));
	}

	/** Interrupts of a kind go to these eventfds, the first of them being vector 0's. */
	setEventFds(index: number, fds: readonly number[]): void {
		const most = this.capabilities.maxMessageFds;
		for (let start = 0; start < fds.length; start += most) {
			const some = fds.slice(start, start + most);
			this.#do(Command.DEVICE_SET_IRQS, encodeSetEventFds(index, start, some.length), some);
		}
	}

	disableInterrupts(index: number): void {
		this.#do(Command.DEVICE_SET_IRQS, encodeDisableInterrupts(index));
	}

	unmask(index: number): void {
		this.#do(Command.DEVICE_SET_IRQS, encodeUnmask(index));
	}

	close(): void {
		closeAll(this.#fds);
		this.#fds.length = 0;
		this.connection.close();
	}

	#negotiate(): Capabilities {
		const { payload, fds } = this.connection.request(Command.VERSION, encodeVersion());
		const capabilities = this.#understand(payload, fds, decodeVersion);
		const { twinSocket } = capabilities;
		const twin = twinSocket === undefined ? undefined : fds[twinSocket];
		if (twinSocket !== undefined && twin === undefined) {
			closeAll(fds);
			this.connection.close("the vfio-user server names a second socket that it doesn't send");
			throw this.connection.lost;
		}
		if (twin !== undefined) this.connection.useTwin(twin);
		closeAll(fds.filter((fd) => fd !== twin));
		return capabilities;
	}

	#regionInfo(index: number): Region {
		const { payload, fds } = this.connection.request(Command.DEVICE_GET_REGION_INFO, encodeGetRegionInfo(index));
		const info = this.#understand(payload, fds, (bytes) => decodeRegionInfo(bytes, index));
		const [fd, ...others] = fds;
		closeAll(others);
		if (fd !== undefined) this.#fds.push(fd);
		return { ...info, areas: fd === undefined ? [] : info.areas, fd };
	}

	#ask<Result>(command: number, payload: Uint8Array, decode: (payload: Uint8Array) => Result): Result {
		const reply = this.connection.request(command, payload);
		closeAll(reply.fds);
		return this.#understand(reply.payload, [], decode);
	}

	#do(command: number, payload: Uint8Array, fds: readonly number[] = []): void {
		const reply = this.connection.request(command, payload, fds);
		closeAll(reply.fds);
	}

	/** A reply that makes no sense ends the connection. */
	#understand<Result>(payload: Uint8Array, fds: readonly number[], decode: (payload: Uint8Array) => Result): Result {
		try {
			return decode(payload);
		} catch (error) {
			closeAll(fds);
			this.connection.close(`the vfio-user server is lost: ${(error as Error).message}`);
			throw this.connection.lost;
		}
	}
}
