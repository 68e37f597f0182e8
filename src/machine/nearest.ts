// Which of some names a misspelt one was meant to be.

/** How many letters a misspelt name may differ in. */
const MOST_TYPOS = 2;

/** @returns undefined where none is near */
export function nearest(name: string, names: readonly string[]): string | undefined {
	const typosOf = (other: string) => distance(name.toLowerCase(), other.toLowerCase());
	const [best] = [...names].sort((one, other) => typosOf(one) - typosOf(other));
	// Of a short name two letters are too much: "ats" would be "bars".
	return best !== undefined && typosOf(best) <= Math.min(MOST_TYPOS, (name.length - 1) / 2) ? best : undefined;
}

/** Letters to insert, remove or replace. Levenshtein's, a row of the matrix at a time. */
function distance(from: string, to: string): number {
	let row = Array.from({ length: to.length + 1 }, (_, j) => j);
	for (let i = 1; i <= from.length; i++) {
		const next = [i];
		for (let j = 1; j <= to.length; j++)
			next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (from[i - 1] === to[j - 1] ? 0 : 1)));
		row = next;
	}
	return row[to.length];
}
