// The answers that a recording has for what the engine asks. Questions are answered in their order; one that was asked
// elsewhere, or never, is answered by what is known of the memory so far, and noted as a stray.

import type { Name, Question } from "../../trace/record.js";
import { hex } from "../../uapi/errno.js";
import { toHex } from "./hex-bytes.js";

type Kind = Question["ask"];
export type QuestionOf<K extends Kind> = Extract<Question, { ask: K }>;

/** What the engine wrote, and the recording has otherwise. */
export interface Deviation {
	/** What, and where: "the bytes at 0x7ffc0010". */
	readonly what: string;
	/** In hexadecimal digits, or "not written". */
	readonly recorded: string;
	readonly now: string;
}

const none: readonly Question[] = [];

export class ReplayQuestions {
	#asked: readonly Question[] = none;
	/** Whether each has been answered. */
	readonly #taken: boolean[] = [];
	/** The first that hasn't been. Most are taken in their order, and a doorbell can have thousands. */
	#first = 0;
	#settled = 0;
	#deviations: Deviation[] = [];
	/** In words: what the recording has no answer for. */
	#strays: string[] = [];

	/** Begins a call. */
	begin(asked: readonly Question[] = none): void {
		this.#asked = asked;
		for (let i = 0; i < asked.length; i++) this.#taken[i] = false;
		this.#first = this.#settled = 0;
		if (this.#deviations.length > 0) this.#deviations = [];
		if (this.#strays.length > 0) this.#strays = [];
	}

	/** The recorded question that is this one; each is found once. */
	take<K extends Kind>(kind: K, matches: (question: QuestionOf<K>) => boolean): QuestionOf<K> | undefined {
		const asked = this.#asked;
		for (let i = this.#first; i < asked.length; i++) {
			const question = asked[i];
			if (question.ask !== kind || this.#taken[i] || !matches(question as QuestionOf<K>)) continue;
			this.#taken[i] = true;
			while (this.#first < asked.length && this.#taken[this.#first]) this.#first++;
			return question as QuestionOf<K>;
		}
		return undefined;
	}

	/** The files that were found closed when the engine asked for the nth time. */
	closedNow(): readonly Name[] {
		const nth = this.#settled++;
		return this.take("closed", (question) => question.nth === nth)?.is ?? [];
	}

	stray(what: string): void {
		this.#strays.push(what);
	}

	/** @param recorded undefined for what wasn't written */
	deviates(what: string, recorded: Uint8Array | undefined, now: Uint8Array | undefined): void {
		this.#deviations.push({ what, recorded: inWords(recorded), now: inWords(now) });
	}

	get strays(): readonly string[] {
		return this.#strays;
	}

	/** The call is over. @returns what the engine wrote otherwise than recorded, or didn't write at all */
	deviations(): readonly Deviation[] {
		const asked = this.#asked;
		for (let i = 0; i < asked.length; i++) {
			const question = asked[i];
			if (!this.#taken[i] && (question.ask === "write" || question.ask === "dma write"))
				this.deviates(`the bytes at ${hex(question.at)}`, question.bytes, undefined);
		}
		return this.#deviations;
	}

	/** Releases the files that were found closed at a moment that didn't come. */
	closeLate(release: (name: Name) => void): void {
		const asked = this.#asked;
		for (let i = 0; i < asked.length; i++) {
			const question = asked[i];
			if (!this.#taken[i] && question.ask === "closed") question.is.forEach(release);
		}
	}
}

function inWords(bytes: Uint8Array | undefined): string {
	return bytes === undefined ? "not written" : toHex(bytes);
}

export function sameBytes(one: Uint8Array | undefined, other: Uint8Array | undefined): boolean {
	if (one === undefined || other === undefined) return one === other;
	if (one.length !== other.length) return false;
	for (let i = 0; i < one.length; i++) if (one[i] !== other[i]) return false;
	return true;
}
