// Bytes on their way from a thread that may not wait to one that writes them to a file: a ring in shared memory, of frames.
//
// The one that puts makes no system call as long as the other is awake, or dozes: one that has just taken something sleeps a moment, so
// that what comes meanwhile is taken together. Only one that found nothing then is woken by the next frame. If the ring is full, the one
// that puts waits.

/** How long who takes dozes, in milliseconds: what a SIGKILL can lose. */
const DOZE = 20;
/** How soon who waits for room looks whether the other is still there, in milliseconds. */
const LOOK = 100;

/** Words before the data. Positions count all bytes that there ever were, modulo 2^32. */
const PUT = 0;
const TAKEN = 1;
const ATTENTION = 2;
const WANTS_ROOM = 3;
const STATE = 4;
const HEADER = 64;

const AWAKE = 0;
const DOZING = 1;
const ASLEEP = 2;

const OPEN = 0;
/** Nothing more comes. */
const CLOSED = 1;
/** Nobody takes any more. */
const OVER = 2;

/** Of a frame's length, before it. */
const PREFIX = 4;

/** @param size of the data in bytes, a power of two */
export function newRing(size = 4 * 1024 * 1024): SharedArrayBuffer {
	return new SharedArrayBuffer(HEADER + size);
}

/** Says that nothing more comes: what is there is still taken. */
export function closeRing(ring: SharedArrayBuffer): void {
	const words = new Int32Array(ring, 0, HEADER / 4);
	Atomics.compareExchange(words, STATE, OPEN, CLOSED);
	wake(words);
}

/** Says that nobody takes any more: who waits for room goes on, and what it puts is lost. */
export function endRing(ring: SharedArrayBuffer): void {
	const words = new Int32Array(ring, 0, HEADER / 4);
	Atomics.store(words, STATE, OVER);
	Atomics.notify(words, TAKEN);
	Atomics.notify(words, STATE);
}

/** Waits until nobody takes any more. @param most in milliseconds */
export function waitForEnd(ring: SharedArrayBuffer, most: number): void {
	const words = new Int32Array(ring, 0, HEADER / 4);
	const deadline = performance.now() + most;
	for (let state = Atomics.load(words, STATE); state !== OVER; state = Atomics.load(words, STATE)) {
		const left = deadline - performance.now();
		if (left <= 0) return;
		Atomics.wait(words, STATE, state, left);
	}
}

function wake(words: Int32Array): void {
	if (Atomics.exchange(words, ATTENTION, AWAKE) !== AWAKE) Atomics.notify(words, ATTENTION);
}

export class RingWriter {
	readonly #words: Int32Array;
	readonly #data: Uint8Array;
	readonly #size: number;
	/** Nobody else changes it. */
	#put: number;
	readonly #prefix = new Uint8Array(PREFIX);

	constructor(ring: SharedArrayBuffer) {
		this.#words = new Int32Array(ring, 0, HEADER / 4);
		this.#data = new Uint8Array(ring, HEADER);
		this.#size = this.#data.length;
		this.#put = Atomics.load(this.#words, PUT);
	}

