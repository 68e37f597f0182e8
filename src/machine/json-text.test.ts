import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { JsonError, parseJsonText } from "./json-text.js";

describe("JSON with places", () => {
	test("is the value that JSON.parse() gives, however it is spaced", () => {
		fc.assert(
			fc.property(fc.jsonValue(), fc.constantFrom(undefined, 1, "\t"), (value, indent) => {
				const text = JSON.stringify(value, null, indent);
				expect(parseJsonText(text).value).toEqual(JSON.parse(text));
			}),
		);
	});

	test("takes no text that JSON.parse() doesn't take, and leaves out none that it takes but for names that come twice", () => {
		const pieces = fc.constantFrom(
			...'{}[]:,"\\ \n\t-+.eE09truefalsn\x01é',
			'"a"',
			"null",
			"1e5",
			"\\u00e9",
			"\x7f",
			"\x1f",
			"\u{1f600}",
		);
		fc.assert(
			fc.property(fc.array(pieces, { maxLength: 12 }), (parts) => {
				const text = parts.join("");
				const taken = (parse: (text: string) => unknown) => {
					try {
						return JSON.stringify(parse(text));
					} catch (error) {
						return error instanceof JsonError && error.message.includes("second time") ? "twice" : "refused";
					}
				};
				const ours = taken((one) => parseJsonText(one).value);
				if (ours !== "twice") expect(ours).toBe(taken(JSON.parse));
			}),
			{ numRuns: 2000 },
		);
	});

	test("knows where each value begins, and of what isn't there where its object does", () => {
		const { placeOf } = parseJsonText('{\n  "a": [1,\n    {"b": 2}],\n  "__proto__": 3 }');
		expect(placeOf([])).toEqual({ line: 1, column: 1 });
		expect(placeOf(["a", 0])).toEqual({ line: 2, column: 9 });
		expect(placeOf(["a", 1, "b"])).toEqual({ line: 3, column: 11 });
		expect(placeOf(["a", 1, "c", "d"])).toEqual({ line: 3, column: 5 });
		expect(placeOf(["__proto__"])).toEqual({ line: 4, column: 16 });
	});

	test.each([
		["", 1, 1, "a value is expected here, and the text ends"],
		["{\n 'a': 1}", 2, 2, "a field's name in quotes is expected here"],
		['{"a" 1}', 1, 6, '":" is expected here'],
		["[1,]", 1, 4, "a value is expected here"],
		["[1 2]", 1, 4, '"," or "]" is expected here'],
		["1 2", 1, 3, "the text goes on after its value"],
		['"a\nb"', 1, 1, "a value is expected here"],
		['{"a": 1,\n"a": 2}', 2, 1, 'the field "a" is here for the second time: the first is in line 1'],
		["[".repeat(1000), 1, 202, "more than 200 values are in each other"],
	])("%j is refused, and where", (text, line, column, message) => {
		try {
			parseJsonText(text);
			expect.unreachable();
		} catch (error) {
			if (!(error instanceof JsonError)) throw error;
			expect(error.place).toEqual({ line, column });
			expect(error.message).toContain(message);
		}
	});
});
