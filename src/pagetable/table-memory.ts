// The simulated physical memory that page tables live in: zeroed tables, each with a physical address of its own, so that
// the entries of a table hold real addresses of real tables. drivers/iommu/iommu-pages.c in Linux.

import { Errno } from "../uapi/errno.js";

/** Tables are addressed in frames of 4 KiB, whatever the granule of the format that they belong to. */
export const TABLE_FRAME_LG2 = 12;

/**
 * 4 GiB: above what a guest of the small machines has as RAM, so that a table and a page of the client are told apart at
 * sight, and below 2^39, so that every format (Sv39, a 39-bit VT-d host address width) can hold it.
 */
const DEFAULT_BASE_FRAME = 1 << (32 - TABLE_FRAME_LG2);
/** 512 GiB - 4 KiB: a table's frame number stays a small integer, and within the 39 bits of the narrowest address. */
const LAST_FRAME = (1 << (39 - TABLE_FRAME_LG2)) - 1;

/** What is behind a frame that holds no table: reading from it gives nothing, and the walk ends. */
const NO_TABLE = new Uint32Array(0);

/** How many freed tables keep their memory, to be zeroed and handed out again, before it goes back to the system. */
const SPARE_TABLES = 4096;

export interface TableMemoryOptions {
	/** Frame of the first table. A multiple of 16, so that the tables of a 64 KiB granule are aligned. */
	baseFrame?: number;
	/** Asked before each allocation; false is "no memory left". Fault injection. */
	mayAllocate?: () => boolean;
}

export class TableMemory {
	readonly baseFrame: number;
	readonly #mayAllocate: () => boolean;
	/** By frame from baseFrame on. A table larger than a frame stands at its first. */
	readonly #tables: Uint32Array[] = [];
	/** By lg2 of the size in bytes: frames whose table was freed. */
	readonly #free: number[][] = [];
	#spare = 0;
	#tablesInUse = 0;
	#bytesInUse = 0;

	constructor(options: TableMemoryOptions = {}) {
		this.baseFrame = options.baseFrame ?? DEFAULT_BASE_FRAME;
		this.#mayAllocate = options.mayAllocate ?? (() => true);
	}

	get tablesInUse(): number {
		return this.#tablesInUse;
	}

	get bytesInUse(): number {
		return this.#bytesInUse;
	}

	/**
	 * A zeroed table of 2^bytesLg2 bytes, aligned to its size.
	 * @returns its frame
	 * @throws ENOMEM
	 */
	allocate(bytesLg2: number): number {
		if (!this.#mayAllocate()) throw new Errno("ENOMEM", `no memory for a page table of ${1 << bytesLg2} bytes`);
		const frame = this.#free[bytesLg2]?.pop() ?? this.#newFrame(bytesLg2);
		const spare = this.#tables[frame - this.baseFrame]!;
		if (spare === NO_TABLE) {
			this.#tables[frame - this.baseFrame] = new Uint32Array(1 << (bytesLg2 - 2));
		} else {
			spare.fill(0);
			this.#spare--;
		}
		this.#tablesInUse++;
		this.#bytesInUse += 1 << bytesLg2;
		return frame;
	}

	/** The words of the table at a frame: entry n is the word 2n (bits 31:0) and the word 2n + 1 (bits 63:32). */
	tableAt(frame: number): Uint32Array {
		return this.#tables[frame - this.baseFrame]!;
	}

	free(frame: number): void {
		const table = this.tableAt(frame);
		const bytesLg2 = 31 - Math.clz32(table.byteLength);
		this.#free[bytesLg2] ??= [];
		this.#free[bytesLg2].push(frame);
		if (this.#spare < SPARE_TABLES) this.#spare++;
		else this.#tables[frame - this.baseFrame] = NO_TABLE;
		this.#tablesInUse--;
		this.#bytesInUse -= table.byteLength;
	}

	#newFrame(bytesLg2: number): number {
		const frames = bytesLg2 <= TABLE_FRAME_LG2 ? 1 : 1 << (bytesLg2 - TABLE_FRAME_LG2);
		const tables = this.#tables;
		// The frames that alignment skips serve later tables of one frame.
		while ((this.baseFrame + tables.length) % frames !== 0) {
			this.#free[TABLE_FRAME_LG2] ??= [];
			this.#free[TABLE_FRAME_LG2].push(this.baseFrame + tables.length);
			tables.push(NO_TABLE);
		}
		const frame = this.baseFrame + tables.length;
		if (frame + frames - 1 > LAST_FRAME)
			throw new Errno("ENOMEM", `page tables fill the 512 GiB below 2^39 that every format can address`);
		for (let n = 0; n < frames; n++) tables.push(NO_TABLE);
		return frame;
	}
}
