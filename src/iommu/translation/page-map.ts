// A map from whole numbers to what an IOMMU keeps of a page: where it leads, and a few bits. In arrays of numbers rather than
// a Map of objects: a look-up touches one line of memory, and leaves nothing for the garbage collector.
// Open addressing with linear probing, at most half full (Knuth, The Art of Computer Programming 3, 6.4).

const EMPTY = -1;
const FEWEST_SLOTS_LG2 = 4;
/** So many are emptied sooner than arrays are made anew. */
const CLEARED_SLOTS_LG2 = 6;

export class PageMap {
	#count = 0;
	#slotsLg2 = FEWEST_SLOTS_LG2;
	/** By slot: the key, and where it leads. */
	#slots = emptySlots(FEWEST_SLOTS_LG2);
	#bits = new Uint8Array(1 << FEWEST_SLOTS_LG2);

	get count(): number {
		return this.#count;
	}

	/** The slot of a key, good until the map is changed; -1 if it isn't there. */
	find(key: number): number {
		const slots = this.#slots;
		const last = (slots.length >>> 1) - 1;
		for (let slot = this.#home(key); ; slot = (slot + 1) & last) {
			const found = slots[2 * slot]!;
			if (found === key) return slot;
			if (found === EMPTY) return -1;
		}
	}

	targetAt(slot: number): number {
		return this.#slots[2 * slot + 1]!;
	}

	bitsAt(slot: number): number {
		return this.#bits[slot]!;
	}

	/** @param bits eight of them */
	set(key: number, target: number, bits: number): void {
		if (2 * (this.#count + 1) > this.#bits.length) this.#grow();
		const slot = this.#slotFor(key);
		if (this.#slots[2 * slot] === EMPTY) this.#count++;
		this.#store(slot, key, target, bits);
	}

	delete(key: number): void {
		let hole = this.find(key);
		if (hole < 0) return;
		this.#count--;
		// What was put behind it because its place was taken moves up, or a search would end at the hole.
		const slots = this.#slots;
		const last = this.#bits.length - 1;
		for (let slot = (hole + 1) & last; slots[2 * slot] !== EMPTY; slot = (slot + 1) & last) {
			const home = this.#home(slots[2 * slot]!);
			if (((slot - home) & last) < ((slot - hole) & last)) continue;
			this.#store(hole, slots[2 * slot]!, slots[2 * slot + 1]!, this.#bits[slot]!);
			hole = slot;
		}
		slots[2 * hole] = EMPTY;
	}

	clear(): void {
		if (this.#count === 0) return;
		this.#count = 0;
		if (this.#slotsLg2 <= CLEARED_SLOTS_LG2) {
			for (let at = 0; at < this.#slots.length; at += 2) this.#slots[at] = EMPTY; // fill() is for longer arrays
			return;
		}
		this.#slotsLg2 = FEWEST_SLOTS_LG2;
		this.#slots = emptySlots(FEWEST_SLOTS_LG2);
		this.#bits = new Uint8Array(1 << FEWEST_SLOTS_LG2);
	}

	/** All keys, in any order. */
	keys(): number[] {
		const keys: number[] = [];
		for (let at = 0; at < this.#slots.length; at += 2) if (this.#slots[at] !== EMPTY) keys.push(this.#slots[at]!);
		return keys;
	}

	/** The slot of a key, or the one that it may have. */
	#slotFor(key: number): number {
		const slots = this.#slots;
		const last = this.#bits.length - 1;
		let slot = this.#home(key);
		while (slots[2 * slot] !== key && slots[2 * slot] !== EMPTY) slot = (slot + 1) & last;
		return slot;
	}

	/** Where a key is to be found, unless another one is there: the golden ratio scatters neighbours. */
	#home(key: number): number {
		const folded = key ^ (key * 2 ** -32);
		return Math.imul(folded, 0x9e3779b1) >>> (32 - this.#slotsLg2);
	}

	#store(slot: number, key: number, target: number, bits: number): void {
		this.#slots[2 * slot] = key;
		this.#slots[2 * slot + 1] = target;
		this.#bits[slot] = bits;
	}

	#grow(): void {
		const slots = this.#slots;
		const bits = this.#bits;
		this.#slotsLg2++;
		this.#slots = emptySlots(this.#slotsLg2);
		this.#bits = new Uint8Array(1 << this.#slotsLg2);
		for (let at = 0; at < bits.length; at++)
			if (slots[2 * at] !== EMPTY)
				this.#store(this.#slotFor(slots[2 * at]!), slots[2 * at]!, slots[2 * at + 1]!, bits[at]!);
	}
}

function emptySlots(lg2: number): Float64Array {
	return new Float64Array(2 << lg2).fill(EMPTY);
}
