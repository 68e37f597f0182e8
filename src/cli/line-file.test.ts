import { closeSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import * as say from "../host/say.js";
import { LineFile } from "./line-file.js";

afterEach(() => vi.restoreAllMocks());

test("lines are written as they come", () => {
	const path = join(tmpdir(), `ioasis-lines-${process.pid}`);
	const fd = openSync(path, "w");
	const file = new LineFile(fd, "trace");
	file.write("one");
	file.write("two\n  and more");
	closeSync(fd);
	expect(readFileSync(path, "utf8")).toBe("one\ntwo\n  and more\n");
	rmSync(path);
});

test("what can't be written is lost, which is said once", () => {
	const said: string[] = [];
	vi.spyOn(say, "sayOnStderr").mockImplementation((...lines: readonly string[]) => {
		said.push(...lines);
	});
	const fd = openSync("/dev/full", "w");
	const file = new LineFile(fd, "trace");
	file.write("one");
	file.write("two");
	closeSync(fd);
	expect(said).toEqual(["ioasis: the trace ends here: it can't be written any more: ENOSPC"]);
});
