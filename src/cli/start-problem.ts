// Why a program can't be started, in words: what posix_spawn(3) says is an errno, and what it means is in the file.

import { accessSync, constants, readFileSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { adviceOn } from "../host/failure.js";

export interface StartProblem {
	readonly problem: string;
	readonly advice?: string | undefined;
}

/** Bytes of a file that tell what it is. */
const SHEBANG = Buffer.from("#!");
const ELF = Buffer.from("\x7fELF");
/** ELF, figures 1-3 and 5-1: where the program headers are, how many; and what the interpreter's header is. */
const CLASS_64 = 2;
const PT_INTERP = 3;

/**
 * @param code what posix_spawn said: "ENOENT"
 * @param isTraceFile whether the word looks as if it was meant as the value of --trace
 */
export function whyNotStarted(program: string, code: string, isTraceFile: boolean): StartProblem {
	if (isTraceFile)
		return {
			problem: `${program} is taken for the program, and can't be started: ${code}`,
			advice: `the file of a trace stands after "=": --trace=${program}`,
		};
	const file = fileOf(program);
	if (code === "EACCES" && isDirectory(file ?? program))
		return { problem: `${program} is a directory`, advice: "give the program's file" };
	if (code === "EACCES") return { problem: `${program}: can't be started: EACCES`, advice: adviceOnRights(file) };
	if (code === "ENOENT" && file === undefined)
		return {
			problem: `${program}: not found`,
			advice: program.includes("/") ? undefined : `it is in no directory of PATH; for a file here say ./${program}`,
		};
	if (code === "ENOENT") return { problem: `${program} is there, but not what runs it: ${runnerOf(file!)}` };
	if (code === "ENOEXEC")
		return {
			problem: `${program}: can't be started: it is neither a program of this computer's nor a script`,
			advice: 'a script begins with a line that names what runs it: "#!/bin/sh"',
		};
	return { problem: `${program}: can't be started: ${code}`, advice: adviceOn(code) };
}

/** The file that a shell would find. */
function fileOf(program: string): string | undefined {
	const places = program.includes("/")
		? [program]
		: (process.env.PATH ?? "").split(delimiter).map((directory) => join(directory, program));
	return places.find((place) => {
		try {
			accessSync(place);
			return true;
		} catch {
			return false;
		}
	});
}

function isDirectory(file: string): boolean {
	return statSync(file, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function adviceOnRights(file: string | undefined): string {
	try {
		if (file !== undefined) accessSync(file, constants.X_OK);
	} catch {
		return "is it a program? `chmod +x` makes a script one";
	}
	return "it is on a file system without programs (noexec), or what runs it can't be started";
}

/** What a script's first line, or a program's header, names. */
function runnerOf(file: string): string {
	const bytes = beginningOf(file);
	if (bytes.subarray(0, SHEBANG.length).equals(SHEBANG)) {
		const [line] = bytes.subarray(SHEBANG.length).toString("utf8").split("\n", 1);
		// The end of a line from Windows is a part of the name.
		return line.replace(/^[ \t]+/, "").split(/[ \t]/, 1)[0];
	}
	return bytes.subarray(0, ELF.length).equals(ELF) ? (interpreterOf(bytes) ?? "its loader") : "its interpreter";
}

function beginningOf(file: string): Buffer {
	try {
		return readFileSync(file);
	} catch {
		return Buffer.alloc(0);
	}
}

/** The dynamic loader of a program of 64 bits: "/lib64/ld-linux-x86-64.so.2". */
function interpreterOf(elf: Buffer): string | undefined {
	try {
		if (elf[4] !== CLASS_64) return undefined;
		const [table, size, count] = [Number(elf.readBigUInt64LE(0x20)), elf.readUInt16LE(0x36), elf.readUInt16LE(0x38)];
		for (let at = table; at < table + size * count; at += size) {
			if (elf.readUInt32LE(at) !== PT_INTERP) continue;
			const offset = Number(elf.readBigUInt64LE(at + 8));
			const length = Number(elf.readBigUInt64LE(at + 0x20));
			return elf.subarray(offset, offset + length - 1).toString("utf8");
		}
	} catch {
		// It is cut short.
	}
	return undefined;
}
