// A command line that can be pasted into a shell.

const PLAIN = /^[\w@%+=:,./-]+$/;

/** The words as a POSIX shell has to read them to get these again. */
export function shellWords(words: readonly string[]): string {
	return words.map((word) => (PLAIN.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(" ");
}
