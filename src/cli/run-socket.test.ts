import { spawn } from "node:child_process";
import { once } from "node:events";
import {
	chmodSync,
	chownSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	renameSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test, vi } from "vitest";
import { findRuns, serveQuestions } from "./run-socket.js";

const directory = mkdtempSync(join(tmpdir(), "ioasis-test-"));
vi.stubEnv("XDG_RUNTIME_DIR", directory);
const sockets = join(directory, "ioasis");
const RUN = { pid: 4711, programPid: 4712, program: ["true"], machine: "intel", since: 1_800_000_000_000 };
afterAll(() => rmSync(directory, { recursive: true }));

/** A socket that nobody listens to, under the name of a process. @returns its path */
async function deadSocket(pid: number): Promise<string> {
	mkdirSync(sockets, { recursive: true, mode: 0o700 });
	const path = join(sockets, "dead");
	const listen = `require("node:net").createServer().listen(${JSON.stringify(path)}, () => console.log("ready"))`;
	const process_ = spawn(process.execPath, ["-e", listen], { stdio: ["ignore", "pipe", "ignore"] });
	await once(process_.stdout, "data");
	process_.kill("SIGKILL");
	await once(process_, "exit");
	const named = join(sockets, `${pid || process_.pid}.sock`);
	renameSync(path, named);
	return named;
}

test("a run's socket gets its name when somebody listens to it, and answers from then on", async () => {
	const listen = vi.spyOn(Server.prototype, "listen");
	serveQuestions(RUN, () => Promise.resolve(undefined));
	expect(readdirSync(sockets)).toEqual(["4711.sock"]);
	expect(listen).toHaveBeenCalledWith(expect.not.stringMatching(/\.sock$/));
	expect(await findRuns()).toContainEqual(RUN);
});

test("what answers otherwise than a run does is none", async () => {
	const path = join(sockets, "4713.sock");
	const answers = ["{", '{"pid":"4713"}', "null", '{"pid":1,"programPid":2,"program":[3],"machine":"x","since":4}'];
	const server = new Server((socket) => socket.end(`${answers.shift()}\n`)).listen(path);
	await once(server, "listening");
	for (const _ of [...answers]) expect((await findRuns()).map(({ pid }) => pid)).not.toContain(1);
	expect(answers).toEqual([]);
	server.close();
});

test("the socket of a process that was killed is taken away, that of one that lives is not", async () => {
	const [dead, living] = [await deadSocket(0), await deadSocket(process.pid)];
	await findRuns();
	expect([existsSync(dead), existsSync(living)]).toEqual([false, true]);
});

describe("a directory that somebody else has made where ours would be", () => {
	const theirs = join(directory, `ioasis-${process.getuid!()}`);
	afterEach(() => {
		vi.stubEnv("XDG_RUNTIME_DIR", directory);
		rmSync(theirs, { recursive: true, force: true });
	});

	const isRoot = process.getuid!() === 0;
	const makeAll = () => {
		mkdirSync(theirs);
		chmodSync(theirs, 0o777);
	};
	const makeNobodys = () => {
		mkdirSync(theirs, { mode: 0o700 });
		chownSync(theirs, 65534, 65534);
	};
	test.each([
		["others may write to", makeAll],
		["is a link to another", () => symlinkSync(sockets, theirs)],
		["is a file", () => writeFileSync(theirs, "")],
		...(isRoot ? [["is somebody else's", makeNobodys]] : []),
	] as [string, () => void][])("that %s is left alone, and nobody there is believed", async (_, make) => {
		vi.stubEnv("XDG_RUNTIME_DIR", "");
		vi.stubEnv("TMPDIR", directory);
		make();
		const server = new Server((socket) => socket.end(`${JSON.stringify(RUN)}\n`));
		if (statSync(theirs).isDirectory()) {
			server.listen(join(theirs, "4799.sock"));
			await once(server, "listening");
		}
		const before = statSync(theirs).isDirectory() ? readdirSync(theirs) : [];
		serveQuestions({ ...RUN, pid: 4798 }, () => Promise.resolve(undefined));
		expect(statSync(theirs).isDirectory() ? readdirSync(theirs) : []).toEqual(before);
		expect(await findRuns()).toEqual([]);
		server.close();
	});
});
