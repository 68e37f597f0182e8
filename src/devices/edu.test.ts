import { expect, test } from "vitest";
import { EDU_BUFFER, EduDevice, EduDma, EduDmaResult, EduRegister, EduStatus } from "./edu.js";
import type { EndpointPort } from "./endpoint.js";

/** A device with memory of 64 KiB in front of it, and no IOMMU. */
function setUp() {
	const memory = new Uint8Array(0x10000);
	const seen: string[] = [];
	const port: EndpointPort = {
		readMemory(iova, into, pasid) {
			seen.push(`read ${iova} ${pasid}`);
			into.set(memory.subarray(Number(iova), Number(iova) + into.length));
			return undefined;
		},
		writeMemory(iova, from, pasid) {
			seen.push(`write ${iova} ${pasid}`);
			memory.set(from, Number(iova));
			return undefined;
		},
		interrupt: (vector) => seen.push(`interrupt ${vector}`),
		deassert: () => seen.push("deassert"),
		wake: () => {},
		memoryOf: () => new Uint8Array(0),
		setDoorbell: () => {},
		tell: () => {},
	};
	const edu = new EduDevice(port);
	const read = (offset: number, size = 4) => edu.readRegister(0, offset, size);
	const write = (offset: number, value: bigint, size = 4) => edu.writeRegister(0, offset, size, value);
	return { edu, memory, seen, read, write };
}

test("it says who it is, and that it lives", () => {
	const { edu, read, write } = setUp();
	expect(read(EduRegister.IDENTIFICATION)).toBe(0x010000edn);
	write(EduRegister.LIVENESS, 0x1234_5678n);
	expect(read(EduRegister.LIVENESS)).toBe(0xedcb_a987n);
	expect([read(EduRegister.IDENTIFICATION, 2), read(0x40), edu.readRegister(1, 0, 4)]).toEqual([
		0xffffn,
		0xffff_ffffn,
		0xffff_ffffn,
	]);
});

test("it computes factorials modulo 2^32, and interrupts if it is to", () => {
	const { read, write, seen } = setUp();
	const factorial = (n: bigint) => {
		write(EduRegister.FACTORIAL, n);
		return read(EduRegister.FACTORIAL);
	};
	expect([0n, 1n, 5n, 12n, 13n, 33n, 34n].map(factorial)).toEqual([
		1n,
		1n,
		120n,
		479001600n,
		6227020800n % 2n ** 32n,
		2n ** 31n,
		0n,
	]);
	expect(seen).toEqual([]);
	write(EduRegister.STATUS, BigInt(EduStatus.INTERRUPT_AFTER_FACTORIAL | 1));
	expect(read(EduRegister.STATUS)).toBe(0x80n);
	factorial(3n);
	expect([seen, read(EduRegister.INTERRUPT_STATUS)]).toEqual([["interrupt 0"], 1n]);
	write(EduRegister.INTERRUPT_RAISE, 2n);
	write(EduRegister.INTERRUPT_ACKNOWLEDGE, 1n);
	expect(read(EduRegister.INTERRUPT_STATUS)).toBe(2n);
	write(EduRegister.INTERRUPT_ACKNOWLEDGE, 2n);
	expect(seen).toEqual(["interrupt 0", "interrupt 0", "deassert"]);
});

test("a DMA goes to its buffer and from there to memory, in one register write each", () => {
	const { memory, read, write, seen } = setUp();
	memory.set([1, 2, 3, 4], 0x1000);
	write(EduRegister.DMA_SOURCE, 0x1000n, 8);
	write(EduRegister.DMA_DESTINATION, EDU_BUFFER + 8n, 8);
	write(EduRegister.DMA_COUNT, 4n, 8);
	write(EduRegister.DMA_COMMAND, BigInt(EduDma.START), 8);
	expect([read(EduRegister.DMA_COMMAND, 8), read(EduRegister.DMA_RESULT)]).toEqual([0n, BigInt(EduDmaResult.OK)]);
	write(EduRegister.DMA_SOURCE, EDU_BUFFER + 8n, 8);
	// In halves, as a program with 32-bit accesses does it.
	write(EduRegister.DMA_DESTINATION + 4, 0n);
	write(EduRegister.DMA_DESTINATION, 0x2000n);
	write(EduRegister.DMA_PASID, 7n);
	write(EduRegister.DMA_COMMAND, BigInt(EduDma.START | EduDma.TO_MEMORY | EduDma.INTERRUPT));
	expect([...memory.subarray(0x2000, 0x2004)]).toEqual([1, 2, 3, 4]);
	expect(seen).toEqual(["read 4096 0", "write 8192 7", "interrupt 0"]);
	expect(read(EduRegister.INTERRUPT_STATUS)).toBe(0x100n);
});

test("a DMA whose own end isn't in the buffer does nothing", () => {
	const { read, write, seen } = setUp();
	write(EduRegister.DMA_DESTINATION, EDU_BUFFER + 4090n, 8);
	write(EduRegister.DMA_COUNT, 7n, 8);
	write(EduRegister.DMA_COMMAND, BigInt(EduDma.START), 8);
	expect([seen, read(EduRegister.DMA_RESULT)]).toEqual([[], BigInt(EduDmaResult.OUTSIDE_BUFFER)]);
});

test("a reset forgets everything", () => {
	const { edu, read, write } = setUp();
	write(EduRegister.LIVENESS, 1n);
	write(EduRegister.DMA_COUNT, 7n, 8);
	edu.reset();
	expect([read(EduRegister.LIVENESS), read(EduRegister.DMA_COUNT, 8)]).toEqual([0n, 0n]);
});
