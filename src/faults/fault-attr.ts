// How often something fails, and whose: struct fault_attr and should_fail_ex() in lib/fault-inject.c; mm/failslab.c and
// mm/fail_page_alloc.c for what they leave alone. Documentation/fault-injection/fault-injection.rst says what each number means.

import type { FaultKind } from "./faults.js";

/** A thread, as far as faults go. */
export interface FaultyTask {
	/** The place that fails, counted from here; 0 for none. It counts down. */
	failNth: number;
}

/** Bytes of an allocation, for `space`: of small ones nobody knows here how large Linux makes them. */
const SIZES: { readonly [kind in FaultKind]: number } = { failslab: 64, fail_page_alloc: 4096, fail_iommufd: 1 };

export class FaultAttr {
	readonly kind: FaultKind;
	/** How many of a hundred fail. */
	probability = 0;
	/** Only every so manieth is a candidate. */
	interval = 1;
	/** How many more may fail; -1: all. */
	times = 1;
	/** How many bytes are allocated before the first one fails. */
	space = 0;
	/** How much the kernel says of it. We say it in the trace. */
	verbose = 2;
	verboseRatelimitInterval = 0;
	verboseRatelimitBurst = 10;
	/** Only tasks that ask for it in /proc/PID/make-it-fail, which none can here. */
	taskFilter = false;
	/** Leaves allocations alone that can wait for memory. All that are made in a call can. */
	ignoreGfpWait = true;
	/** Leaves alone what is for user space, which none of these allocations is. */
	ignoreGfpHighmem = true;
	/** lg2 of the pages of the smallest allocation of pages that fails. All of ours are of one. */
	minOrder = 1;
	#count = 0;

	constructor(kind: FaultKind) {
		this.kind = kind;
	}

	/**
	 * Whether a place that a task comes by fails.
	 * @param random from 0 to less than 1
	 */
	shouldFail(task: FaultyTask | undefined, random: () => number = Math.random): boolean {
		if (this.#leavesAlone()) return false;
		if (task !== undefined && task.failNth > 0) {
			task.failNth--;
			if (task.failNth > 0) return false;
		} else if (!this.#isDue(random)) return false;
		if (this.times > 0) this.times--;
		return true;
	}

	#leavesAlone(): boolean {
		if (this.kind === "fail_iommufd") return false;
		return this.ignoreGfpWait || (this.kind === "fail_page_alloc" && this.minOrder > 0);
	}

	#isDue(random: () => number): boolean {
		if (this.probability === 0 || this.taskFilter || this.times === 0) return false;
		const size = SIZES[this.kind];
		if (this.space > size) {
			this.space -= size;
			return false;
		}
		if (this.interval > 1 && ++this.#count % this.interval !== 0) return false;
		return Math.floor(random() * 100) < this.probability;
	}
}
