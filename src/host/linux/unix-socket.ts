// A stream socket of the Unix domain, with file descriptors beside its bytes: unix(7), cmsg(3).
// Nothing here waits without an end: each call says until when.

import {
	addressOf,
	close,
	connect,
	errno,
	errors,
	NativeMemory,
	poll,
	recvmsg,
	SystemError,
	sendmsg,
	socket,
	socketpair,
	succeed,
} from "./libc.js";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_CTRUNC = 8;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;
export const POLLIN = 1;
export const POLLOUT = 4;

/** sockaddr_un: the family, and a path with its NUL. */
const PATH_SIZE = 108;
/** msghdr and iovec, in words of 32 bits. */
const Message = { IOV: 4, IOV_LENGTH: 6, CONTROL: 8, CONTROL_LENGTH: 10, FLAGS: 12, SIZE: 56 } as const;
const IOVEC_SIZE = 16;
/** cmsghdr: length, level, type. */
const Control = { LENGTH: 0, LEVEL: 2, TYPE: 3, HEADER: 16 } as const;
/** As many as the kernel lets through in one message: SCM_MAX_FD. */
const MOST_FDS = 253;

/** Whoever is at the other end has gone. */
export class Disconnected extends Error {
	override readonly name = "Disconnected";
}

export class UnixSocket {
	readonly fd: number;
	readonly #message = new NativeMemory(Message.SIZE);
	readonly #vector = new NativeMemory(IOVEC_SIZE);
	readonly #control = new NativeMemory(Control.HEADER + 4 * MOST_FDS + 4);

	/** @param fd is taken over */
	constructor(fd: number) {
		this.fd = fd;
		this.#message.setU64(Message.IOV, this.#vector.address);
		this.#message.setU64(Message.IOV_LENGTH, 1);
	}

	/** @throws SystemError; Error for a path that is too long */
	static connect(path: string): UnixSocket {
		const bytes = Buffer.from(path);
		if (bytes.length >= PATH_SIZE) throw new Error(`a socket's path has up to ${PATH_SIZE - 1} bytes`);
		const address = new NativeMemory(2 + PATH_SIZE + 2);
		address.bytes[0] = AF_UNIX;
		address.bytes.set(bytes, 2);
		const fd = succeed(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket()");
		if (connect(fd, address.address, 2 + bytes.length + 1) === -1) {
			const number = errno();
			close(fd);
			throw new SystemError("connect()", number);
		}
		return new UnixSocket(fd);
	}

	/** Two that are connected with each other. @throws SystemError */
	static pair(): [UnixSocket, UnixSocket] {
		const fds = new NativeMemory(8);
		succeed(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds.address), "socketpair()");
		return [new UnixSocket(fds.words[0]), new UnixSocket(fds.words[1])];
	}

	/**
	 * Sends as much as there is room for.
	 * @param fds go with the first byte; they stay the caller's
	 * @returns how many bytes; undefined when there is no room now
	 * @throws Disconnected
	 */
	send(bytes: Uint8Array, fds: readonly number[]): number | undefined {
		this.#setBytes(bytes);
		this.#setFds(fds);
		const sent = sendmsg(this.fd, this.#message.address, MSG_DONTWAIT | MSG_NOSIGNAL);
		return sent >= 0 ? sent : this.#notNow("sendmsg()");
	}

	/**
	 * Receives what there is.
	 * @param fds gets those that come with it: they are the caller's
	 * @returns how many bytes; undefined when there are none now
	 * @throws Disconnected
	 */
	receive(into: Uint8Array, fds: number[]): number | undefined {
		this.#setBytes(into);
		this.#message.setU64(Message.CONTROL, this.#control.address);
		this.#message.setU64(Message.CONTROL_LENGTH, this.#control.bytes.length);
		const received = recvmsg(this.fd, this.#message.address, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (received < 0) return this.#notNow("recvmsg()");
		this.#takeFds(fds);
		if (received === 0 && into.length > 0) throw new Disconnected("the other end has closed the connection");
		return received;
	}

	close(): void {
		close(this.fd);
	}

	#setBytes(bytes: Uint8Array): void {
		this.#vector.setU64(0, addressOf(bytes));
		this.#vector.setU64(2, bytes.length);
	}

	#setFds(fds: readonly number[]): void {
		const { words } = this.#control;
		const length = fds.length === 0 ? 0 : Control.HEADER + 4 * fds.length;
		this.#control.setU64(Control.LENGTH, length);
		words[Control.LEVEL] = SOL_SOCKET;
		words[Control.TYPE] = SCM_RIGHTS;
		words.set(fds, Control.HEADER / 4);
		this.#message.setU64(Message.CONTROL, length === 0 ? 0 : this.#control.address);
		this.#message.setU64(Message.CONTROL_LENGTH, length);
	}

	#takeFds(fds: number[]): void {
		const { words } = this.#control;
		const length = this.#message.u64(Message.CONTROL_LENGTH);
		// The kernel makes one of all that come with a stream's bytes.
		if (length >= Control.HEADER && words[Control.LEVEL] === SOL_SOCKET && words[Control.TYPE] === SCM_RIGHTS) {
			const count = (this.#control.u64(Control.LENGTH) - Control.HEADER) / 4;
			for (let i = 0; i < count; i++) fds.push(words[Control.HEADER / 4 + i]);
		}
		if (this.#message.words[Message.FLAGS] & MSG_CTRUNC)
			throw new Disconnected("it sends more file descriptors than this process can have");
	}

	#notNow(what: string): undefined {
		const number = errno();
		if (number === errors.EAGAIN || number === errors.EINTR) return undefined;
		if (number === errors.EPIPE || number === errors.ECONNRESET)
			throw new Disconnected("the other end has closed the connection");
		throw new SystemError(what, number);
	}
}

const pollFds = new NativeMemory(2 * 8);

/**
 * Waits until one of up to two fds is ready.
 * @param events POLLIN, POLLOUT, of the first; the second is always waited for to be read
 * @param milliseconds at most
 */
export function waitFor(fd: number, events: number, milliseconds: number, second?: number): void {
	pollFds.words[0] = fd;
	pollFds.words[1] = events;
	pollFds.words[2] = second ?? 0;
	pollFds.words[3] = POLLIN;
	poll(pollFds.address, second === undefined ? 1 : 2, Math.max(0, Math.ceil(milliseconds)));
}
