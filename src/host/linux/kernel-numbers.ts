// Numbers in files of the kernel, as they are written there: kstrtoull() and kstrtobool() in lib/kstrtox.c.

/** Decimal, octal with a 0 before it, or hexadecimal with 0x; one newline may follow. @returns undefined for what is none */
export function parseNumber(text: string): number | undefined {
	const match = text.match(/^([+-]?)(?:0x([0-9a-f]+)|(0[0-7]*)|([1-9][0-9]*))\n?$/i);
	if (match === null) return undefined;
	const [, sign, hexadecimal, octal, decimal] = match;
	const digits = hexadecimal ?? octal ?? decimal;
	const value = Number.parseInt(digits, hexadecimal !== undefined ? 16 : octal !== undefined ? 8 : 10);
	return sign === "-" ? -value : value;
}

/** The first letter says it: y, n, 1, 0, t, f, or on and off. */
export function parseBoolean(text: string): boolean | undefined {
	if (/^(?:[y1t]|on)/i.test(text)) return true;
	return /^(?:[n0f]|of)/i.test(text) ? false : undefined;
}
