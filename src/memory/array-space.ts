// An address space in an array: for tests, for a browser, for anyone who uses the engine without a process.

import { Errno, hex } from "../uapi/errno.js";
import { type AddressSpace, type Backing, type Extents, PAGE_SIZE } from "./address-space.js";

/** So many bytes, an entry of a table for one, are copied sooner than an array is made for them. */
const SMALL = 32;

/** A file of shared memory in an array: a memfd without a kernel. */
export class ArrayBacking implements Backing {
	readonly name: string;
	readonly bytes: Uint8Array;
	readonly #words: DataView;

	constructor(name: string, bytes: Uint8Array) {
		this.name = name;
		this.bytes = bytes;
		this.#words = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
	}

	read(at: number, into: Uint8Array): number {
		const length = Math.max(0, Math.min(into.length, this.bytes.length - at));
		if (length > SMALL) into.set(this.bytes.subarray(at, at + length));
		else for (let i = 0; i < length; i++) into[i] = this.bytes[at + i];
		return length;
	}

	readEntry(at: number, into: Int32Array): boolean {
		if (at + 8 > this.bytes.length) return false;
		into[0] = this.#words.getInt32(at, true);
		into[1] = this.#words.getInt32(at + 4, true);
		return true;
	}

	write(at: number, from: Uint8Array): number {
		const length = Math.max(0, Math.min(from.length, this.bytes.length - at));
		if (length > SMALL) this.bytes.set(from.subarray(0, length), at);
		else for (let i = 0; i < length; i++) this.bytes[at + i] = from[i];
		return length;
	}
}

interface Mapping {
	/** First page number in the space. */
	readonly first: number;
	readonly count: number;
	readonly writable: boolean;
	readonly backing: ArrayBacking;
	/** The page of the backing that the first page shows. */
	readonly page: number;
}

/** A space made of arrays that are mapped at addresses, with holes between them. */
export class ArraySpace implements AddressSpace {
	readonly name: string;
	alive = true;
	selfLocked = 0;
	readonly #mappings: Mapping[] = [];

	constructor(name = "array") {
		this.name = name;
	}

	/** Maps `bytes` (whole pages) of zeroed memory at `address` (a multiple of the page size); returns the array. */
	map(
		address: number,
		bytes: number,
		options: { writable?: boolean; backing?: ArrayBacking; page?: number } = {},
	): Uint8Array {
		const backing = options.backing ?? new ArrayBacking(`${this.name} at ${hex(address)}`, new Uint8Array(bytes));
		this.#mappings.push({
			first: address / PAGE_SIZE,
			count: bytes / PAGE_SIZE,
			writable: options.writable ?? true,
			backing,
			page: options.page ?? 0,
		});
		return backing.bytes;
	}

	/** Takes away the mapping that starts at `address`. */
	unmap(address: number): void {
		const at = this.#mappings.findIndex((mapping) => mapping.first === address / PAGE_SIZE);
		if (at >= 0) this.#mappings.splice(at, 1);
	}

	read(address: number, into: Uint8Array): number {
		return this.#each(address, into.length, false, (backing, at, done, length) =>
			backing.read(at, into.subarray(done, done + length)),
		);
	}

	write(address: number, from: Uint8Array): number {
		return this.#each(address, from.length, true, (backing, at, done, length) =>
			backing.write(at, from.subarray(done, done + length)),
		);
	}

	resolve(first: number, count: number, writable: boolean, into: Extents): void {
		if (!this.alive) throw new Errno("EFAULT", `${this.name} is no longer there`);
		for (let page = first; page < first + count; page++) {
			const mapping = this.#find(page);
			if (mapping === undefined) throw new Errno("EFAULT", `nothing is mapped at ${hex(page * PAGE_SIZE)}`);
			if (writable && !mapping.writable)
				throw new Errno("EFAULT", `the memory at ${hex(page * PAGE_SIZE)} is not writable`);
			into.add(mapping.backing, mapping.page + page - mapping.first, 1);
		}
	}

	#find(page: number): Mapping | undefined {
		return this.#mappings.find((mapping) => mapping.first <= page && page < mapping.first + mapping.count);
	}

	/** Calls `copy` for each stretch within one page; returns how many bytes were copied before the first that can't be. */
	#each(
		address: number,
		length: number,
		writing: boolean,
		copy: (backing: ArrayBacking, at: number, done: number, length: number) => number,
	): number {
		let done = 0;
		while (done < length) {
			const page = Math.floor((address + done) / PAGE_SIZE);
			const mapping = this.#find(page);
			if (mapping === undefined || (writing && !mapping.writable)) return done;
			const inPage = address + done - page * PAGE_SIZE;
			const piece = Math.min(PAGE_SIZE - inPage, length - done);
			done += copy(mapping.backing, (mapping.page + page - mapping.first) * PAGE_SIZE + inPage, done, piece);
		}
		return done;
	}
}
