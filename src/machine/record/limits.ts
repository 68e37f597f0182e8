// What the numbers of a recording can be, and what of it can't be together. A recording comes from anywhere: whoever reads one, in
// whatever form, believes nothing beyond this.

import { LONGEST_STRUCT } from "../../memory/watched-struct.js";
import type { Question } from "../../trace/record.js";

export const LAST_EXACT = Number.MAX_SAFE_INTEGER;
export const LAST_U32 = 2 ** 32 - 1;
/** Also of lengths: no call transfers more than MAX_RW_COUNT. */
export const LAST_INT = 2 ** 31 - 1;
/** Addresses near the end of 64 bits are rounded to it. */
export const LAST_ADDRESS = 2 ** 64;
/** Of an ioctl's struct, in bytes. */
export const LAST_STRUCT = LONGEST_STRUCT;
/** Of what is counted in microseconds: three hundred years, which a double holds exactly. */
export const LAST_TIME = 2 ** 53 - 1;

/** What is wrong with an entry: in words, and without its place. */
export class BadEntry extends Error {
	/** Which one, from 0; undefined for the one that is being looked at. */
	readonly index: number | undefined;

	constructor(message: string, index?: number) {
		super(message);
		this.index = index;
	}
}

/** What a question has that can't be together; undefined for nothing. */
export function whatDoesntFit(question: Question): string | undefined {
	switch (question.ask) {
		case "read":
		case "dma read":
			return question.bytes.length > question.length ? "there are more bytes than were asked for" : undefined;
		case "write":
		case "dma write":
			return (question.done ?? 0) > question.bytes.length ? "more is done than there are bytes" : undefined;
		case "pages": {
			if ("errno" in question.is) return undefined;
			const pages = question.is.reduce((sum, [, , count]) => sum + count, 0);
			return pages === question.count ? undefined : `there are ${pages} pages, and count is ${question.count}`;
		}
		default:
			return undefined;
	}
}
