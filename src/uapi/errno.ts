// The error numbers that iommufd and VFIO answer with.
// include/uapi/asm-generic/errno-base.h and errno.h: the same on x86-64 and arm64.

import type { HintName } from "./hints.js";

export const errnoNumbers = {
	EPERM: 1,
	ENOENT: 2,
	EINTR: 4,
	EIO: 5,
	E2BIG: 7,
	EBADF: 9,
	EAGAIN: 11,
	ENOMEM: 12,
	EACCES: 13,
	EFAULT: 14,
	EBUSY: 16,
	EEXIST: 17,
	ENODEV: 19,
	EINVAL: 22,
	EMFILE: 24,
	ENOTTY: 25,
	ENOSPC: 28,
	ESPIPE: 29,
	ERANGE: 34,
	EDEADLK: 35,
	EBADE: 52,
	EOVERFLOW: 75,
	EBADFD: 77,
	EMSGSIZE: 90,
	EOPNOTSUPP: 95,
	EADDRINUSE: 98,
	ENXIO: 6,
	ESRCH: 3,
	ETIMEDOUT: 110,
} as const;

export type ErrnoCode = keyof typeof errnoNumbers;

/** What an Errno says, as it goes from thread to thread. */
export type ErrnoValues = Pick<Errno, "code" | "reason" | "hint">;

/**
 * An answer that is an error: what the caller of an ioctl gets, and the sentence that says which rule was broken.
 * Errors are ordinary answers here, so unlike an Error it captures no stack.
 */
export class Errno {
	readonly code: ErrnoCode;
	readonly reason: string;
	/** What to do about it, where the reason alone doesn't say. */
	readonly hint: HintName | undefined;

	constructor(code: ErrnoCode, reason: string, hint?: HintName) {
		this.code = code;
		this.reason = reason;
		this.hint = hint;
	}

	/** The same error in another thread, which it has come to as plain values. */
	static again({ code, reason, hint }: ErrnoValues): Errno {
		return new Errno(code, reason, hint);
	}

	/** The same, where something was done before it that Linux leaves done. @param done a sentence about that */
	after(done: string): Errno {
		return new Errno(this.code, `${this.reason}. ${done}`, this.hint);
	}

	/** The positive number, as in `errno`. */
	get number(): number {
		return errnoNumbers[this.code];
	}

	/** Named as in Error, for those who print whatever they catch. */
	get message(): string {
		return `${this.code}: ${this.reason}`;
	}

	toString(): string {
		return this.message;
	}
}

/** An address, IOVA or length the way every reason spells it. */
export function hex(value: number | bigint): string {
	return `0x${value.toString(16)}`;
}

/** The code of the Errno that `action` throws, "ok" when it throws none. Anything else that it throws goes on. */
export function codeOf(action: () => unknown): ErrnoCode | "ok" {
	try {
		action();
	} catch (error) {
		if (error instanceof Errno) return error.code;
		throw error;
	}
	return "ok";
}
