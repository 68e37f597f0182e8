// The numbers by which an IOMMU tags what it caches: domain IDs, ASIDs, VMIDs, PSCIDs.

import { Errno, type ErrnoCode } from "../../uapi/errno.js";

export class IdPool {
	readonly #what: string;
	readonly #first: number;
	readonly #last: number;
	readonly #whenTaken: ErrnoCode;
	readonly #taken = new Set<number>();
	/** No number below this one is free. */
	#lowestFree: number;

	/**
	 * @param what for the reason: "domain IDs of amd"
	 * @param whenTaken what the driver answers when there are no more
	 */
	constructor(what: string, first: number, last: number, whenTaken: ErrnoCode) {
		this.#what = what;
		this.#first = first;
		this.#last = last;
		this.#lowestFree = first;
		this.#whenTaken = whenTaken;
	}

	/**
	 * The lowest number that is free.
	 * @param whenTaken what is answered when there is none
	 */
	allocate(whenTaken = this.#whenTaken): number {
		let id = this.#lowestFree;
		while (this.#taken.has(id)) id++;
		if (id > this.#last) throw new Errno(whenTaken, `all ${this.#last - this.#first + 1} ${this.#what} are taken`);
		this.#taken.add(id);
		this.#lowestFree = id + 1;
		return id;
	}

	/** Makes something that has a number of its own; when that fails the number is free again. */
	allocateFor<T>(make: (id: number) => T): T {
		const id = this.allocate();
		try {
			return make(id);
		} catch (error) {
			this.free(id);
			throw error;
		}
	}

	free(id: number): void {
		this.#taken.delete(id);
		this.#lowestFree = Math.min(this.#lowestFree, id);
	}
}
