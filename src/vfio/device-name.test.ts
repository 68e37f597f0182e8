import { expect, test } from "vitest";
import { codeOf } from "../uapi/errno.js";
import { askedFor } from "./device-name.js";

const NAME = "0000:04:10.0";
const UUID = "00112233-4455-6677-8899-aabbccddeeff";

test("a name means the function that has it, whatever blanks follow", () => {
	for (const text of [NAME, `${NAME} `, `${NAME}   `]) expect(askedFor(text, NAME)).toEqual({ token: undefined });
	for (const text of ["", "0000:04:10", "0000:04:10.1", `${NAME}0`, ` ${NAME}`])
		expect(askedFor(text, NAME)).toBeUndefined();
});

test("a token is sixteen bytes in the order of their digits", () => {
	const bytes = Uint8Array.from({ length: 16 }, (_, index) => index * 0x11);
	for (const text of [` vf_token=${UUID}`, `  vf_token=${UUID.toUpperCase()} `])
		expect(askedFor(NAME + text, NAME)).toEqual({ token: bytes });
});

test("what isn't one token is refused", () => {
	const token = `vf_token=${UUID}`;
	for (const text of [
		` ${token} ${token}`,
		" token=1",
		` ${token}0`,
		" vf_token=",
		` vf_token=${UUID.slice(1)}`,
		" vf_token=x",
	])
		expect(codeOf(() => askedFor(NAME + text, NAME))).toBe("EINVAL");
});
