// The words of the command line as they were given, and what commander is told instead.

/** Where a trace goes that was given no file. */
export const TO_STDERR = "-";

/** `--trace` has a value only after "=", so that it never takes the program for one; commander has no such options. */
export function withTraceTarget(words: readonly string[]): string[] {
	const end = words.indexOf("--");
	return words.map((word, i) => {
		if (end >= 0 && i > end) return word;
		if (word === "--trace") return `--trace-to=${TO_STDERR}`;
		return word.startsWith("--trace=") ? `--trace-to=${word.slice("--trace=".length)}` : word;
	});
}

/** The program and its arguments, which are the last words: among them withTraceTarget() may have changed some. */
export function asGiven(program: readonly string[]): string[] {
	return process.argv.slice(-program.length);
}

/** Whether a word was taken for the program that was meant as the trace's file: `--trace calls.txt -- ./my-vmm`. */
export function isMeantForTrace(program: readonly string[]): boolean {
	return process.argv.at(-program.length - 1) === "--trace" && program.includes("--");
}
