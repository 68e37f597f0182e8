// How much memory clients may have us use, as a memory cgroup limits it in Linux: whatever they ask for is charged before it is made,
// and given back when it goes. What is charged is what we need for it, in the heap of the JavaScript engine and outside.

import { Errno } from "../uapi/errno.js";

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"] as const;

/** In bytes: what clients of the library may use, where nobody has said otherwise. */
export const USUAL_LIMIT = 2 ** 30;

/** One part of what is used: that of page tables, of areas, and so on. */
export class Share {
	/** For people: "page tables". */
	readonly what: string;
	readonly #budget: MemoryBudget;
	/** In bytes, at the moment. */
	#used = 0;

	constructor(budget: MemoryBudget, what: string) {
		this.#budget = budget;
		this.what = what;
	}

	get used(): number {
		return this.#used;
	}

	/**
	 * Takes some of the budget.
	 * @param bytes 0 or more
	 * @throws ENOMEM when there is less left; nothing is taken then
	 */
	charge(bytes: number): void {
		this.#budget.take(bytes, this);
		this.#used += bytes;
	}

	/** @throws ENOMEM when this share can't have so much in all, whatever it has already */
	requireRoom(bytes: number): void {
		this.#budget.requireRoom(bytes, this);
	}

	/** Takes more, or less, for what is there already, and can't fail. */
	adjust(bytes: number): void {
		this.#budget.giveBack(-bytes);
		this.#used += bytes;
	}

	/** Gives back what has been taken. */
	uncharge(bytes: number): void {
		this.#budget.giveBack(bytes);
		this.#used -= bytes;
	}
}

export class MemoryBudget {
	/** In bytes. */
	readonly limit: number;
	#used = 0;

	readonly #shares: Share[] = [];
	/** Memory that tables lie in, whether there is a table at each place of it or not. */
	readonly pageTables = this.#share("page tables");
	/** Areas of IOASes, and what they are mapped to. */
	readonly areas = this.#share("areas");
	/** Which pages are pinned, how often, and who has pinned them. */
	readonly pins = this.#share("pinned pages");
	/** Allowed and reserved ranges of IOVA. */
	readonly ranges = this.#share("ranges of IOVA");
	/** Objects with an id, and open files. */
	readonly objects = this.#share("objects and files");
	/** What waits in queues to be read. */
	readonly events = this.#share("events");
	/** Pinned memory of processes that have ended. */
	readonly kept = this.#share("memory of processes that have ended");

	/** @param limit in bytes */
	constructor(limit = USUAL_LIMIT) {
		this.limit = limit;
	}

	#share(what: string): Share {
		const share = new Share(this, what);
		this.#shares.push(share);
		return share;
	}

	/** In bytes, at the moment. */
	get used(): number {
		return this.#used;
	}

	/** What a Share does. @throws ENOMEM */
	take(bytes: number, share: Share): void {
		if (this.#used + bytes > this.limit) throw this.#exhausted(bytes, share);
		this.#used += bytes;
	}

	/** What a Share does. @throws ENOMEM */
	requireRoom(bytes: number, share: Share): void {
		if (this.#used - share.used + bytes > this.limit) throw this.#exhausted(bytes, share);
	}

	giveBack(bytes: number): void {
		this.#used -= bytes;
	}

	#exhausted(bytes: number, { what }: Share): Errno {
		const largest = this.#shares.reduce((one, other) => (other.used > one.used ? other : one));
		return new Errno(
			"ENOMEM",
			`the memory budget is used up: of ${inWords(this.limit)} (the option --memory) ${inWords(this.#used)} are in use, most of it for ${largest.what} (${inWords(largest.used)}), and ${inWords(bytes)} for ${what} don't fit`,
			"memory-budget",
		);
	}
}

/** "1.5 GiB" */
export function inWords(bytes: number): string {
	let unit = 0;
	let number = bytes;
	for (; number >= 1024 && unit < UNITS.length - 1; unit++) number /= 1024;
	const rounded = Number.isInteger(number) ? number : number.toFixed(1);
	return `${rounded} ${bytes === 1 ? "byte" : UNITS[unit]}`;
}
