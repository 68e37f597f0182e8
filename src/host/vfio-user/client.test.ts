import { readdirSync, readSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { addressOf, close, eventfd, ftruncate, memfdCreate, NativeMemory, pread, pwrite } from "../linux/libc.js";
import { hasCompiler } from "../testing/c-clients.testing.js";
import { VfioUserClient } from "./client.js";
import { ServerLost, ServerRefused } from "./connection.js";
import { identityOf } from "./identity.js";
import { Command, decodeDmaAccess, encodeDmaReply } from "./protocol.js";
import { Copier, CopierCommand, startServer } from "./server.testing.js";

const SECONDS = 10_000;

async function connect(...words: string[]): Promise<VfioUserClient> {
	const { path } = await startServer(...words);
	const client = VfioUserClient.connect(path, SECONDS);
	onTestFinished(() => client.close());
	return client;
}

function readWord(client: VfioUserClient, offset: number): bigint {
	const bytes = new Uint8Array(8);
	client.read(0, offset, bytes);
	return new DataView(bytes.buffer).getBigUint64(0, true);
}

function writeWord(client: VfioUserClient, offset: number, value: bigint): void {
	const bytes = new Uint8Array(8);
	new DataView(bytes.buffer).setBigUint64(0, value, true);
	client.write(0, offset, bytes);
}

/** Memory behind DMA_READ and DMA_WRITE, from IOVA 0 on. */
function serveMemory(client: VfioUserClient, size: number): { memory: Uint8Array; asked: string[] } {
	const memory = new Uint8Array(size);
	const asked: string[] = [];
	client.connection.onCommand = (command, payload) => {
		const access = decodeDmaAccess(payload, command);
		const at = Number(access.address);
		asked.push(`${command === Command.DMA_READ ? "read" : "write"} ${at} ${access.count}`);
		if (at + access.count > size) return 14;
		if (command === Command.DMA_READ) return encodeDmaReply(access, memory.subarray(at, at + access.count));
		memory.set(access.data, at);
		return encodeDmaReply(access, new Uint8Array(0));
	};
	return { memory, asked };
}

/** Has the device copy. @returns its status */
function copy(client: VfioUserClient, source: bigint, destination: bigint, length: number, flags = 0): bigint {
	writeWord(client, Copier.SOURCE, source);
	writeWord(client, Copier.DESTINATION, destination);
	writeWord(client, Copier.LENGTH, BigInt(length));
	writeWord(client, Copier.COMMAND, BigInt(CopierCommand.START | flags));
	return readWord(client, Copier.STATUS);
}

const READ_WRITE = { isReadable: true, isWriteable: true, fileOffset: 0 };

describe.runIf(hasCompiler)("a server", () => {
	test.each([[[]], [["twin"]]])("is asked on where another thread has asked what it is (%j)", async (words) => {
		const { path } = await startServer(...words);
		const before = readdirSync("/proc/self/fd").length;
		const handedOver = structuredClone(VfioUserClient.connect(path, SECONDS).handOver());
		const client = VfioUserClient.takeOver(handedOver, SECONDS);
		expect(client.regions[2]).toMatchObject({ size: 65536, areas: [{ offset: 0, size: 16384 }] });
		writeWord(client, Copier.SCRATCH, 7n);
		expect(readWord(client, Copier.SCRATCH)).toBe(7n);
		serveMemory(client, 0x2000);
		client.map({ ...READ_WRITE, address: 0n, size: 0x2000n }, undefined);
		expect(copy(client, 0n, 0x1000n, 16)).toBe(0n);
		client.close();
		expect(readdirSync("/proc/self/fd").length).toBe(before);
	});

	test("tells what its device is", async () => {
		const client = await connect();
		expect(client.info).toEqual({ canReset: true, regions: 9, interrupts: 5 });
		expect(client.regions[2]).toMatchObject({ size: 65536, areas: [{ offset: 0, size: 16384 }], fileOffset: 0 });
		expect(client.regions[2].fd).toBeGreaterThan(2);
		expect(identityOf(client)).toEqual({
			vendor: 0x1234,
			device: 0xd1c0,
			subsystemVendor: 0x1234,
			subsystem: 1,
			revision: 1,
			class: 0x120000,
			bars: [
				{ index: 0, size: 4096, space: "memory32", prefetchable: false },
				{ index: 2, size: 65536, space: "memory64", prefetchable: true },
			],
			interruptPin: 1,
			msiVectors: 0,
			msix: { vectors: 4, bar: 0, tableOffset: 0x800, pendingOffset: 0xc00 },
			express: false,
		});
	});

	test("has registers that are read and written, and are as new after a reset", async () => {
		const client = await connect();
		writeWord(client, Copier.SCRATCH, 0x1122_3344_5566_7788n);
		expect(readWord(client, Copier.SCRATCH)).toBe(0x1122_3344_5566_7788n);
		client.reset();
		expect([readWord(client, Copier.SCRATCH), readWord(client, Copier.RESETS)]).toEqual([0n, 1n]);
	});

	test.each([[[]], [["multi"]]])("takes several writes in their order (%j)", async (words) => {
		const client = await connect(...words);
		client.writeAll([
			{ region: 0, offset: Copier.SCRATCH, size: 8, value: 0xffff_ffff_ffff_ffffn },
			{ region: 0, offset: Copier.SCRATCH, size: 4, value: 0n },
			{ region: 0, offset: Copier.SCRATCH + 1, size: 1, value: 0xabn },
		]);
		expect([readWord(client, Copier.SCRATCH), readWord(client, Copier.MULTIS)]).toEqual([
			0xffff_ffff_0000_ab00n,
			words.length > 0 ? 1n : 0n,
		]);
	});

	test.each([[[]], [["twin"]]])("reaches memory by asking, while it is asked for something (%j)", async (words) => {
		const client = await connect(...words);
		const { memory, asked } = serveMemory(client, 0x40000);
		client.map({ ...READ_WRITE, address: 0n, size: 0x100000n }, undefined);
		memory.fill(7, 0x1000, 0x1000 + 100000);
		expect(copy(client, 0x1000n, 0x20000n, 100000)).toBe(0n);
		expect(Buffer.compare(memory.subarray(0x20000, 0x20000 + 100000), Buffer.alloc(100000, 7))).toBe(0);
		expect(asked).toEqual(["read 4096 65536", "write 131072 65536", "read 69632 34464", "write 196608 34464"]);
		// Refused by whoever answers, and by the server itself.
		expect([copy(client, 0x50000n, 0x1000n, 8), copy(client, 0x200000n, 0x1000n, 8)]).toEqual([14n, 14n]);
		expect(asked.length).toBe(5);
	});

	test("maps memory that comes with a file, and lets go of it before it says so", async () => {
		const client = await connect();
		const { asked } = serveMemory(client, 0);
		const fd = memfdCreate(new NativeMemory(16).setString("memory"), 1);
		onTestFinished(() => void close(fd));
		ftruncate(fd, 0x4000);
		const text = Buffer.from("in a file");
		pwrite(fd, addressOf(text), text.length, 0x1000);
		client.map({ ...READ_WRITE, address: 0x10000n, size: 0x2000n, fileOffset: 0x1000 }, fd);
		expect(copy(client, 0x10000n, 0x11000n, text.length)).toBe(0n);
		const found = Buffer.alloc(text.length);
		pread(fd, addressOf(found), found.length, 0x2000);
		expect([found.toString(), asked, readWord(client, Copier.FILES)]).toEqual(["in a file", [], 1n]);
		expect(() => client.map({ ...READ_WRITE, address: 0x10000n, size: 0x1000n }, undefined)).toThrow(ServerRefused);
		expect(() => client.unmap({ address: 0x10000n, size: 0x1000n })).toThrow(ServerRefused);
		client.unmap({ address: 0x10000n, size: 0x2000n });
		expect([readWord(client, Copier.MAPS), copy(client, 0x10000n, 0x11000n, 8)]).toEqual([0n, 14n]);
	});

	test("signals the eventfds that it is given, until they are taken away", async () => {
		const client = await connect();
		const fds = Array.from({ length: 4 }, () => eventfd(0, 0o4000));
		onTestFinished(() => fds.forEach((fd) => void close(fd)));
		const signalled = () =>
			fds.map((fd) => {
				try {
					return readSync(fd, Buffer.alloc(8));
				} catch {
					return 0;
				}
			});
		client.setEventFds(2, fds);
		copy(client, 0n, 0n, 0, CopierCommand.INTERRUPT | (3 << 8));
		copy(client, 0n, 0n, 0, CopierCommand.INTERRUPT | (1 << 8));
		expect(signalled()).toEqual([0, 8, 0, 8]);
		client.disableInterrupts(2);
		copy(client, 0n, 0n, 0, CopierCommand.INTERRUPT | (3 << 8));
		expect(signalled()).toEqual([0, 0, 0, 0]);
	});

	test("that ends at any of its messages is lost, and nothing is left of it", async () => {
		for (let dies = 1; dies <= 100; dies++) {
			const { path } = await startServer(`die=${dies}`);
			let client: VfioUserClient | undefined;
			expect(() => {
				client = VfioUserClient.connect(path, SECONDS);
				identityOf(client);
				for (let i = 0; i < 100; i++) writeWord(client, Copier.SCRATCH, BigInt(i));
			}).toThrow(ServerLost);
			client?.close();
		}
	});

	test("that stalls is lost when its time is over", async () => {
		const { path } = await startServer("stall=17");
		expect(() => VfioUserClient.connect(path, 50).read(0, 0, new Uint8Array(8))).toThrow("doesn't answer for 0.05 s");
	});

	test("that lies is refused or lost, whatever it says", { timeout: 60_000 }, async () => {
		const openFds = () => readdirSync("/proc/self/fd").length;
		const before = openFds();
		await fc.assert(
			fc.asyncProperty(fc.integer({ min: 1, max: 2 ** 31 }), async (seed) => {
				const { path, process } = await startServer(`lie=${seed}`, "multi");
				let client: VfioUserClient | undefined;
				try {
					client = VfioUserClient.connect(path, 100);
					identityOf(client);
					serveMemory(client, 0x1000);
					client.map({ ...READ_WRITE, address: 0n, size: 0x1000n }, undefined);
					for (let i = 0; i < 30; i++) copy(client, 0n, 0x800n, 16);
				} catch (error) {
					expect((error as Error).message).toMatch(/server/);
				} finally {
					client?.close();
					process.kill("SIGKILL");
				}
			}),
			{ numRuns: 60 },
		);
		expect(openFds()).toBeLessThanOrEqual(before + 4);
	});
});

test("where nobody listens there is nobody to connect to", () => {
	expect(() => VfioUserClient.connect("/nonexistent/socket", SECONDS)).toThrow("ENOENT");
	expect(() => VfioUserClient.connect(`/${"x".repeat(200)}`, SECONDS)).toThrow("up to 107 bytes");
});
