// A connection to a vfio-user server: commands with their replies, and the server's own commands in between.
// Whatever goes wrong ends the connection for good: a server that is late, that has gone or that lies isn't asked again. Nobody waits
// longer than the time that is allowed.

import { close } from "../linux/libc.js";
import { POLLIN, POLLOUT, UnixSocket, waitFor } from "../linux/unix-socket.js";
import {
	commandName,
	decodeHeader,
	encodeMessage,
	HEADER_SIZE,
	type Header,
	MAX_MESSAGE_FDS,
	MAX_TRANSFER,
	ProtocolError,
} from "./protocol.js";

/** A message that is longer than the longest transfer with all that is before it is none. */
const LONGEST_MESSAGE = MAX_TRANSFER + 64 * 1024;

/** Commands of the server's that are answered before anything else has its turn. */
const AT_A_TIME = 32;

/** The connection is over. The message says why. */
export class ServerLost extends Error {
	override readonly name = "ServerLost";
}

/** The server says no to one command. */
export class ServerRefused extends Error {
	override readonly name = "ServerRefused";
	readonly errno: number;

	constructor(command: number, errno: number) {
		super(`the server refuses ${commandName(command)} with errno ${errno}`);
		this.errno = errno;
	}
}

export interface Message {
	readonly header: Header;
	readonly payload: Uint8Array;
	/** The receiver's to close. */
	readonly fds: readonly number[];
}

/** What becomes of a server's command: a payload for the reply, or an errno. */
export type CommandHandler = (command: number, payload: Uint8Array) => Uint8Array | number;

/** Messages out of a stream, however it is cut. */
class Channel {
	readonly socket: UnixSocket;
	readonly #header = new Uint8Array(HEADER_SIZE);
	#payload: Uint8Array | undefined;
	#decoded: Header | undefined;
	#filled = 0;
	#fds: number[] = [];

	constructor(socket: UnixSocket) {
		this.socket = socket;
	}

