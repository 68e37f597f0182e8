import { closeSync, fstatSync, openSync } from "node:fs";
import { expect, onTestFinished, test } from "vitest";
import { UnixSocket } from "../linux/unix-socket.js";
import { Connection, ServerLost, ServerRefused } from "./connection.js";
import { Command, encodeDmaReply, encodeMessage, encodeRegionWrite } from "./protocol.js";

const NO_TIME = 20;

/** A connection, and the server's end of it, whose answers are there before the questions. */
function setUp(timeout = 2000) {
	const [client, server] = UnixSocket.pair();
	const connection = new Connection(client, timeout);
	onTestFinished(() => {
		connection.close();
		server.close();
	});
	return { connection, server };
}

/** The first command has this id. */
const FIRST = 2;

function reply(
	payload: number[],
	{ id = FIRST, command = Command.DEVICE_RESET as number, error = undefined as number | undefined } = {},
) {
	return encodeMessage({ id, command, isReply: true, noReply: false, error }, Uint8Array.from(payload));
}

/** All that was sent, as far as it is there. */
function received(server: UnixSocket): { bytes: Uint8Array; fds: number[] } {
	const fds: number[] = [];
	const into = new Uint8Array(65536);
	const length = server.receive(into, fds) ?? 0;
	return { bytes: into.slice(0, length), fds };
}

test("a command goes out as a whole, and its reply comes back in however many pieces", () => {
	const { connection, server } = setUp();
	const bytes = reply([1, 2, 3]);
	// A byte each is one piece each, to whoever reads them.
	for (let i = 0; i < bytes.length; i++) server.send(bytes.subarray(i, i + 1), []);
	expect([...connection.request(Command.DEVICE_RESET, Uint8Array.of(9)).payload]).toEqual([1, 2, 3]);
	expect([...received(server).bytes.subarray(16)]).toEqual([9]);
});

test("fds go out with a command and come in with a reply", () => {
	const { connection, server } = setUp();
	const own = openSync("/dev/null", "r");
	server.send(reply([]), [own]);
	const { fds } = connection.request(Command.DEVICE_RESET, new Uint8Array(0), [own, own]);
	expect(fds.map((fd) => fstatSync(fd).rdev)).toEqual([fstatSync(own).rdev]);
	const sent = received(server).fds;
	expect(sent.map((fd) => fstatSync(fd).rdev)).toEqual([fstatSync(own).rdev, fstatSync(own).rdev]);
	for (const fd of [own, ...fds, ...sent]) closeSync(fd);
});

test("a refusal is an errno, and the connection goes on", () => {
	const { connection, server } = setUp();
	server.send(reply([], { error: 22 }), []);
	server.send(reply([7], { id: FIRST + 1 }), []);
	const refusal = () => connection.request(Command.DEVICE_RESET, new Uint8Array(0));
	expect(refusal).toThrow(new ServerRefused(Command.DEVICE_RESET, 22));
	expect([...connection.request(Command.DEVICE_RESET, new Uint8Array(0)).payload]).toEqual([7]);
});

test("the server's own commands are answered while its reply is waited for", () => {
	const { connection, server } = setUp();
	const read = encodeDmaReply({ address: 0x1000n, count: 4, data: new Uint8Array(0) }, new Uint8Array(0));
	const command = { id: 77, command: Command.DMA_READ, isReply: false, noReply: false, error: undefined };
	server.send(encodeMessage(command, read), []);
	server.send(encodeMessage({ ...command, id: 78 }, read), []);
	server.send(encodeMessage({ ...command, id: 79, noReply: true }, read), []);
	server.send(reply([]), []);
	let asked = 0;
	connection.onCommand = (code, payload) => {
		expect([code, payload.length]).toEqual([Command.DMA_READ, 16]);
		return ++asked === 1 ? Uint8Array.of(5) : 14;
	};
	connection.request(Command.DEVICE_RESET, new Uint8Array(0));
	const { bytes } = received(server);
	// The command's 16 bytes, a reply of 17, a refusal of 16.
	expect([bytes.length, bytes[16], bytes[24], bytes[32], bytes[33], bytes[41], bytes[45]]).toEqual([
		49, 77, 1, 5, 78, 33, 14,
	]);
	expect(asked).toBe(3);
});

test("commands that come by themselves are served, and a few at a time", () => {
	const { connection, server } = setUp();
	const command = { id: 1, command: Command.DMA_WRITE, isReply: false, noReply: true, error: undefined };
	for (let i = 0; i < 40; i++) server.send(encodeMessage(command, new Uint8Array(16)), []);
	let asked = 0;
	connection.onCommand = () => {
		asked++;
		return new Uint8Array(0);
	};
	expect([connection.serve(), asked, connection.serve(), asked]).toEqual([true, 32, false, 40]);
});

test.each<[string, (server: UnixSocket) => void, string]>([
	["a reply that nobody waits for", (server) => server.send(reply([], { id: 9 }), []), "nobody waits for"],
	["a reply to another command", (server) => server.send(reply([], { command: 5 }), []), "DEVICE_GET_REGION_INFO"],
	[
		"a message that is shorter than its header",
		(server) => server.send(Uint8Array.of(2, 0, 13, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0), []),
		"8 bytes",
	],
	[
		"a message without an end",
		(server) => server.send(Uint8Array.of(2, 0, 13, 0, 0, 0, 0, 0x40, 1, 0, 0, 0, 0, 0, 0, 0), []),
		"1073741824 bytes",
	],
	[
		"a message of no kind",
		(server) => server.send(Uint8Array.of(2, 0, 13, 0, 16, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0), []),
		"type 3",
	],
	[
		"an end in the middle of a message",
		(server) => {
			server.send(reply([1, 2]).subarray(0, 17), []);
			server.close();
		},
		"closed the connection",
	],
])("%s ends the connection for good", (_, lie, reason) => {
	const [client, server] = UnixSocket.pair();
	const connection = new Connection(client, 2000);
	lie(server);
	const ask = () => connection.request(Command.DEVICE_RESET, new Uint8Array(0));
	expect(ask).toThrow(reason);
	expect(ask).toThrow(ServerLost);
	expect(connection.lost?.message).toContain(reason);
	expect(() => connection.serve()).toThrow(ServerLost);
});

test("a server that doesn't answer in its time is lost", () => {
	const { connection } = setUp(NO_TIME);
	expect(() => connection.request(Command.DEVICE_RESET, new Uint8Array(0))).toThrow("doesn't answer for 0.02 s");
	expect(connection.lost).toBeDefined();
});

test("so is one that doesn't take what is sent", () => {
	const { connection } = setUp(NO_TIME);
	const much = encodeRegionWrite(0, 0, new Uint8Array(1024 * 1024));
	expect(() => connection.request(Command.REGION_WRITE, much)).toThrow("takes nothing for 0.02 s");
});

test("and one that asks and asks instead of answering", () => {
	const { connection, server } = setUp(NO_TIME);
	const command = { id: 1, command: Command.DMA_WRITE, isReply: false, noReply: true, error: undefined };
	connection.onCommand = () => {
		server.send(encodeMessage(command, new Uint8Array(16)), []);
		return new Uint8Array(0);
	};
	server.send(encodeMessage(command, new Uint8Array(16)), []);
	expect(() => connection.request(Command.DEVICE_RESET, new Uint8Array(0))).toThrow("doesn't answer");
});
