// Stretches of consecutive page frames, as one pin or one mapping works on them.

/** Of scattered memory there are as many runs as pages, so what may be large is worked on in pieces of this size. */
export const MOST_RUNS = 4096;

const spare: Runs[] = [];

/** An empty list, and nobody else's until it is given back: what takes long is interrupted by others, who need one, too. */
export function takeRuns(): Runs {
	const runs = spare.pop() ?? new Runs();
	runs.clear();
	return runs;
}

export function giveRunsBack(runs: Runs): void {
	spare.push(runs);
}

/** A growable list of runs in parallel arrays, reused from call to call so that filling it allocates nothing. */
export class Runs {
	/** No more than this are taken in. */
	readonly most: number;
	/** First page frame number of each run (frames of 4096 bytes). */
	frame: Float64Array = new Float64Array(16);
	/** Length of each run in frames. */
	count: Float64Array = new Float64Array(16);
	length = 0;

	constructor(most = MOST_RUNS) {
		this.most = most;
	}

	clear(): void {
		this.length = 0;
	}

	/** Leaves the last one as the only one. */
	keepLast(): void {
		this.frame[0] = this.frame[this.length - 1];
		this.count[0] = this.count[this.length - 1];
		this.length = 1;
	}

	/** Appends a run; one that continues the last run makes it longer instead. @returns false when there is no room for it */
	add(frame: number, count: number): boolean {
		const last = this.length - 1;
		if (last >= 0 && this.frame[last] + this.count[last] === frame) {
			this.count[last] += count;
			return true;
		}
		if (this.length === this.most) return false;
		if (this.length === this.frame.length) this.#grow();
		this.frame[this.length] = frame;
		this.count[this.length] = count;
		this.length++;
		return true;
	}

	#grow(): void {
		const frame = new Float64Array(this.frame.length * 2);
		const count = new Float64Array(this.count.length * 2);
		frame.set(this.frame);
		count.set(this.count);
		this.frame = frame;
		this.count = count;
	}
}
