// A set of logical blocks of a namespace, as bits: those that Write Uncorrectable has marked.

/** Blocks that one piece of bits is about. */
const PIECE = 32768;

export class BlockSet {
	/** Only pieces that have something in them. */
	readonly #pieces = new Map<number, Uint32Array>();

	get isEmpty(): boolean {
		return this.#pieces.size === 0;
	}

	/** Puts `count` blocks in, from `first` on. */
	add(first: number, count: number): void {
		eachWord(first, count, (piece, word, mask) => {
			let bits = this.#pieces.get(piece);
			if (bits === undefined) {
				bits = new Uint32Array(PIECE / 32);
				this.#pieces.set(piece, bits);
			}
			bits[word] |= mask;
		});
	}

	delete(first: number, count: number): void {
		if (this.isEmpty) return;
		const touched = new Set<number>();
		eachWord(first, count, (piece, word, mask) => {
			const bits = this.#pieces.get(piece);
			if (bits === undefined) return;
			bits[word] &= ~mask;
			touched.add(piece);
		});
		for (const piece of touched) if (this.#pieces.get(piece)!.every((bits) => bits === 0)) this.#pieces.delete(piece);
	}

	/** The first of `count` blocks, from `first` on, that is in it. */
	find(first: number, count: number): number | undefined {
		if (this.isEmpty) return undefined;
		let found: number | undefined;
		eachWord(first, count, (piece, word, mask) => {
			const bits = (this.#pieces.get(piece)?.[word] ?? 0) & mask;
			if (bits !== 0) found ??= piece * PIECE + word * 32 + (31 - Math.clz32(bits & -bits));
		});
		return found;
	}

	clear(): void {
		this.#pieces.clear();
	}

	/** Its blocks as ranges, in order: the first of each, and how many. */
	ranges(): [first: number, count: number][] {
		const ranges: [number, number][] = [];
		for (const piece of [...this.#pieces.keys()].sort((a, b) => a - b))
			for (const [word, bits] of this.#pieces.get(piece)!.entries()) {
				if (bits === 0) continue;
				for (let bit = 0; bit < 32; bit++) {
					if ((bits & (1 << bit)) === 0) continue;
					const block = piece * PIECE + word * 32 + bit;
					const last = ranges.at(-1);
					if (last !== undefined && last[0] + last[1] === block) last[1]++;
					else ranges.push([block, 1]);
				}
			}
		return ranges;
	}
}

/** Goes through the words of bits that blocks are in. */
function eachWord(first: number, count: number, action: (piece: number, word: number, mask: number) => void): void {
	for (let block = first; block < first + count; ) {
		const bit = block % 32;
		const bits = Math.min(32 - bit, first + count - block);
		const mask = bits === 32 ? -1 : ((1 << bits) - 1) << bit;
		action(Math.floor(block / PIECE), Math.floor((block % PIECE) / 32), mask);
		block += bits;
	}
}
