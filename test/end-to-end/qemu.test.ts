// QEMU with a device of ours passed through to its guest: vfio-pci, unmodified, by the device's group and a container, or by iommufd. The
// guest is this test, by qtest, which reads and writes as a guest's processor does. docs/devel/testing/qtest.rst of QEMU.

import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { createInterface } from "node:readline";
import { afterEach, describe, expect, test, vi } from "vitest";
import { command } from "./programs.js";

// It may be busy here with other tests.
vi.setConfig({ testTimeout: 120_000 });

const objects = spawnSync("qemu-system-x86_64", ["-object", "help"], { encoding: "utf8" }).stdout ?? "";
/** How QEMU gets at a device: what it is told of that, and whether this one can. */
const WAYS = [
	{ way: "a group", object: [], option: "", isThere: objects !== "" },
	// Since 9.0.
	{
		way: "iommufd",
		object: ["-object", "iommufd,id=iommu"],
		option: "iommufd=iommu,",
		isThere: objects.includes("iommufd"),
	},
];

const MACHINES = ["intel", "amd", "arm"];
/** Of the machine. */
const DEVICE = "0000:00:02.0";
/** The guest's machine, a q35, has slot 1 for the device. */
const SLOT = 1;
const PCI_ADDRESS_PORT = 0xcf8;
const PCI_DATA_PORT = 0xcfc;
const COMMAND_REGISTER = 4;
const BAR0 = 0x10;
const MEMORY = 2;
const MEMORY_AND_MASTER = 6;
/** Where the guest puts the device's registers, and what its memory has of it. */
const REGISTERS = 0xe000_0000;
const GUEST_SOURCE = 0x10_0000;
const GUEST_DESTINATION = 0x20_0000;

/** edu's */
const IDENTIFICATION = REGISTERS;
const DMA_SOURCE = REGISTERS + 0x80;
const DMA_DESTINATION = REGISTERS + 0x88;
const DMA_COUNT = REGISTERS + 0x90;
const DMA_COMMAND = REGISTERS + 0x98;
const DEVICE_BUFFER = 0x40000;
const TO_DEVICE = 1;
const TO_MEMORY = 3;

let qemu: Qemu | undefined;
afterEach(() => qemu?.stop());

class Qemu {
	readonly #process: ChildProcessWithoutNullStreams;
	readonly #answers: AsyncIterator<string>;
	#errors = "";

	constructor(machine: string, { object, option }: (typeof WAYS)[number]) {
		const words = "-M q35 -accel tcg -S -m 64M -display none -nodefaults -qtest stdio".split(" ");
		const passed = [...object, "-device", `vfio-pci,${option}addr=${SLOT},host=${DEVICE}`];
		this.#process = spawn(command, [
			...["run", "--quiet", "--machine", machine, "--", "qemu-system-x86_64"],
			...[...words, ...passed],
		]);
		this.#process.stderr.on("data", (text) => {
			this.#errors += text;
		});
		this.#answers = createInterface(this.#process.stdout)[Symbol.asyncIterator]();
	}

	/** What a command answers, without its OK. */
	async ask(...words: (string | number)[]): Promise<string> {
		this.#process.stdin.write(
			`${words.map((word) => (typeof word === "number" ? `0x${word.toString(16)}` : word)).join(" ")}\n`,
		);
		for (;;) {
			const { value, done } = await this.#answers.next();
			if (done) throw new Error(`QEMU has ended: ${this.#errors}`);
			// What else comes tells of interrupts.
			if (value.startsWith("OK")) return value.slice(3);
			if (value.startsWith("FAIL")) throw new Error(value);
		}
	}

	async read(address: number): Promise<number> {
		return Number(await this.ask("readl", address));
	}

	async write(address: number, value: number): Promise<void> {
		await this.ask("writel", address, value);
	}

	async readConfig(register: number): Promise<number> {
		await this.ask("outl", PCI_ADDRESS_PORT, 0x8000_0000 + (SLOT << 11) + register);
		return Number(await this.ask("inl", PCI_DATA_PORT));
	}

	async writeConfig(register: number, value: number): Promise<void> {
		await this.ask("outl", PCI_ADDRESS_PORT, 0x8000_0000 + (SLOT << 11) + register);
		await this.ask("outl", PCI_DATA_PORT, value);
	}

	stop(): void {
		this.#process.kill("SIGKILL");
	}

	/** Asks it to end. @returns its exit code */
	end(): Promise<number | null> {
		const code = new Promise<number | null>((resolve) => this.#process.on("close", resolve));
		this.#process.kill("SIGTERM");
		return code;
	}
}

/** Four bytes go from the guest's memory to the device and back to another place of it. */
async function dma(guest: Qemu, value: number): Promise<number> {
	await guest.write(GUEST_SOURCE, value);
	const move = async (from: number, to: number, direction: number) => {
		await guest.write(DMA_SOURCE, from);
		await guest.write(DMA_DESTINATION, to);
		await guest.write(DMA_COUNT, 4);
		await guest.write(DMA_COMMAND, direction);
	};
	await move(GUEST_SOURCE, DEVICE_BUFFER, TO_DEVICE);
	await move(DEVICE_BUFFER, GUEST_DESTINATION, TO_MEMORY);
	return guest.read(GUEST_DESTINATION);
}

describe.each(WAYS)("through $way", (way) => {
	test.skipIf(!way.isThere).each(MACHINES)(
		"%s: a guest of QEMU's has the device, and the device its memory",
		async (machine) => {
			const guest = new Qemu(machine, way);
			qemu = guest;
			expect(await guest.readConfig(0)).toBe(0x11e8_1234);
			await guest.writeConfig(BAR0, REGISTERS);
			await guest.writeConfig(COMMAND_REGISTER, MEMORY_AND_MASTER);
			expect(await guest.read(IDENTIFICATION)).toBe(0x0100_00ed);
			expect(await dma(guest, 0xcafe_f00d)).toBe(0xcafe_f00d);
			await guest.writeConfig(COMMAND_REGISTER, MEMORY);
			expect(await dma(guest, 0x1234)).toBe(0xcafe_f00d);
			expect(await guest.end()).toBe(0);
		},
	);
});
