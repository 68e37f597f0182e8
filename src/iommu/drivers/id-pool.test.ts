import { expect, test } from "vitest";
import { codeOf } from "../../uapi/errno.js";
import { IdPool } from "./id-pool.js";

test("the lowest number that is free is handed out, and again after it was given back", () => {
	const pool = new IdPool("tags", 1, 3, "ENOSPC");
	expect([pool.allocate(), pool.allocate(), pool.allocate()]).toEqual([1, 2, 3]);
	expect(codeOf(() => pool.allocate())).toBe("ENOSPC");
	pool.free(2);
	pool.free(1);
	expect([pool.allocate(), pool.allocate()]).toEqual([1, 2]);
});

test("what can't be made leaves its number free", () => {
	const pool = new IdPool("tags", 1, 1, "ENOMEM");
	const fail = () => {
		throw new Error("no");
	};
	expect(() => pool.allocateFor(fail)).toThrow("no");
	expect(pool.allocateFor((id) => id)).toBe(1);
});
