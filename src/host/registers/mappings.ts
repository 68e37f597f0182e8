// Where a process has mapped parts of the file: rows of address, length and offset in the file.

/** In bytes. */
export interface MappedPart {
	readonly start: number;
	readonly end: number;
	/** Of its first byte. */
	readonly fileOffset: number;
}

export class Mappings {
	/** In order of addresses, without overlaps. */
	#parts: MappedPart[] = [];

	get parts(): readonly MappedPart[] {
		return this.#parts;
	}

	find(address: number): MappedPart | undefined {
		let [low, high] = [0, this.#parts.length];
		while (low < high) {
			const middle = (low + high) >>> 1;
			if (this.#parts[middle].end <= address) low = middle + 1;
			else high = middle;
		}
		const part = this.#parts[low];
		return part !== undefined && part.start <= address ? part : undefined;
	}

	/** Takes the place of what was mapped there. */
	add(start: number, length: number, fileOffset: number): void {
		this.remove(start, start + length);
		const part = { start, end: start + length, fileOffset };
		const at = this.#parts.findIndex((other) => other.start >= part.end);
		this.#parts.splice(at === -1 ? this.#parts.length : at, 0, part);
	}

	/** @returns what was there */
	remove(start: number, end: number): MappedPart[] {
		const removed: MappedPart[] = [];
		const kept: MappedPart[] = [];
		for (const part of this.#parts) {
			const [first, last] = [Math.max(start, part.start), Math.min(end, part.end)];
			if (first >= last) {
				kept.push(part);
				continue;
			}
			removed.push(cut(part, first, last));
			if (part.start < first) kept.push(cut(part, part.start, first));
			if (last < part.end) kept.push(cut(part, last, part.end));
		}
		this.#parts = kept;
		return removed;
	}

	/** mremap(2): what was at one address is at another now. */
	move(from: number, to: number, length: number): void {
		for (const part of this.remove(from, from + length))
			this.add(part.start - from + to, part.end - part.start, part.fileOffset);
	}
}

function cut(part: MappedPart, start: number, end: number): MappedPart {
	return { start, end, fileOffset: part.fileOffset + start - part.start };
}
