// The binary form of a recording as a file: a header, then blocks of entries, each of which can be read without the others. The
// headers of the blocks are the index: a reader goes from one to the next, and knows which entries and calls are in each.
//
//   file    89 "IOASIS" 0a, then u32 version, u32 0
//   block   u32 bytes, u32 CRC-32 of them, u32 entries, u32 calls; then the entries: how long each is, and its bytes
//
// Little-endian. As long as a block grows its four numbers are 0: so is the last one's of a run that was killed.

import { BadBytes, ByteReader, ByteWriter } from "../../trace/bytes.js";
import { type Entry, isCall } from "../../trace/record.js";
import { crc32 } from "./crc32.js";
import { EntryReader, EntryWriter, isCallByte } from "./entry-bytes.js";
import { BadEntry } from "./limits.js";

/** Of both forms: changes when older ones of us can't read what newer ones write. */
export const RECORD_VERSION = 3;

const MAGIC = Uint8Array.of(0x89, 0x49, 0x4f, 0x41, 0x53, 0x49, 0x53, 0x0a);
const FILE_HEADER = 16;
const BLOCK_HEADER = 16;
/** A block ends with the first entry that ends beyond this, in bytes. */
const BLOCK = 64 * 1024;

/** Whether some file is a recording in binary form. */
export function isBinary(file: Uint8Array): boolean {
	return MAGIC.every((byte, i) => file[i] === byte);
}

/** Gets a frame: the first `length` bytes, which are the caller's again afterwards. */
export type PutFrame = (bytes: Uint8Array, length: number) => void;

/** Entries as they come, made bytes: one frame each, and an empty one where a block ends. */
export class EntryFrames {
	readonly #put: PutFrame;
	readonly #bytes = new ByteWriter();
	readonly #entries = new EntryWriter(this.#bytes);
	#length = 0;

	constructor(put: PutFrame) {
		this.#put = put;
	}

	write(entry: Entry): void {
		const writer = this.#bytes;
		writer.clear();
		this.#entries.write(entry);
		this.#put(writer.bytes, writer.length);
		this.#length += writer.length;
		if (this.#length < BLOCK) return;
		this.#length = 0;
		this.#entries.clear();
		this.#put(writer.bytes, 0);
	}
}

/** A file, as far as one is needed. */
export interface RecordingFile {
	append(bytes: Uint8Array): void;
	replace(at: number, bytes: Uint8Array): void;
}

/** Makes blocks of frames, and writes them. What was added is in the file after the next flush(). */
export class BlockWriter {
	readonly #file: RecordingFile;
	readonly #pending = new ByteWriter();
	/** Where the block that grows begins in the file. */
	#begin = FILE_HEADER;
	#length = 0;
	#crc = 0;
	#entries = 0;
	#calls = 0;

	constructor(file: RecordingFile) {
		this.#file = file;
		const header = new Uint8Array(FILE_HEADER);
		header.set(MAGIC);
		new DataView(header.buffer).setUint32(MAGIC.length, RECORD_VERSION, true);
		file.append(header);
	}

