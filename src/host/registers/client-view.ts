// Memory as a stopped thread sees it: registers where it has them mapped, its own memory elsewhere.

import { NativeMemory } from "../linux/libc.js";
import { readRemote, writeRemote } from "../memory/remote.js";
import type { ClientMemory } from "./client-memory.js";
import { type Memory, MemoryFault } from "./instruction.js";
import type { BarLayout } from "./layout.js";
import { type RegisterBus, readBus, writeBus } from "./register-bus.js";

const buffer = new NativeMemory(8);
const words = new DataView(buffer.bytes.buffer);

/** No access reaches that far beyond the page that it begins in. */
const USER_ADDRESSES_END = 2n ** 64n - 4096n;

export class ClientView implements Memory {
	readonly #layout: BarLayout;
	readonly #bus: RegisterBus;
	#client: ClientMemory | undefined;
	#thread = 0;

	constructor(layout: BarLayout, bus: RegisterBus) {
		this.#layout = layout;
		this.#bus = bus;
	}

	/** Whose memory it is from now on. */
	become(client: ClientMemory, thread: number): void {
		this.#client = client;
		this.#thread = thread;
	}

	load(address: bigint, size: number): bigint {
		const place = this.#registerAt(address);
		if (place === undefined) return this.#loadOrdinary(address, size);
		if (place.room >= size) return readBus(this.#bus, place.bar, place.offset, size);
		return this.#loadOver(address, size);
	}

	store(address: bigint, size: number, value: bigint): void {
		const place = this.#registerAt(address);
		if (place === undefined) this.#storeOrdinary(address, size, value);
		else if (place.room >= size) writeBus(this.#bus, place.bar, place.offset, size, value);
		else this.#storeOver(address, size, value);
	}

	storeBlock(address: bigint, from: Uint8Array): void {
		const place = this.#registerAt(address);
		if (place !== undefined && place.room >= from.length) {
			this.#bus.writeBlock(place.bar, place.offset, from);
			return;
		}
		for (let at = 0; at < from.length; at++) this.store(address + BigInt(at), 1, BigInt(from[at]));
	}

	/** The register at an address, and how many bytes there are from it to the end of what is mapped there. */
	#registerAt(address: bigint): { bar: number; offset: number; room: number } | undefined {
		if (address > USER_ADDRESSES_END) return undefined;
		const at = Number(address);
		const part = this.#client?.mappings.find(at);
		if (part === undefined) return undefined;
		const fileOffset = part.fileOffset + at - part.start;
		const bar = this.#layout.barAt(fileOffset);
		if (bar === undefined) return undefined;
		if (!this.#bus.isDecoding(bar.bar)) throw new MemoryFault(address);
		if (this.#layout.kindAt(fileOffset) !== "exact") return undefined;
		const offset = fileOffset - bar.fileOffset;
		return { bar: bar.bar, offset, room: Math.min(part.end - at, bar.length - offset) };
	}

	/** Where registers end, or begin, within an access. */
	#loadOver(address: bigint, size: number): bigint {
		let value = 0n;
		for (let at = size - 1; at >= 0; at--) value = (value << 8n) | this.load(address + BigInt(at), 1);
		return value;
	}

	#storeOver(address: bigint, size: number, value: bigint): void {
		for (let at = 0; at < size; at++) this.store(address + BigInt(at), 1, (value >> BigInt(8 * at)) & 0xffn);
	}

	#loadOrdinary(address: bigint, size: number): bigint {
		buffer.bytes.fill(0);
		const length = address > USER_ADDRESSES_END ? 0 : readRemote(this.#thread, Number(address), buffer.address, size);
		if (length !== size) throw new MemoryFault(address);
		return words.getBigUint64(0, true);
	}

	#storeOrdinary(address: bigint, size: number, value: bigint): void {
		words.setBigUint64(0, value, true);
		const length = address > USER_ADDRESSES_END ? 0 : writeRemote(this.#thread, Number(address), buffer.address, size);
		if (length !== size) throw new MemoryFault(address);
	}
}
