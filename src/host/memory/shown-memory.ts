// What a file of ours shows to those who map it: one memfd, in which each region lies at the offset that mmap(2) is given.
// The device's model reads and writes it through our fd, the program through its mapping.
//
// While the fd is open nobody tells us of a munmap(2). Who has to know looks for the mappings themselves: dropUnmapped().

import { readdirSync, readFileSync } from "node:fs";
import type { Mapping, OpenFile } from "../../files/open-file.js";
import type { Backing } from "../../memory/address-space.js";
import type { MovableMemory } from "../../memory/movable-memory.js";
import { addressOf, ftruncate, pread, pwrite } from "../linux/libc.js";
import { statOf } from "../linux/stat.js";
import { memfdNamed, ShownFile } from "./shown-file.js";

/** A call of mmap(2) that had something to map. */
interface Mapped {
	readonly offset: number;
	readonly mapping: Mapping<MovableMemory>;
}

export class ShownMemory extends ShownFile {
	/** By offset. */
	readonly #regions = new Map<number, MovableMemory>();
	#mapped: Mapped[] = [];

	static of(file: OpenFile): ShownMemory | undefined {
		const fd = memfdNamed(file.path);
		return fd === -1 ? undefined : new ShownMemory(fd, file.path);
	}

	/** Shows what is being mapped at an offset, which counts as mapped from now on. */
	add(mapping: Mapping<MovableMemory>, offset: number): void {
		const { backing: memory } = mapping;
		this.#mapped.push({ offset, mapping });
		if (this.#regions.get(offset) === memory) return;
		const end = offset + memory.length;
		if ((statOf(this.fd)?.size ?? 0) < end) ftruncate(this.fd, end);
		memory.moveTo(new Part(memory.name, this.fd, offset, memory.length));
		this.#regions.set(offset, memory);
	}

	/** Looks into all processes, and releases what none of them has mapped any more. */
	dropUnmapped(): void {
		if (this.#mapped.length === 0) return;
		const ranges = this.#rangesInUse();
		this.#mapped = this.#mapped.filter(({ offset, mapping }) => {
			const isInUse = ranges.some(([first, end]) => first < offset + mapping.backing.length && offset < end);
			if (!isInUse) mapping.release();
			return isInUse;
		});
	}

	override release(): void {
		for (const { mapping } of this.#mapped) mapping.release();
		for (const memory of this.#regions.values()) memory.moveHome();
		super.release();
	}

	/** Which parts of it are mapped anywhere, first byte and end. */
	#rangesInUse(): [first: number, end: number][] {
		const line = new RegExp(
			`^([0-9a-f]+)-([0-9a-f]+) \\S+ ([0-9a-f]+) \\S+ ${statOf(this.fd)?.inode}\\s+/memfd:ioasis:${this.name} `,
			"gm",
		);
		return processes().flatMap((id) =>
			Array.from(mapsOf(id).matchAll(line), ([, start, end, offset]): [number, number] => {
				const first = Number.parseInt(offset, 16);
				return [first, first + Number.parseInt(end, 16) - Number.parseInt(start, 16)];
			}),
		);
	}
}

/** A stretch of a file, by an fd that somebody else closes. */
class Part implements Backing {
	readonly name: string;
	readonly #fd: number;
	readonly #start: number;
	readonly #length: number;

	constructor(name: string, fd: number, start: number, length: number) {
		this.name = name;
		this.#fd = fd;
		this.#start = start;
		this.#length = length;
	}

	read(at: number, into: Uint8Array): number {
		const length = this.#within(at, into.length);
		return length === 0 ? 0 : Math.max(0, pread(this.#fd, addressOf(into), length, this.#start + at));
	}

	write(at: number, from: Uint8Array): number {
		const length = this.#within(at, from.length);
		return length === 0 ? 0 : Math.max(0, pwrite(this.#fd, addressOf(from), length, this.#start + at));
	}

	#within(at: number, length: number): number {
		return Math.max(0, Math.min(length, this.#length - at));
	}
}

function processes(): string[] {
	return readdirSync("/proc").filter((name) => /^\d+$/.test(name));
}

/** Empty for one that has just ended, or that we may not look into: it isn't one of those that run under us. */
function mapsOf(process: string): string {
	try {
		return readFileSync(`/proc/${process}/maps`, "latin1");
	} catch {
		return "";
	}
}