	/** @returns the next message; undefined as long as it isn't there as a whole @throws ProtocolError, Disconnected */
	receive(): Message | undefined {
		for (;;) {
			const into = this.#payload ?? this.#header;
			if (this.#filled < into.length) {
				const received = this.socket.receive(into.subarray(this.#filled), this.#fds);
				if (this.#fds.length > MAX_MESSAGE_FDS)
					throw new ProtocolError(`a message with more than the ${MAX_MESSAGE_FDS} fds that were agreed`);
				if (received === undefined) return undefined;
				this.#filled += received;
				continue;
			}
			if (this.#payload === undefined) this.#begin();
			else return this.#end(this.#payload);
		}
	}

	close(): void {
		this.socket.close();
		closeAll(this.#fds);
		this.#fds = [];
	}

	#begin(): void {
		const header = decodeHeader(this.#header);
		if (header.size > LONGEST_MESSAGE) throw new ProtocolError(`a message of ${header.size} bytes`);
		this.#decoded = header;
		this.#payload = new Uint8Array(header.size - HEADER_SIZE);
		this.#filled = 0;
	}

	#end(payload: Uint8Array): Message {
		const message = { header: this.#decoded!, payload, fds: this.#fds };
		this.#payload = undefined;
		this.#filled = 0;
		this.#fds = [];
		return message;
	}
}

export class Connection {
	/** What the server's own commands do. Refused where nobody says. */
	onCommand: CommandHandler = () => 95;
	readonly #main: Channel;
	/** Where the server's commands come on a socket of their own. */
	#twin: Channel | undefined;
	readonly #timeout: number;
	#nextId = 1;
	#lost: ServerLost | undefined;

	/** @param timeout milliseconds that the server has for a reply, and for taking what is sent */
	constructor(socket: UnixSocket, timeout: number) {
		this.#main = new Channel(socket);
		this.#timeout = timeout;
	}

	/** Why it is over; undefined as long as it isn't. */
	get lost(): ServerLost | undefined {
		return this.#lost;
	}

	/** What is readable when the server has something to say. */
	get fds(): readonly number[] {
		return [this.#main, this.#twin].flatMap((channel) => (channel ? [channel.socket.fd] : []));
	}

	/** @param fd of a socket, taken over */
	useTwin(fd: number): void {
		this.#twin = new Channel(new UnixSocket(fd));
	}

	/**
	 * Sends a command and waits for its reply; the server's commands are answered meanwhile.
	 * @param fds stay the caller's
	 * @returns the reply's payload and fds, which are the caller's
	 * @throws ServerRefused, ServerLost
	 */
	request(command: number, payload: Uint8Array, fds: readonly number[] = []): Message {
		const id = this.#takeId();
		const deadline = performance.now() + this.#timeout;
		return this.#guard(command, () => {
			this.#send(this.#main, encodeMessage({ ...COMMAND, id, command }, payload), fds, deadline);
			const reply = this.#awaitReply(id, command, deadline);
			if (reply.header.error === undefined) return reply;
			closeAll(reply.fds);
			throw new ServerRefused(command, reply.header.error);
		});
	}

	/**
	 * Answers what the server has asked for by now, without waiting for more.
	 * @returns whether there may be more at once
	 * @throws ServerLost
	 */
	serve(): boolean {
		return this.#guard(undefined, () => {
			const deadline = performance.now() + this.#timeout;
			for (let served = 0; served < AT_A_TIME; served++) {
				const next = this.#next();
				if (next === undefined) return false;
				this.#take(next.message, next.channel, deadline);
			}
			return true;
		});
	}

	/** @param reason what later requests are told */
	close(reason = "the connection was closed"): void {
		if (this.#lost !== undefined) return;
		this.#lost = new ServerLost(reason);
		for (const channel of this.#channels()) channel.close();
	}

	#channels(): Channel[] {
		return this.#twin ? [this.#main, this.#twin] : [this.#main];
	}

	#takeId(): number {
		this.#nextId = (this.#nextId + 1) & 0xffff;
		return this.#nextId;
	}

	/** Only a refusal leaves the connection as it is. */
	#guard<Result>(command: number | undefined, action: () => Result): Result {
		if (this.#lost !== undefined) throw this.#lost;
		try {
			return action();
		} catch (error) {
			if (error instanceof ServerRefused) throw error;
			const when = command === undefined ? "" : ` at ${commandName(command)}`;
			this.close(`the vfio-user server is lost${when}: ${(error as Error).message}`);
			throw this.#lost;
		}
	}

	#send(channel: Channel, bytes: Uint8Array, fds: readonly number[], deadline: number): void {
		for (let done = 0; done < bytes.length; ) {
			const sent = channel.socket.send(bytes.subarray(done), done === 0 ? fds : []);
			if (sent !== undefined) done += sent;
			else waitFor(channel.socket.fd, POLLOUT, this.#left(deadline, "it takes nothing"));
		}
	}

	/** Commands are answered in between: a server may need memory for what it was asked. */
	#awaitReply(id: number, command: number, deadline: number): Message {
		for (;;) {
			const left = this.#left(deadline, "it doesn't answer");
			const next = this.#next();
			if (next === undefined) waitFor(this.#main.socket.fd, POLLIN, left, this.#twin?.socket.fd);
			else {
				const { header } = next.message;
				const isAwaited = header.isReply && next.channel === this.#main && header.id === id;
				if (isAwaited && header.command === command) return next.message;
				this.#take(next.message, next.channel, deadline);
			}
		}
	}

	/** A message that is there as a whole. */
	#next(): { readonly message: Message; readonly channel: Channel } | undefined {
		for (const channel of this.#channels()) {
			const message = channel.receive();
			if (message !== undefined) return { message, channel };
		}
		return undefined;
	}

	/** A command of the server's. */
	#take({ header, payload, fds }: Message, channel: Channel, deadline: number): void {
		closeAll(fds);
		if (header.isReply) throw new ProtocolError(`a reply to ${commandName(header.command)}, which nobody waits for`);
		const answer = this.onCommand(header.command, payload);
		if (header.noReply) return;
		const failed = typeof answer === "number";
		const reply = encodeMessage(
			{
				id: header.id,
				command: header.command,
				isReply: true,
				noReply: false,
				error: failed ? answer : undefined,
			},
			failed ? new Uint8Array(0) : answer,
		);
		this.#send(channel, reply, [], deadline);
	}

	#left(deadline: number, what: string): number {
		const left = deadline - performance.now();
		if (left <= 0) throw new Error(`${what} for ${this.#timeout / 1000} s`);
		return left;
	}
}

const COMMAND = { isReply: false, noReply: false, error: undefined } as const;

export function closeAll(fds: readonly number[]): void {
	for (const fd of fds) close(fd);
}
