import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { whyNotStarted } from "./start-problem.js";

const directory = mkdtempSync(join(tmpdir(), "ioasis-start-"));
afterAll(() => rmSync(directory, { recursive: true }));

function file(name: string, content: string | Buffer, mode = 0o755): string {
	const path = join(directory, name);
	writeFileSync(path, content);
	chmodSync(path, mode);
	return path;
}

const problem = (program: string, code: string) => whyNotStarted(program, code, false).problem;

test("a directory is called one", () => {
	const path = join(directory, "inside");
	mkdirSync(path);
	expect(problem(path, "EACCES")).toBe(`${path} is a directory`);
});

test("a script whose interpreter is missing is there, and its interpreter is named", () => {
	const script = file("script", "#! /no/such/python -u\n");
	expect(problem(script, "ENOENT")).toBe(`${script} is there, but not what runs it: /no/such/python`);
	const fromWindows = file("windows", "#!/bin/sh\r\n");
	expect(problem(fromWindows, "ENOENT")).toMatch(/: \/bin\/sh\r$/);
});

test("a program whose loader is missing is there, and its loader is named", () => {
	const elf = Buffer.alloc(256);
	elf.write("\x7fELF\x02", "latin1");
	elf.writeBigUInt64LE(64n, 0x20);
	elf.writeUInt16LE(56, 0x36);
	elf.writeUInt16LE(1, 0x38);
	elf.writeUInt32LE(3, 64);
	elf.writeBigUInt64LE(200n, 64 + 8);
	elf.writeBigUInt64LE(15n, 64 + 0x20);
	elf.write("/lib/ld-musl.so\0", 200, "latin1");
	expect(problem(file("musl", elf), "ENOENT")).toMatch(/not what runs it: \/lib\/ld-musl\.s/);
	expect(problem(file("cut", elf.subarray(0, 70)), "ENOENT")).toMatch(/not what runs it: its loader$/);
});

test("what is not there is not found; without a slash it is looked for in PATH", () => {
	expect(whyNotStarted("./nonesuch", "ENOENT", false)).toEqual({ problem: "./nonesuch: not found", advice: undefined });
	expect(whyNotStarted("nonesuch-at-all", "ENOENT", false).advice).toContain("say ./nonesuch-at-all");
});

test("a file that is no program is told apart from one without the right to be run", () => {
	expect(problem(file("text", "hello\n"), "ENOEXEC")).toContain("neither a program of this computer's nor a script");
	expect(whyNotStarted(file("plain", "#!/bin/sh\n", 0o644), "EACCES", false).advice).toBeDefined();
});

test("the file of a trace that was taken for the program is told where it goes", () => {
	expect(whyNotStarted("calls.txt", "ENOENT", true).advice).toContain("--trace=calls.txt");
});
