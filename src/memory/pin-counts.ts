// How often each page of a 1 GiB block is pinned.
//
// A count is the sum of three: one for the whole block, one for the page's 2 MiB chunk, one for the page itself. A range is
// counted at the coarsest level that it covers, so pinning a terabyte touches a thousand numbers, and the sum stays right
// even when what was pinned in one piece is unpinned page by page (a lower level's number is then negative).

export const PAGES_PER_CHUNK = 512;
export const CHUNKS_PER_BLOCK = 512;
export const PAGES_PER_BLOCK = PAGES_PER_CHUNK * CHUNKS_PER_BLOCK;

/** Two bytes a page as long as they do. */
type PageCounts = Int16Array | Int32Array;
const INT16_LIMIT = 0x7fff;
/** What a typed array takes besides its items. */
const ARRAY_BYTES = 200;

export class PinCounts {
	#whole = 0;
	#chunks: Int32Array | undefined;
	#pages: (PageCounts | undefined)[] | undefined;
	/** The sum over all pages of the block. */
	total = 0;
	/** What the counts take, in bytes. */
	bytes = 0;

	/** How often `page` (0 to PAGES_PER_BLOCK - 1) is pinned. */
	of(page: number): number {
		const chunk = page >>> 9;
		return this.#whole + (this.#chunks?.[chunk] ?? 0) + (this.#pages?.[chunk]?.[page & 511] ?? 0);
	}

	/** Tells of the pages that are pinned, in order, as stretches; neighbours may come as two. */
	each(tell: (first: number, count: number) => void): void {
		if (this.#chunks === undefined && this.#pages === undefined) {
			if (this.#whole > 0) tell(0, PAGES_PER_BLOCK);
			return;
		}
		for (let chunk = 0; chunk < CHUNKS_PER_BLOCK; chunk++) {
			const first = chunk * PAGES_PER_CHUNK;
			if (this.#pages?.[chunk] !== undefined) {
				for (let page = first; page < first + PAGES_PER_CHUNK; page++) if (this.of(page) > 0) tell(page, 1);
			} else if (this.of(first) > 0) tell(first, PAGES_PER_CHUNK);
		}
	}

	/** Adds `change` to each of `count` pages from `first` on; the range lies within the block. */
	add(first: number, count: number, change: number): void {
		this.total += count * change;
		if (count === PAGES_PER_BLOCK) {
			this.#whole += change;
			return;
		}
		const end = first + count;
		for (let at = first; at < end; ) {
			const chunk = at >>> 9;
			const chunkEnd = Math.min((chunk + 1) << 9, end);
			if (chunkEnd - at === PAGES_PER_CHUNK) this.#addChunk(chunk, change);
			else this.#addPages(chunk, at & 511, chunkEnd - at, change);
			at = chunkEnd;
		}
	}

	#addChunk(chunk: number, change: number): void {
		if (this.#chunks === undefined) {
			this.#chunks = new Int32Array(CHUNKS_PER_BLOCK);
			this.bytes += CHUNKS_PER_BLOCK * 4 + ARRAY_BYTES;
		}
		this.#chunks[chunk] += change;
	}

	#addPages(chunk: number, from: number, count: number, change: number): void {
		if (this.#pages === undefined) {
			this.#pages = new Array(CHUNKS_PER_BLOCK);
			this.bytes += CHUNKS_PER_BLOCK * 8;
		}
		let counts = this.#pages[chunk];
		if (counts === undefined) {
			counts = new Int16Array(PAGES_PER_CHUNK);
			this.bytes += PAGES_PER_CHUNK * 2 + ARRAY_BYTES;
		}
		for (let page = from; page < from + count; page++) {
			const next = counts[page] + change;
			if (Math.abs(next) > INT16_LIMIT && counts instanceof Int16Array) {
				counts = Int32Array.from(counts);
				this.bytes += PAGES_PER_CHUNK * 2;
			}
			counts[page] = next;
		}
		this.#pages[chunk] = counts;
	}
}
