import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { BlockFile } from "./block-file.js";

let directory: string;
beforeAll(() => {
	directory = mkdtempSync(join(tmpdir(), "block-file-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

function image(name: string, bytes: Uint8Array): string {
	const path = join(directory, name);
	writeFileSync(path, bytes);
	return path;
}

test("what is written is in the file, and is read back", () => {
	const path = image("written", new Uint8Array(8192));
	const file = new BlockFile(path, false);
	expect([file.size, file.isReadOnly]).toEqual([8192, false]);
	file.write(4090, new Uint8Array(100).fill(7));
	file.flush();
	const read = new Uint8Array(104);
	file.read(4088, read);
	file.close();
	expect([...read.subarray(0, 4), ...read.subarray(100)]).toEqual([0, 0, 7, 7, 7, 7, 0, 0]);
	expect(readFileSync(path).subarray(4089, 4092)).toEqual(Buffer.from([0, 7, 7]));
});

test("what is discarded reads as zeroes, and takes no room", () => {
	const path = image("discarded", new Uint8Array(1024 * 1024).fill(1));
	const before = statSync(path).blocks;
	const file = new BlockFile(path, false);
	file.discard(4096, 512 * 1024);
	const read = new Uint8Array(4096);
	file.read(4096, read);
	file.close();
	expect(read.every((byte) => byte === 0)).toBe(true);
	expect(statSync(path).blocks).toBeLessThan(before);
});

test("one that can't be had says why", () => {
	const opened = (path: string, isReadOnly = false) => {
		try {
			new BlockFile(path, isReadOnly).close();
			return "opened";
		} catch (error) {
			return (error as Error).message.replace(directory, "D");
		}
	};
	const path = image("used", new Uint8Array(512));
	expect(opened(join(directory, "missing"))).toBe("D/missing can't be opened: ENOENT");
	expect(opened(directory, true)).toBe("D is no file: an image is expected here");
	const file = new BlockFile(path, true);
	expect([opened(path), opened(path, true)]).toEqual(["D/used is in use: another program has locked it", "opened"]);
	file.close();
	expect(opened(path)).toBe("opened");
});

test("an image that is cut short meanwhile fails to be read", () => {
	const path = image("cut", new Uint8Array(8192));
	const file = new BlockFile(path, true);
	truncateSync(path, 4096);
	expect(() => file.read(4000, new Uint8Array(200))).toThrow(/cut can't be read: it has become shorter/);
	file.close();
});