	/** Puts a frame: the first `length` bytes. Waits while there is no room for it. */
	put(bytes: Uint8Array, length: number): void {
		const words = this.#words;
		const prefix = this.#prefix;
		prefix[0] = length;
		prefix[1] = length >>> 8;
		prefix[2] = length >>> 16;
		prefix[3] = length >>> 24;
		if (!this.#append(prefix, PREFIX) || !this.#append(bytes, length)) return;
		Atomics.store(words, PUT, this.#put);
		const attention = Atomics.load(words, ATTENTION);
		if (attention === ASLEEP || (attention === DOZING && this.#used > this.#size / 2)) wake(words);
	}

	get #used(): number {
		return (this.#put - Atomics.load(this.#words, TAKEN)) | 0;
	}

	/** @returns whether somebody will take it */
	#append(bytes: Uint8Array, length: number): boolean {
		const mask = this.#size - 1;
		for (let done = 0; done < length; ) {
			let room = this.#size - this.#used;
			if (room === 0) {
				if (!this.#waitForRoom()) return false;
				room = this.#size - this.#used;
			}
			const at = this.#put & mask;
			const piece = Math.min(room, length - done, this.#size - at);
			if (piece > 64) this.#data.set(bytes.subarray(done, done + piece), at);
			else for (let i = 0; i < piece; i++) this.#data[at + i] = bytes[done + i];
			this.#put = (this.#put + piece) | 0;
			done += piece;
		}
		return true;
	}

	/** @returns false when there will never be any */
	#waitForRoom(): boolean {
		const words = this.#words;
		Atomics.store(words, PUT, this.#put);
		for (;;) {
			const taken = Atomics.load(words, TAKEN);
			if (((this.#put - taken) | 0) < this.#size) return true;
			if (Atomics.load(words, STATE) === OVER) return false;
			Atomics.store(words, WANTS_ROOM, 1);
			wake(words);
			Atomics.wait(words, TAKEN, taken, LOOK);
		}
	}
}

export class RingReader {
	readonly #words: Int32Array;
	readonly #data: Uint8Array;
	#taken: number;
	/** What was taken, and is no whole frame yet. */
	#rest = new Uint8Array(64 * 1024);
	#length = 0;
	/** Whether there was something the last time. */
	#wasBusy = false;

	constructor(ring: SharedArrayBuffer) {
		this.#words = new Int32Array(ring, 0, HEADER / 4);
		this.#data = new Uint8Array(ring, HEADER);
		this.#taken = Atomics.load(this.#words, TAKEN);
	}

	/** Whether nothing more comes, and all has been taken. */
	get isOver(): boolean {
		const words = this.#words;
		return Atomics.load(words, STATE) !== OPEN && Atomics.load(words, PUT) === this.#taken;
	}

	/** Takes all that there is. @param frame gets each frame, whose bytes are ours again afterwards */
	take(frame: (bytes: Uint8Array) => void): void {
		const words = this.#words;
		const count = (Atomics.load(words, PUT) - this.#taken) | 0;
		this.#wasBusy = count > 0;
		if (count === 0) return;
		this.#copy(count);
		Atomics.store(words, TAKEN, this.#taken);
		if (Atomics.exchange(words, WANTS_ROOM, 0) === 1) Atomics.notify(words, TAKEN);
		this.#split(frame);
	}

	#copy(count: number): void {
		if (this.#rest.length < this.#length + count) {
			const larger = new Uint8Array(Math.max(2 * this.#rest.length, this.#length + count));
			larger.set(this.#rest.subarray(0, this.#length));
			this.#rest = larger;
		}
		const at = this.#taken & (this.#data.length - 1);
		const first = Math.min(count, this.#data.length - at);
		this.#rest.set(this.#data.subarray(at, at + first), this.#length);
		this.#rest.set(this.#data.subarray(0, count - first), this.#length + first);
		this.#length += count;
		this.#taken = (this.#taken + count) | 0;
	}

	#split(frame: (bytes: Uint8Array) => void): void {
		const rest = this.#rest;
		let at = 0;
		while (this.#length - at >= PREFIX) {
			const length = rest[at] | (rest[at + 1] << 8) | (rest[at + 2] << 16) | (rest[at + 3] << 24);
			if (this.#length - at - PREFIX < length) break;
			frame(rest.subarray(at + PREFIX, at + PREFIX + length));
			at += PREFIX + length;
		}
		rest.copyWithin(0, at, this.#length);
		this.#length -= at;
	}

	/** Waits until it is time to look again. */
	wait(): void {
		const words = this.#words;
		if (Atomics.load(words, STATE) !== OPEN) return;
		const attention = this.#wasBusy ? DOZING : ASLEEP;
		Atomics.store(words, ATTENTION, attention);
		// What came before that wakes nobody.
		const count = (Atomics.load(words, PUT) - this.#taken) | 0;
		const isDue = attention === ASLEEP ? count !== 0 : count > this.#data.length / 2;
		if (!isDue && Atomics.load(words, STATE) === OPEN)
			Atomics.wait(words, ATTENTION, attention, attention === DOZING ? DOZE : undefined);
		Atomics.store(words, ATTENTION, AWAKE);
	}
}
