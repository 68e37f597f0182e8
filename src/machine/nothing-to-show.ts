// Why somebody who asks what a machine is like at a moment gets no answer.

export class NothingToShow extends Error {
	readonly advice: readonly string[];

	/** @param problem what is wrong @param advice what there would be, or what to do: a line each */
	constructor(problem: string, ...advice: readonly string[]) {
		super(problem);
		this.advice = advice;
	}
}
