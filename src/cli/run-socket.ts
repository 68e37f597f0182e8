// Where `ioasis run` can be asked what its machine is like at this moment: a socket that only the same user can reach, named for its
// process.
//
// One question a connection, a line of JSON each way; a line without a question asks who it is. The main thread does it, which has
// nothing else to do while the program runs.

import { lstatSync, mkdirSync, readdirSync, renameSync, unlinkSync } from "node:fs";
import { createConnection, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import * as v from "valibot";
import type { PackedWalkQuestion } from "./walk-answer.js";

/** One `ioasis run`. */
export interface Run {
	readonly pid: number;
	readonly programPid: number;
	readonly program: readonly string[];
	readonly machine: string;
	/** When the program was started, in milliseconds since 1970. */
	readonly since: number;
}

/** What a run can be asked. */
export type Question = PackedWalkQuestion | { readonly about: "objects" };

/** A part of an answer, for people and, as it is with --json, for programs. */
export interface Shown {
	readonly lines: readonly string[];
	readonly data: object;
}

export type Answer =
	| { readonly shown: readonly Shown[] }
	/** There is nothing to show, and why. */
	| { readonly problem: string; readonly advice?: readonly string[] };

const request = v.object({ question: v.optional(v.unknown()) });
/** Of a run of another version it may be something else. */
const reply = v.object({
	pid: v.number(),
	programPid: v.number(),
	program: v.array(v.string()),
	machine: v.string(),
	since: v.number(),
	answer: v.exactOptional(
		v.union([
			v.object({ shown: v.array(v.object({ lines: v.array(v.string()), data: v.looseObject({}) })) }),
			v.object({ problem: v.string(), advice: v.exactOptional(v.array(v.string())) }),
		]),
	),
}) satisfies v.GenericSchema<unknown, Reply>;

type Reply = Run & { readonly answer?: Answer };

/** How long we wait for an answer, in milliseconds: a supervisor answers in less than one, unless it waits for the program. */
const PATIENCE = 10_000;
/** In characters: more than a command line has. */
const LONGEST_QUESTION = 1024 * 1024;
/** As many walks as a command line has IOVAs, by each of thousands of page tables. */
const LONGEST_REPLY = 256 * 1024 * 1024;

/**
 * Answers until this process ends. Where there can be no socket the run goes on without.
 * @param ask the supervisor
 */
export function serveQuestions(run: Run, ask: (question: unknown) => Promise<unknown>): void {
	const directory = directories().find((one) => make(one) && isPrivate(one));
	if (directory === undefined) return;
	const path = join(directory, `${run.pid}.sock`);
	// Whoever finds a socket that nobody listens to takes it away, so it gets its name when it is ready.
	const unready = join(directory, `${run.pid}.new`);
	remove(unready); // One of that number was killed.
	const server = createServer((socket) => {
		socket.on("error", () => {}); // Who asked has gone.
		const received = async (line: string) => socket.end(`${JSON.stringify(await replyTo(line, run, ask))}\n`);
		receiveLine(socket, received, LONGEST_QUESTION);
	});
	server.on("error", () => {});
	server.listen(unready).unref();
	if (server.listening) show(unready, path);
}

function show(unready: string, path: string): void {
	try {
		renameSync(unready, path);
	} catch {
		return; // The directory is gone: nobody finds us there.
	}
	process.on("exit", () => remove(path));
}

async function replyTo(line: string, run: Run, ask: (question: unknown) => Promise<unknown>): Promise<Reply> {
	try {
		const { question } = v.parse(request, JSON.parse(line));
		return question === undefined ? run : { ...run, answer: (await ask(question)) as Answer };
	} catch (error) {
		return { ...run, answer: { problem: (error as Error).message } };
	}
}

/** All that answer. */
export async function findRuns(): Promise<Run[]> {
	const paths = sockets();
	const replies = await Promise.all(paths.map((path) => send(path, {})));
	return replies.filter((reply) => reply !== undefined);
}

/** @returns undefined when it has ended, or can't answer now */
export async function askRun({ pid }: Run, question: Question): Promise<Answer | undefined> {
	for (const path of sockets()) {
		if (!path.endsWith(`/${pid}.sock`)) continue;
		const reply = await send(path, { question });
		if (reply !== undefined) return reply.answer;
	}
	return undefined;
}

function send(path: string, request: { readonly question?: Question }): Promise<Reply | undefined> {
	return new Promise((resolve) => {
		const socket = createConnection(path, () => socket.write(`${JSON.stringify(request)}\n`));
		socket.setTimeout(PATIENCE, () => socket.destroy());
		socket.on("error", ({ code }: NodeJS.ErrnoException) => {
			// It was killed, and had no time to. (In another PID namespace the number means somebody else; then it stays.)
			if (code === "ECONNREFUSED" && !isAlive(Number(basename(path, ".sock")))) remove(path);
		});
		socket.on("close", () => resolve(undefined));
		receiveLine(socket, (line) => resolve(replyIn(line)), LONGEST_REPLY);
	});
}

/** @returns undefined for what can't be one */
function replyIn(line: string): Reply | undefined {
	try {
		return v.parse(reply, JSON.parse(line));
	} catch {
		return undefined;
	}
}

function receiveLine(socket: Socket, received: (line: string) => void, longest: number): void {
	let text = "";
	let isOver = false;
	socket.setEncoding("utf8");
	socket.on("data", (piece: string) => {
		if (isOver) return;
		text += piece;
		isOver = piece.includes("\n");
		if (isOver) received(text.slice(0, text.indexOf("\n")));
		else if (text.length > longest) socket.destroy();
	});
}

/** Where sockets may be, the best place first. */
function directories(): string[] {
	const { XDG_RUNTIME_DIR } = process.env;
	const shared = join(tmpdir(), `ioasis-${process.getuid!()}`);
	return XDG_RUNTIME_DIR ? [join(XDG_RUNTIME_DIR, "ioasis"), shared] : [shared];
}

/** @returns whether there is something of that name then */
function make(directory: string): boolean {
	try {
		mkdirSync(directory, { mode: 0o700 });
		return true;
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === "EEXIST";
	}
}

/** Whether it is a directory that only we can look into: /tmp is everybody's. */
function isPrivate(directory: string): boolean {
	try {
		const stat = lstatSync(directory);
		return stat.isDirectory() && stat.uid === process.getuid!() && (stat.mode & 0o077) === 0;
	} catch {
		return false; // It isn't there.
	}
}

function sockets(): string[] {
	return directories().filter(isPrivate).flatMap(socketsIn);
}

function socketsIn(directory: string): string[] {
	try {
		return readdirSync(directory).flatMap((name) => (name.endsWith(".sock") ? [join(directory, name)] : []));
	} catch {
		return [];
	}
}

function isAlive(pid: number): boolean {
	try {
		return process.kill(pid, 0);
	} catch (error) {
		return (error as NodeJS.ErrnoException).code !== "ESRCH";
	}
}

function remove(path: string): void {
	try {
		unlinkSync(path);
	} catch {
		// It isn't there.
	}
}
