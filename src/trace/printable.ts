// Text that somebody else has given, as it may be printed: a program's or a file's name, a path, what stands in a recording. A terminal
// obeys some characters, and others make a line look like two, or like another one.

/** Controls (C0, DEL, C1), what says where text runs (bidi and its kin), halves of pairs, and what ends a line for some. */
const OBEYED = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
const ALL_OBEYED = new RegExp(OBEYED, "gu");

const SHORT: { readonly [character: string]: string } = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** One line, in which each such character is written out: "\x1b", "\u{202e}". */
export function printable(text: string): string {
	return OBEYED.test(text) ? text.replace(ALL_OBEYED, escapeOf) : text;
}

function escapeOf(character: string): string {
	const code = character.codePointAt(0)!;
	return SHORT[character] ?? (code < 0x100 ? `\\x${padded(code, 2)}` : `\\u{${code.toString(16)}}`);
}

/** A value as JSON that may be printed: strings have such characters as JSON writes them out, and mean the same. */
export function printableJson(value: unknown, indent?: string): string {
	// What is left are the line ends and tabs between the values.
	return JSON.stringify(value, null, indent).replace(ALL_OBEYED, (character) =>
		character === "\n" || character === "\t" ? character : unitsOf(character),
	);
}

function unitsOf(character: string): string {
	return Array.from({ length: character.length }, (_, i) => `\\u${padded(character.charCodeAt(i), 4)}`).join("");
}

function padded(code: number, digits: number): string {
	return code.toString(16).padStart(digits, "0");
}
