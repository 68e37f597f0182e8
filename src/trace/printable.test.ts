import fc from "fast-check";
import { expect, test } from "vitest";
import { printable, printableJson } from "./printable.js";

const OBEYED = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
const anything = fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)) });

test("what a terminal obeys is written out, and everything else stays as it is", () => {
	expect(printable("\x1b[2Jevil\x9b31m\x7f")).toBe("\\x1b[2Jevil\\x9b31m\\x7f");
	expect(printable("two\nlines\r\tor one")).toBe("two\\nlines\\r\\tor one");
	expect(printable("abc\u202ecba\u2028\ufeff\ud800")).toBe("abc\\u{202e}cba\\u{2028}\\u{feff}\\u{d800}");
	expect(printable("äöü 日本 \u{1f600} \\x1b")).toBe("äöü 日本 \u{1f600} \\x1b");
});

test("whatever the text is, there is one line and nothing in it that is obeyed", () => {
	const obeyed = (text: string) => OBEYED.test(printable(text));
	fc.assert(fc.property(anything, (text) => !obeyed(text)));
	fc.assert(fc.property(fc.string({ unit: "grapheme-ascii" }), (text) => printable(text) === text));
});

test("JSON means the same, and nothing in it is obeyed but its line ends and tabs", () => {
	expect(printableJson({ name: "\x1b\x9b\u202e\n" }, "\t")).toBe('{\n\t"name": "\\u001b\\u009b\\u202e\\n"\n}');
	fc.assert(
		fc.property(anything, (text) => {
			const json = printableJson([text], "\t");
			expect(json.replaceAll(/[\n\t]/g, "")).not.toMatch(OBEYED);
			expect(JSON.parse(json)).toEqual([text]);
		}),
	);
});
