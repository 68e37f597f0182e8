// Files of the fake machine that can be read or mapped.

import type { MappableFile, Mapping, PositionedFile, ReadableFile } from "../../files/open-file.js";
import { type AddressSpace, copyIn, copyOut } from "../../memory/address-space.js";
import { MovableMemory } from "../../memory/movable-memory.js";
import { Errno } from "../../uapi/errno.js";

/** A queue of texts. A read takes the first of them, as a whole. */
export class FakeQueue implements ReadableFile {
	readonly path = "queue";
	readonly writable: boolean;
	readonly release: () => void;
	onReadableChange: (() => void) | undefined;
	readonly #texts: string[] = [];
	readonly written: string[] = [];

	constructor(writable: boolean, release: () => void) {
		this.writable = writable;
		this.release = release;
	}

	get readable(): boolean {
		return this.#texts.length > 0;
	}

	push(text: string): void {
		this.#texts.push(text);
		if (this.#texts.length === 1) this.onReadableChange?.();
	}

	read(memory: AddressSpace, address: number, length: number): number {
		if (!this.readable) return 0;
		const bytes = Buffer.from(this.#texts[0]);
		if (bytes.length > length) throw new Errno("EINVAL", "no room");
		copyOut(memory, address, bytes, "a text");
		this.#texts.shift();
		if (!this.readable) this.onReadableChange?.();
		return bytes.length;
	}

	write(memory: AddressSpace, address: number, length: number): number {
		if (!this.writable) throw new Errno("EINVAL", "it can't be written");
		const bytes = Buffer.alloc(length);
		copyIn(memory, address, bytes, "a text");
		this.written.push(bytes.toString());
		return length;
	}

	ioctl(): number {
		throw new Errno("ENOTTY", "no ioctls");
	}
}

/** Two pages of registers, at the beginning and again where an ordinary file has nothing. */
export class FakeRegisters implements Pick<PositionedFile, "readAt" | "writeAt" | "placeAt"> {
	static readonly START = 2 ** 40;
	readonly #bytes = new Uint8Array(8192);

	readonly readAt = (memory: AddressSpace, address: number, length: number, position: number): number => {
		const bytes = this.#at(position, length);
		copyOut(memory, address, bytes, "registers");
		return bytes.length;
	};

	readonly writeAt = (memory: AddressSpace, address: number, length: number, position: number): number => {
		const bytes = this.#at(position, length);
		copyIn(memory, address, bytes, "registers");
		return bytes.length;
	};

	readonly placeAt = (position: number): string => `register ${position % FakeRegisters.START}`;

	#at(position: number, length: number): Uint8Array {
		const offset = position % FakeRegisters.START;
		if (offset >= this.#bytes.length) throw new Errno("EINVAL", "no such register");
		return this.#bytes.subarray(offset, offset + length);
	}
}

/** A region of two pages that can be mapped at offset 4096. */
export class FakeRegion implements Pick<MappableFile, "mmap"> {
	static readonly OFFSET = 4096;
	readonly memory = new MovableMemory("region", 8192);
	mappings = 0;

	constructor(text: string) {
		this.memory.write(0, Buffer.from(text));
	}

	readonly mmap = (offset: number, length: number): Mapping => {
		if (offset !== FakeRegion.OFFSET || length !== this.memory.length) throw new Errno("ENXIO", "nothing is there");
		this.mappings++;
		return {
			backing: this.memory,
			release: () => {
				this.mappings--;
			},
		};
	};
}
