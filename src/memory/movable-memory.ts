// Memory of a device that a program can map: registers, a doorbell. The device's model and the program have to see the same
// bytes, but only who serves the program can make memory that both have; and most of it is never mapped. So the bytes
// begin in an array, and move when they have to.

import type { Backing } from "./address-space.js";
import { ArrayBacking } from "./array-space.js";

export class MovableMemory implements Backing {
	readonly name: string;
	/** In bytes. */
	readonly length: number;
	#backing: Backing;

	constructor(name: string, length: number) {
		this.name = name;
		this.length = length;
		this.#backing = new ArrayBacking(name, new Uint8Array(length));
	}

	read(at: number, into: Uint8Array): number {
		return this.#backing.read(at, into);
	}

	write(at: number, from: Uint8Array): number {
		return this.#backing.write(at, from);
	}

	/** Takes the bytes to another place, where they are from now on. */
	moveTo(backing: Backing): void {
		const bytes = new Uint8Array(this.length);
		this.#backing.read(0, bytes);
		backing.write(0, bytes);
		this.#backing = backing;
	}

	/** Takes the bytes back into an array. */
	moveHome(): void {
		this.moveTo(new ArrayBacking(this.name, new Uint8Array(this.length)));
	}
}
