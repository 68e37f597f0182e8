import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterEach, expect, test } from "vitest";
import { Signals } from "./signals.js";

const ours = ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCONT", "SIGWINCH", "SIGINT", "SIGQUIT"];

/** As libuv does it, of a signal that has come. */
const come = (signal: NodeJS.Signals) => process.emit(signal, signal);

afterEach(() => {
	for (const signal of ours) process.removeAllListeners(signal);
});

test("a signal that comes before there is a program is the program's, once it is there", async () => {
	const program = spawn("sleep", ["60"]);
	const signals = new Signals(() => expect.unreachable());
	come("SIGTERM");
	signals.running(program.pid!);
	expect(await once(program, "exit")).toEqual([null, "SIGTERM"]);
});

test("a signal while the program runs is the program's, and after that it is ours", async () => {
	const program = spawn("sleep", ["60"]);
	const signals = new Signals(() => expect.unreachable());
	signals.running(program.pid!);
	come("SIGUSR2");
	expect(await once(program, "exit")).toEqual([null, "SIGUSR2"]);
	let ended = 0;
	signals.over(() => ended++);
	come("SIGUSR2");
	expect(ended).toBe(0);
	come("SIGTERM");
	expect(ended).toBe(1);
});

test("no listener is taken away when the program starts or ends: one that is under way would be lost", () => {
	const listeners = () => ours.map((signal) => process.listeners(signal as NodeJS.Signals));
	const signals = new Signals(() => {});
	const first = listeners();
	signals.running(process.pid);
	expect(listeners()).toEqual(first);
	signals.over(() => {});
	expect(listeners()).toEqual(first);
});
