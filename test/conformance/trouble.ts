// What stops a run before it can tell anything about Ioasis: one line that says what is wrong, one that says what to do.

export class Trouble extends Error {
	readonly remedy: string;

	constructor(problem: string, remedy: string) {
		super(problem);
		this.name = "Trouble";
		this.remedy = remedy;
	}
}
