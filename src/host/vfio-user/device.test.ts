import { readdirSync } from "node:fs";
import { describe, expect, onTestFinished, test } from "vitest";
import { allOnes } from "../../devices/endpoint.js";
import { TestPort } from "../../devices/port.testing.js";
import { hasCompiler } from "../testing/c-clients.testing.js";
import { VfioUserClient } from "./client.js";
import { VfioUserDevice } from "./device.js";
import { Interrupt } from "./identity.js";
import { Copier, CopierCommand, startServer } from "./server.testing.js";

const SECONDS = 10_000;
const SIZE = 0x40000;
/** Twice what there is. */
const ALL = { iova: 0n, size: BigInt(2 * SIZE), isReadable: true, isWriteable: true };

async function setUp(...words: string[]) {
	const server = await startServer(...words);
	const port = new TestPort(SIZE);
	const told: string[] = [];
	const client = VfioUserClient.connect(server.path, SECONDS);
	const device = new VfioUserDevice(port, client, (message) => told.push(message));
	onTestFinished(() => device.close());
	const readWord = (offset: number) => device.readRegister(0, offset, 8);
	const writeWord = (offset: number, value: bigint | number) => device.writeRegister(0, offset, 8, BigInt(value));
	const copy = (source: number, destination: number, length: number, flags = 0) => {
		writeWord(Copier.SOURCE, source);
		writeWord(Copier.DESTINATION, destination);
		writeWord(Copier.LENGTH, length);
		writeWord(Copier.COMMAND, CopierCommand.START | flags);
		while (device.work());
		return readWord(Copier.STATUS);
	};
	return { ...server, port, told, device, readWord, writeWord, copy };
}

describe.runIf(hasCompiler)("a function that a server is", () => {
	test.each([[[]], [["multi"]], [["multi", "twin"]]])(
		"has its registers, and does its DMA through the port (%j)",
		async (words) => {
			const { device, port, copy, readWord } = await setUp(...words);
			device.memoryChanged({ ...ALL, kind: "map" });
			port.memory.fill(9, 0x1000, 0x1100);
			expect(copy(0x1000, 0x2000, 0x100)).toBe(0n);
			expect([port.memory[0x2000], port.memory[0x20ff], port.memory[0x2100]]).toEqual([9, 9, 0]);
			expect(readWord(Copier.MULTIS)).toBe(words.length > 0 ? 1n : 0n);
			// Within what the server knows, and refused by the IOMMU.
			expect(copy(SIZE, 0x2000, 8)).toBe(14n);
			device.memoryChanged({ ...ALL, kind: "unmap" });
			expect([readWord(Copier.MAPS), copy(0x1000, 0x2000, 8)]).toEqual([0n, 14n]);
		},
	);

	test("interrupts by the kind that is on, and by none before", async () => {
		const { device, port, writeWord } = await setUp();
		const interrupt = (vector: number) => {
			writeWord(Copier.COMMAND, CopierCommand.START | CopierCommand.INTERRUPT | (vector << 8));
			// The server signals before it answers.
			device.work();
		};
		interrupt(1);
		expect(port.interrupts).toEqual([]);
		device.interruptsChanged(Interrupt.MSIX);
		interrupt(1);
		interrupt(3);
		expect(port.interrupts).toEqual([1, 3]);
		device.interruptsChanged(Interrupt.INTX);
		interrupt(1);
		expect([port.interrupts, port.isAsserted]).toEqual([[1, 3, 0], true]);
		device.readRegister(0, Copier.STATUS, 8);
		expect(port.isAsserted).toBe(false);
		device.interruptsChanged(undefined);
		interrupt(1);
		expect(port.interrupts.length).toBe(3);
	});

	test("is told what is written to the command register, and is reset", async () => {
		const { device, readWord, writeWord } = await setUp();
		device.commandChanged(6);
		writeWord(Copier.SCRATCH, 5);
		expect([readWord(Copier.CONFIG_COMMAND), readWord(Copier.SCRATCH)]).toEqual([6n, 5n]);
		writeWord(Copier.SCRATCH, 7);
		device.reset();
		expect([readWord(Copier.SCRATCH), readWord(Copier.RESETS)]).toEqual([0n, 1n]);
	});

	test("is told of everything in the order in which it happened, also after something that its server refuses", async () => {
		const { device, port, readWord, writeWord } = await setUp();
		device.memoryChanged({ ...ALL, kind: "map" });
		port.memory.fill(5, 0x1000, 0x1010);
		writeWord(0x800, 1);
		writeWord(Copier.SOURCE, 0x1000);
		writeWord(Copier.DESTINATION, 0x2000);
		writeWord(Copier.LENGTH, 16);
		writeWord(Copier.COMMAND, CopierCommand.START);
		device.memoryChanged({ ...ALL, kind: "unmap" });
		expect([port.memory[0x200f], readWord(Copier.STATUS), readWord(Copier.MAPS)]).toEqual([5, 0n, 0n]);
		writeWord(Copier.SCRATCH, 3);
		device.commandChanged(4);
		expect([readWord(Copier.SCRATCH), readWord(Copier.CONFIG_COMMAND)]).toEqual([3n, 4n]);
	});

	test("reads as all ones once its server is lost, says so once, and keeps nothing open", async () => {
		const { device, told, readWord, writeWord, process } = await setUp();
		const before = readdirSync("/proc/self/fd").length;
		device.interruptsChanged(Interrupt.MSIX);
		process.kill("SIGKILL");
		await new Promise((resolve) => process.on("exit", resolve));
		expect(readWord(Copier.SCRATCH)).toBe(allOnes(8));
		for (let i = 0; i < 200; i++) writeWord(Copier.SCRATCH, i);
		device.commandChanged(0);
		device.memoryChanged({ ...ALL, kind: "map" });
		device.interruptsChanged(Interrupt.MSIX);
		device.reset();
		expect([device.work(), device.isLost, device.fds]).toEqual([false, true, []]);
		expect(told).toEqual([expect.stringContaining("the vfio-user server is lost")]);
		device.close();
		expect(readdirSync("/proc/self/fd").length).toBeLessThan(before);
	});
});
