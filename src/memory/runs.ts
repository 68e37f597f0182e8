// Stretches of consecutive page frames, as one pin or one mapping works on them.

/** A growable list of runs in parallel arrays, reused from call to call so that filling it allocates nothing. */
export class Runs {
	/** First page frame number of each run (frames of 4096 bytes). */
	frame: Float64Array = new Float64Array(16);
	/** Length of each run in frames. */
	count: Float64Array = new Float64Array(16);
	length = 0;

	clear(): void {
		this.length = 0;
	}

	/** Appends a run; one that continues the last run makes it longer instead. */
	add(frame: number, count: number): void {
		const last = this.length - 1;
		if (last >= 0 && this.frame[last] + this.count[last] === frame) {
			this.count[last] += count;
			return;
		}
		if (this.length === this.frame.length) this.#grow();
		this.frame[this.length] = frame;
		this.count[this.length] = count;
		this.length++;
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
