// Where in the file that programs map a function's BARs lie, and how each page behaves there.

import type { PageBehaviour } from "../../devices/endpoint.js";
import { PAGE_SIZE } from "../../memory/address-space.js";

/** A BAR in the file. Offsets and lengths are in bytes, and whole pages. */
export interface MappableBar {
	readonly bar: number;
	/** Of its first byte. */
	readonly fileOffset: number;
	readonly length: number;
}

export type PageKind = "exact" | PageBehaviour["kind"];

/** Pages of one kind that follow each other in the file. */
export interface Stretch {
	readonly kind: PageKind;
	readonly start: number;
	readonly end: number;
}

export class BarLayout {
	readonly bars: readonly MappableBar[];
	/** In order, without overlaps. */
	readonly #stretches: readonly Stretch[];

	/** @throws Error when pages overlap, or aren't whole pages of a BAR */
	constructor(bars: readonly MappableBar[], pages: readonly PageBehaviour[]) {
		this.bars = [...bars].sort((one, other) => one.fileOffset - other.fileOffset);
		this.#stretches = this.bars.flatMap((bar) =>
			stretchesOf(
				bar,
				pages.filter((page) => page.bar === bar.bar),
			),
		);
	}

	/** The BAR that a byte of the file belongs to. */
	barAt(fileOffset: number): MappableBar | undefined {
		return this.bars.find((bar) => bar.fileOffset <= fileOffset && fileOffset < bar.fileOffset + bar.length);
	}

	/** The kind of the page that a byte of the file is in. */
	kindAt(fileOffset: number): PageKind | undefined {
		return this.#stretches.find(({ start, end }) => start <= fileOffset && fileOffset < end)?.kind;
	}

	/** What there is of the file from one byte to another. */
	stretches(start: number, end: number): Stretch[] {
		return this.#stretches
			.filter((stretch) => stretch.start < end && start < stretch.end)
			.map(({ kind, ...whole }) => ({
				kind,
				start: Math.max(start, whole.start),
				end: Math.min(end, whole.end),
			}));
	}

	/** All pages of one kind. */
	ofKind(kind: PageKind): Stretch[] {
		return this.#stretches.filter((stretch) => stretch.kind === kind);
	}
}

function stretchesOf({ bar, fileOffset, length }: MappableBar, pages: readonly PageBehaviour[]): Stretch[] {
	const stretches: Stretch[] = [];
	const whole = Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
	let at = 0;
	const exactUpTo = (end: number) => {
		if (at < end) stretches.push({ kind: "exact", start: fileOffset + at, end: fileOffset + end });
	};
	for (const page of [...pages].sort((one, other) => one.offset - other.offset)) {
		const end = page.offset + page.length;
		if (page.offset % PAGE_SIZE !== 0 || page.length % PAGE_SIZE !== 0 || page.offset < at || end > whole)
			throw new Error(`BAR ${bar} has no such pages: ${page.kind} at ${page.offset}, ${page.length} bytes`);
		exactUpTo(page.offset);
		stretches.push({ kind: page.kind, start: fileOffset + page.offset, end: fileOffset + end });
		at = end;
	}
	exactUpTo(whole);
	return stretches;
}
