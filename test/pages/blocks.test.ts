import { expect, test } from "vitest";
import { blocksOf, comparable, isShown, stepsOf } from "./blocks.js";

const commands = (text: string) => blocksOf("a.md", text).flatMap(stepsOf);

test("of a shell's block each line is a command, without its remark", () => {
	const text = "A page\n\n```sh\n# all\nnpm test    # waits\nioasis run -- a \\\n\tb#c\n```\n";
	expect(commands(text)).toMatchObject([
		{ page: "a.md", line: 5, command: "npm test", output: undefined },
		{ line: 7, command: "ioasis run -- a 	b#c" },
	]);
});

test("of a terminal's block the lines after a dollar sign are commands, and the others what they print", () => {
	const text = "```\n$ ls &\n$ true\na\nb\n```\nno `$ ls` here\n```json\n$ no\n```\n```\nusage: no\n```\n";
	expect(commands(text)).toMatchObject([
		{ command: "ls", isBackground: true, output: undefined },
		{ command: "true", isBackground: false, output: ["a", "b"] },
	]);
});

test("three dots stand for lines that aren't shown", () => {
	expect(isShown(["a", "...", "d"], ["a", "b", "c", "d"])).toBe(true);
	expect(isShown(["a", "..."], ["a", "b"])).toBe(true);
	expect(isShown(["a", "...", "d"], ["a", "b", "c"])).toBe(false);
	expect(isShown(["a"], ["a", "b"])).toBe(false);
	expect(isShown(["a", "b"], ["a"])).toBe(false);
});

test("numbers of processes and files, and addresses, are compared with none", () => {
	expect(comparable('17 open("/dev/iommu", O_RDWR) = 5')).toBe('PID open("/dev/iommu", O_RDWR) = FD');
	expect(comparable("  17  18  2026-11-27 09:41:07  intel    true")).toBe("PID PID TIME intel true");
	expect(comparable("17 ioctl(5</dev/iommu>, X, {user_va=0x7f1234567000, id=2}) = 0")).toBe(
		"PID ioctl(FD</dev/iommu>, X, {user_va=ADDRESS, id=2}) = 0",
	);
	expect(comparable("17 calls,  1 error at 0x1801")).toBe("17 calls, 1 error at 0x1801");
});
