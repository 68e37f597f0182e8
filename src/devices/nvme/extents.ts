// Where a command's data lies in the host's memory: stretches, in order.

/** Used again for each command: what PRPs or an SGL say is written into it, and then read. */
export class Extents {
	count = 0;
	/** How many bytes they are together. */
	length = 0;
	/** The page of 4096 bytes that a stretch begins in; NOWHERE for one that is dropped. */
	pages = new Float64Array(256);
	offsets = new Int32Array(256);
	lengths = new Int32Array(256);

	clear(): void {
		this.count = 0;
		this.length = 0;
	}

	/** Adds a stretch; one that goes on where the last one ends is part of it. */
	add(page: number, offset: number, length: number): void {
		const last = this.count - 1;
		this.length += length;
		if (last >= 0 && page !== NOWHERE && this.#endsAt(last, page, offset)) {
			this.lengths[last] += length;
			return;
		}
		if (this.count === this.pages.length) this.#grow();
		this.pages[this.count] = page;
		this.offsets[this.count] = offset;
		this.lengths[this.count] = length;
		this.count++;
	}

	#endsAt(index: number, page: number, offset: number): boolean {
		if (this.pages[index] === NOWHERE) return false;
		const end = this.offsets[index] + this.lengths[index];
		return this.pages[index] + Math.floor(end / 4096) === page && end % 4096 === offset;
	}

	#grow(): void {
		const { pages, offsets, lengths } = this;
		this.pages = new Float64Array(2 * pages.length);
		this.offsets = new Int32Array(2 * pages.length);
		this.lengths = new Int32Array(2 * pages.length);
		this.pages.set(pages);
		this.offsets.set(offsets);
		this.lengths.set(lengths);
	}
}

/** For what a Bit Bucket takes. */
export const NOWHERE = -1;
