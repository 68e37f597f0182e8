// The answers that a recording has for what the engine asks. Questions are answered in their order; one that was asked
// elsewhere, or never, is answered by what is known of the memory so far, and noted as a stray.

import type { Question } from "../../trace/record.js";

type Kind = Question["ask"];
export type QuestionOf<K extends Kind> = Extract<Question, { ask: K }>;

/** What the engine wrote, and the recording has otherwise. */
export interface Deviation {
	/** "writes" in words: what, and where. */
	readonly what: string;
	readonly recorded: string;
	readonly now: string;
}

export class ReplayQuestions {
	#asked: readonly Question[] = [];
	#taken = new Set<Question>();
	#settled = 0;
	#deviations: Deviation[] = [];
	/** In words: what the recording has no answer for. */
	#strays: string[] = [];

	/** Begins a call. */
	begin(asked: readonly Question[] = []): void {
		this.#asked = asked;
		this.#taken = new Set();
		this.#settled = 0;
		this.#deviations = [];
		this.#strays = [];
	}

	/** The recorded question that is this one; each is found once. */
	take<K extends Kind>(kind: K, matches: (question: QuestionOf<K>) => boolean): QuestionOf<K> | undefined {
		const found = this.#asked.find(
			(question): question is QuestionOf<K> =>
				question.ask === kind && !this.#taken.has(question) && matches(question as QuestionOf<K>),
		);
		if (found !== undefined) this.#taken.add(found);
		return found;
	}

	/** The files that were found closed when the engine asked for the nth time. */
	closedNow(): readonly number[] {
		const nth = this.#settled++;
		return this.take("closed", (question) => question.nth === nth)?.is ?? [];
	}

	stray(what: string): void {
		this.#strays.push(what);
	}

	deviates(what: string, recorded: string, now: string): void {
		this.#deviations.push({ what, recorded, now });
	}

	get strays(): readonly string[] {
		return this.#strays;
	}

	/** What the engine wrote otherwise than recorded, or didn't write at all. */
	deviations(): Deviation[] {
		const missing = this.#asked
			.filter((question) => (question.ask === "write" || question.ask === "dma write") && !this.#taken.has(question))
			.map((question) => {
				const { at, bytes } = question as QuestionOf<"write">;
				return { what: `the bytes at ${at}`, recorded: bytes, now: "not written" };
			});
		return [...this.#deviations, ...missing];
	}

	/** Files that were found closed at a moment that didn't come. */
	closedLate(): readonly number[] {
		return this.#asked.flatMap((question) =>
			question.ask === "closed" && !this.#taken.has(question) ? question.is : [],
		);
	}
}