	/** @param frame of EntryFrames */
	add(frame: Uint8Array): void {
		if (frame.length === 0) {
			this.#end();
			return;
		}
		const pending = this.#pending;
		if (this.#entries === 0) pending.raw(new Uint8Array(BLOCK_HEADER));
		const from = pending.length;
		pending.block(frame);
		this.#crc = crc32(pending.bytes.subarray(from, pending.length), this.#crc);
		this.#length += pending.length - from;
		this.#entries++;
		if (isCallByte(frame[0])) this.#calls++;
	}

	flush(): void {
		if (this.#pending.length > 0) this.#file.append(this.#pending.bytes.subarray(0, this.#pending.length));
		this.#pending.clear();
	}

	/** All that there is. */
	finish(): void {
		this.#end();
	}

	#end(): void {
		if (this.#entries === 0) return;
		const header = new DataView(new ArrayBuffer(BLOCK_HEADER));
		const numbers = [this.#length, this.#crc, this.#entries, this.#calls];
		for (const [i, number] of numbers.entries()) header.setUint32(4 * i, number, true);
		// Where nothing of it is in the file yet, it may be one that is only appended to.
		if (this.#pending.length === BLOCK_HEADER + this.#length) {
			this.#pending.bytes.set(new Uint8Array(header.buffer));
			this.flush();
		} else {
			this.flush();
			this.#file.replace(this.#begin, new Uint8Array(header.buffer));
		}
		this.#begin += BLOCK_HEADER + this.#length;
		this.#length = this.#crc = this.#entries = this.#calls = 0;
	}
}

/** A file in memory. */
export class FileInMemory implements RecordingFile {
	readonly #bytes = new ByteWriter();

	append(bytes: Uint8Array): void {
		this.#bytes.raw(bytes);
	}

	replace(at: number, bytes: Uint8Array): void {
		this.#bytes.bytes.set(bytes, at);
	}

	get bytes(): Uint8Array {
		return this.#bytes.bytes.slice(0, this.#bytes.length);
	}
}

export function binaryOf(entries: Iterable<Entry>): Uint8Array {
	const file = new FileInMemory();
	const blocks = new BlockWriter(file);
	const frames = new EntryFrames((bytes, length) => blocks.add(bytes.subarray(0, length)));
	for (const entry of entries) frames.write(entry);
	blocks.finish();
	return file.bytes;
}

/** Where a block is, and what is in it. */
interface Block {
	readonly from: number;
	readonly to: number;
	readonly firstEntry: number;
	readonly firstCall: number;
	readonly entries: number;
	readonly calls: number;
}

/** Blocks whose entries are kept. */
const MOST_KEPT = 64;

/** The entries of a recording in binary form. Those of a block are decoded when the first of them is asked for. */
export class BinaryEntries {
	readonly #file: Uint8Array;
	readonly #blocks: Block[] = [];
	readonly #kept = new Map<Block, readonly Entry[]>();
	/** The one that was asked for last. */
	#last: Block | undefined;
	#lastEntries: readonly Entry[] = [];
	readonly length: number;
	readonly calls: number;
	/** Whether it ends in the middle of an entry, which isn't among them. */
	readonly isCut: boolean;

	/** @throws BadEntry for what is damaged beyond what the end of a run can do */
	constructor(bytes: Uint8Array) {
		// A Buffer of Node's would give views where an array gives copies.
		const file = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
		this.#file = file;
		const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
		if (file.length < FILE_HEADER) throw new BadEntry("this is not a recording: it ends in its header");
		const version = view.getUint32(MAGIC.length, true);
		if (version !== RECORD_VERSION)
			throw new BadEntry(`this is of version ${version}, and this ioasis reads version ${RECORD_VERSION}`);
		let [entries, calls, isCut] = [0, 0, false];
		for (let at = FILE_HEADER; at < file.length; ) {
			if (file.length - at < BLOCK_HEADER) {
				isCut = true;
				break;
			}
			const [length, crc, count, called] = [0, 4, 8, 12].map((offset) => view.getUint32(at + offset, true));
			const from = at + BLOCK_HEADER;
			const place = { from, firstEntry: entries, firstCall: calls };
			// It grew when the run was killed, or the file was cut off later.
			const isEnded = length > 0 && from + length <= file.length;
			const block = isEnded ? { ...place, to: from + length, entries: count, calls: called } : this.#wholeOf(place);
			if (isEnded && crc32(file.subarray(from, block.to)) !== crc)
				throw new BadEntry(`block ${this.#blocks.length + 1} isn't what was written: its checksum is another`);
			// Each entry takes two bytes at least.
			if (block.calls > block.entries || 2 * block.entries > block.to - from)
				throw new BadEntry(
					`block ${this.#blocks.length + 1} can't have ${block.entries} entries, ${block.calls} of them calls`,
				);
			this.#blocks.push(block);
			entries += block.entries;
			calls += block.calls;
			isCut = !isEnded && (block.to < file.length || length > 0);
			at = isEnded ? block.to : file.length;
		}
		this.length = entries;
		this.calls = calls;
		this.isCut = isCut;
	}

	/** A block that isn't ended: as many entries as are whole. */
	#wholeOf(place: Pick<Block, "from" | "firstEntry" | "firstCall">): Block {
		const reader = new ByteReader(this.#file, place.from);
		let [entries, calls, to] = [0, 0, place.from];
		try {
			while (reader.left > 0) {
				const frame = reader.block();
				if (frame.length === 0) break;
				entries++;
				if (isCallByte(frame[0])) calls++;
				to = reader.at;
			}
		} catch (error) {
			if (!(error instanceof BadBytes)) throw error; // It ends in the middle of one.
		}
		return { ...place, to, entries, calls };
	}

	/** @param index from 0 @throws BadEntry */
	at(index: number): Entry {
		let block = this.#last;
		if (block === undefined || index < block.firstEntry || index >= block.firstEntry + block.entries) {
			block = this.#blocks.findLast(({ firstEntry, entries }) => firstEntry <= index && entries > 0)!;
			this.#lastEntries = this.#entriesOf(block);
			this.#last = block;
		}
		return this.#lastEntries[index - block.firstEntry];
	}

	/** @param call from 1 @returns from 0 */
	indexOfCall(call: number): number {
		const block = this.#blocks.findLast(({ firstCall, calls }) => firstCall < call && calls > 0)!;
		let left = call - block.firstCall;
		return block.firstEntry + this.#entriesOf(block).findIndex((entry) => isCall(entry) && --left === 0);
	}

	#entriesOf(block: Block): readonly Entry[] {
		const kept = this.#kept.get(block);
		if (kept !== undefined) return kept;
		const entries = this.#decode(block);
		const [oldest] = this.#kept.keys();
		if (this.#kept.size === MOST_KEPT) this.#kept.delete(oldest);
		this.#kept.set(block, entries);
		return entries;
	}

	#decode({ from, to, firstEntry, entries: count, calls }: Block): readonly Entry[] {
		const reader = new ByteReader(this.#file, from, to);
		const decoder = new EntryReader(reader);
		const entries: Entry[] = [];
		try {
			while (entries.length < count) {
				const length = reader.number();
				if (length > reader.left) throw new BadBytes("it ends too early");
				const end = reader.at + length;
				entries.push(decoder.read());
				if ((entries.at(-1)!.kind === "start") !== (firstEntry + entries.length === 1))
					throw new BadBytes("a recording begins here, or doesn't where it should");
				if (reader.at !== end) throw new BadBytes("it isn't as long as it says");
			}
			if (reader.left > 0) throw new BadBytes("its block has more than it says");
		} catch (error) {
			if (!(error instanceof BadBytes)) throw error;
			throw new BadEntry(error.message, firstEntry + entries.length);
		}
		if (entries.filter(isCall).length !== calls)
			throw new BadEntry(`its block has not the ${calls} calls that it says`, firstEntry);
		return entries;
	}
}
