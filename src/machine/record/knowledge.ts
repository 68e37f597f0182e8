// What a recording says of memory at any time: for an engine that asks for something earlier than the one that was recorded, or that never
// asked.

import type { Entry, Extent, Name } from "../../trace/record.js";

/** What is behind some pages of memory. */
export interface KnownPages {
	/** The first of them. */
	readonly first: number;
	readonly extent: Extent;
}

export class Knowledge {
	/** By memory, the newest last. */
	readonly #pages = new Map<Name, KnownPages[]>();
	readonly #backings = new Map<Name, string>();

	constructor(entries: Iterable<Entry>) {
		for (const entry of entries) {
			if (entry.kind === "backing") this.#backings.set(entry.id, entry.name);
			if (!("asked" in entry)) continue;
			for (const question of entry.asked ?? [])
				if (question.ask === "pages" && !("errno" in question.is))
					this.#add(question.memory, question.page, question.is);
		}
	}

	#add(memory: Name, first: number, extents: readonly Extent[]): void {
		const known = this.#pages.get(memory) ?? [];
		this.#pages.set(memory, known);
		let at = first;
		for (const extent of extents) {
			known.push({ first: at, extent });
			at += extent[2];
		}
	}

	/** What is behind a page, and those after it. */
	behind(memory: Name, page: number): KnownPages | undefined {
		return this.#pages.get(memory)?.findLast(({ first, extent }) => first <= page && page < first + extent[2]);
	}

	/** What a backing is called, which need not have been used yet. */
	nameOf(backing: Name): string | undefined {
		return this.#backings.get(backing);
	}
}
