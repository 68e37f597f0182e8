// What was mapped and unmapped of late in the address spaces of devices, and by which calls: for whoever asks why a DMA led nowhere.
// It is always kept, so that nobody has to have asked before. A change costs a few stores; the oldest ones are forgotten.

import type { PagingDomain } from "../core/iommu.js";

/** So many changes are remembered. */
const KEPT = 2 ** 16;

/** Something that devices' addresses are mapped in: an IOAS, a container. */
export interface AddressMap {
	/** "IOAS 2" */
	readonly name: string;
	/** What shows it to devices. */
	readonly domains: readonly PagingDomain[];
	/** What is mapped next to an IOVA, in bytes: the last that begins at or before it, the first that begins after it. */
	nearest(iova: bigint): { readonly below: Range | undefined; readonly above: Range | undefined };
}

/** IOVAs, in bytes. */
export interface Range {
	readonly first: bigint;
	readonly last: bigint;
}

/** A call that a program makes, as far as it is known. */
export interface Cause {
	/** Which of the program's calls it was, counted from 1; 0 for no call: a process that ended, a file that was closed. */
	readonly call: number;
	/** Thread id. */
	readonly thread: number;
	/** The ioctl's number. */
	readonly command: number;
}

/** Something was mapped, or unmapped. */
export interface Change extends Range, Cause {
	readonly isUnmap: boolean;
}

export class MappingHistory {
	/** The address maps that there are. */
	readonly #maps = new Map<AddressMap, number>();
	#nextMap = 1;
	/** The call that is being answered. */
	#call = 0;
	#thread = 0;
	#command = 0;
	// A ring, made with the first change.
	#ring: { readonly iovas: BigUint64Array; readonly words: Uint32Array } | undefined;
	#made = 0;

	/** A call begins. */
	begin(call: number, thread: number, command: number): void {
		this.#call = call;
		this.#thread = thread;
		this.#command = command;
	}

	/** It is over: what is done from now on is nobody's call. */
	end(): void {
		this.#call = 0;
	}

	/**
	 * The call is interrupted for others, and for what is nobody's call.
	 * @returns what to begin() with when it goes on
	 */
	interrupt(): Cause {
		const cause = { call: this.#call, thread: this.#thread, command: this.#command };
		this.#call = 0;
		return cause;
	}

	add(map: AddressMap): void {
		this.#maps.set(map, this.#nextMap++);
	}

	remove(map: AddressMap): void {
		this.#maps.delete(map);
	}

	/** @param first in bytes, as the last */
	mapped(map: AddressMap, first: bigint, last: bigint): void {
		this.#note(map, first, last, 0);
	}

	/** Whatever was mapped from first to last isn't any more. */
	unmapped(map: AddressMap, first: bigint, last: bigint): void {
		this.#note(map, first, last, 1);
	}

	#note(map: AddressMap, first: bigint, last: bigint, isUnmap: number): void {
		this.#ring ??= { iovas: new BigUint64Array(KEPT * 2), words: new Uint32Array(KEPT * WORDS) };
		const { iovas, words } = this.#ring;
		const place = this.#made++ % KEPT;
		iovas[place * 2] = first;
		iovas[place * 2 + 1] = last;
		const at = place * WORDS;
		words[at + MAP] = this.#maps.get(map) ?? 0;
		words[at + CALL] = this.#call;
		words[at + THREAD] = this.#thread;
		words[at + COMMAND] = this.#command;
		words[at + IS_UNMAP] = isUnmap;
	}

	/** What a domain shows; undefined where that isn't known. */
	shownBy(domain: PagingDomain): AddressMap | undefined {
		for (const map of this.#maps.keys()) if (map.domains.includes(domain)) return map;
		return undefined;
	}

	/** The changes of a map that an IOVA lay in, the newest first, as far as they are remembered. */
	*changesAt(map: AddressMap, iova: bigint): Iterable<Change> {
		const number = this.#maps.get(map) ?? 0;
		if (this.#ring === undefined) return;
		const { iovas, words } = this.#ring;
		for (let back = 1; back <= Math.min(this.#made, KEPT); back++) {
			const place = (this.#made - back) % KEPT;
			const at = place * WORDS;
			if (words[at + MAP] !== number) continue;
			const first = iovas[place * 2];
			const last = iovas[place * 2 + 1];
			if (iova < first || iova > last) continue;
			yield {
				...{ first, last, isUnmap: words[at + IS_UNMAP] === 1 },
				...{ call: words[at + CALL], thread: words[at + THREAD], command: words[at + COMMAND] },
			};
		}
	}
}

/** Where what is in the words of one change. */
const [MAP, CALL, THREAD, COMMAND, IS_UNMAP, WORDS] = [0, 1, 2, 3, 4, 5];
