import { expect, test } from "vitest";
import { Undo } from "./undo.js";

function scope(keeps: boolean): string[] {
	const log: string[] = [];
	{
		using undo = new Undo();
		undo.push(() => log.push("first"));
		undo.push(() => log.push("second"));
		if (keeps) undo.keep();
	}
	return log;
}

test("what was done is undone backwards when the scope is left, unless it is kept", () => {
	expect(scope(false)).toEqual(["second", "first"]);
	expect(scope(true)).toEqual([]);
});
