// QEMU's educational device: a page of memory of its own, and registers that copy between it and the memory of the machine.
// docs/specs/edu.rst of QEMU. Different here: addresses have 64 bits instead of 28, and two registers are ours, which tell
// with which PASID a DMA is made and how the last one ended.

import * as v from "valibot";
import type { DmaFault } from "../iommu/translation/dma-fault.js";
import { allOnes, type Endpoint, type EndpointPort } from "./endpoint.js";
import type { DeviceModel } from "./model.js";

export const edu: DeviceModel = {
	name: "edu",
	summary: "QEMU's educational device: registers, a buffer, DMA to and from it, interrupts",
	options: v.strictObject({}),
	identity: () => ({
		vendor: 0x1234,
		device: 0x11e8,
		revision: 0x10,
		class: 0x00ff00,
		bars: [{ index: 0, size: 1024 * 1024 }],
		interruptPin: 1,
		msiVectors: 1,
	}),
	create: (port) => new EduDevice(port),
};

/** Registers in BAR 0. */
export const EduRegister = {
	/** Major and minor version, and "edu" as well as hexadecimal digits spell it. */
	IDENTIFICATION: 0x00,
	/** Reads as the complement of what was written. */
	LIVENESS: 0x04,
	/** Reads as the factorial of what was written, modulo 2^32. */
	FACTORIAL: 0x08,
	STATUS: 0x20,
	INTERRUPT_STATUS: 0x24,
	INTERRUPT_RAISE: 0x60,
	INTERRUPT_ACKNOWLEDGE: 0x64,
	DMA_SOURCE: 0x80,
	DMA_DESTINATION: 0x88,
	DMA_COUNT: 0x90,
	DMA_COMMAND: 0x98,
	/** Ours: 0 for no PASID. */
	DMA_PASID: 0xa0,
	/** Ours: a value of EduDmaResult for the last DMA. */
	DMA_RESULT: 0xa8,
} as const;

export const EduStatus = { INTERRUPT_AFTER_FACTORIAL: 0x80 } as const;

/** Bits of DMA_COMMAND. */
export const EduDma = {
	START: 1,
	/** From the device to memory; without it from memory to the device. */
	TO_MEMORY: 2,
	/** Interrupt when it is over. */
	INTERRUPT: 4,
} as const;

export const EduDmaResult = {
	OK: 0,
	/** The IOMMU refused it. */
	FAULT: 1,
	/** Its end in the device is outside of the buffer. */
	OUTSIDE_BUFFER: 2,
} as const;

/** The device's memory as its own end of a DMA: an address of the device, which is no offset in the BAR. */
export const EDU_BUFFER = 0x40000n;
export const EDU_BUFFER_SIZE = 4096;

const IDENTITY = 0x010000edn;
const FACTORIAL_INTERRUPT = 1;
const DMA_INTERRUPT = 0x100;
/** Registers from here on are 64 bits wide, and can be accessed in halves. */
const FIRST_WIDE = EduRegister.DMA_SOURCE;
const END_OF_WIDE = EduRegister.DMA_RESULT + 8;

export class EduDevice implements Endpoint {
	readonly #port: EndpointPort;
	readonly #buffer = new Uint8Array(EDU_BUFFER_SIZE);
	#liveness = 0;
	#factorial = 0;
	#status = 0;
	#interrupts = 0;
	/** The wide registers by offset. */
	readonly #wide = new Map<number, bigint>();
	/** Why the last DMA failed: for people. */
	lastFault: DmaFault | undefined;

	constructor(port: EndpointPort) {
		this.#port = port;
	}

	readRegister(bar: number, offset: number, size: number): bigint {
		if (bar !== 0) return allOnes(size);
		if (offset >= FIRST_WIDE && offset < END_OF_WIDE) return this.#readWide(offset, size);
		if (size !== 4) return allOnes(size);
		switch (offset) {
			case EduRegister.IDENTIFICATION:
				return IDENTITY;
			case EduRegister.LIVENESS:
				return BigInt(this.#liveness);
			case EduRegister.FACTORIAL:
				return BigInt(this.#factorial);
			case EduRegister.STATUS:
				return BigInt(this.#status);
			case EduRegister.INTERRUPT_STATUS:
				return BigInt(this.#interrupts);
			default:
				return allOnes(size);
		}
	}

	writeRegister(bar: number, offset: number, size: number, value: bigint): void {
		if (bar !== 0) return;
		if (offset >= FIRST_WIDE && offset < END_OF_WIDE) {
			this.#writeWide(offset, size, value);
			return;
		}
		if (size !== 4) return;
		const word = Number(value);
		switch (offset) {
			case EduRegister.LIVENESS:
				this.#liveness = ~word >>> 0;
				break;
			case EduRegister.FACTORIAL:
				this.#factorial = factorial(word);
				if (this.#status & EduStatus.INTERRUPT_AFTER_FACTORIAL) this.#raise(FACTORIAL_INTERRUPT);
				break;
			case EduRegister.STATUS:
				this.#status = word & EduStatus.INTERRUPT_AFTER_FACTORIAL;
				break;
			case EduRegister.INTERRUPT_RAISE:
				this.#raise(word);
				break;
			case EduRegister.INTERRUPT_ACKNOWLEDGE:
				this.#interrupts = (this.#interrupts & ~word) >>> 0;
				if (this.#interrupts === 0) this.#port.deassert();
				break;
		}
	}

	reset(): void {
		this.#buffer.fill(0);
		this.#liveness = 0;
		this.#factorial = 0;
		this.#status = 0;
		this.#interrupts = 0;
		this.#port.deassert();
		this.#wide.clear();
		this.lastFault = undefined;
	}

	#readWide(offset: number, size: number): bigint {
		const shift = shiftOf(offset, size);
		if (shift === undefined) return allOnes(size);
		return ((this.#wide.get(offset & ~7) ?? 0n) >> shift) & allOnes(size);
	}

	/** The half of the command that has START starts it; it is over when the write is. */
	#writeWide(offset: number, size: number, value: bigint): void {
		const register = offset & ~7;
		const shift = shiftOf(offset, size);
		if (shift === undefined || register === EduRegister.DMA_RESULT) return;
		const others = (this.#wide.get(register) ?? 0n) & ~(allOnes(size) << shift);
		this.#wide.set(register, others | (value << shift));
		if (register === EduRegister.DMA_COMMAND && shift === 0n && Number(value) & EduDma.START) this.#run();
	}

	#run(): void {
		const command = this.#value(EduRegister.DMA_COMMAND);
		const result = this.#transfer((command & BigInt(EduDma.TO_MEMORY)) !== 0n);
		this.#wide.set(EduRegister.DMA_RESULT, BigInt(result));
		this.#wide.set(EduRegister.DMA_COMMAND, command & ~BigInt(EduDma.START));
		if (command & BigInt(EduDma.INTERRUPT)) this.#raise(DMA_INTERRUPT);
	}

	/** @returns a value of EduDmaResult */
	#transfer(toMemory: boolean): number {
		const source = this.#value(EduRegister.DMA_SOURCE);
		const destination = this.#value(EduRegister.DMA_DESTINATION);
		const count = this.#value(EduRegister.DMA_COUNT);
		const pasid = Number(this.#value(EduRegister.DMA_PASID));
		const [iova, own] = toMemory ? [destination, source] : [source, destination];
		if (own < EDU_BUFFER || own + count > EDU_BUFFER + BigInt(EDU_BUFFER_SIZE)) return EduDmaResult.OUTSIDE_BUFFER;
		const start = Number(own - EDU_BUFFER);
		const piece = this.#buffer.subarray(start, start + Number(count));
		this.lastFault = toMemory ? this.#port.writeMemory(iova, piece, pasid) : this.#port.readMemory(iova, piece, pasid);
		return this.lastFault === undefined ? EduDmaResult.OK : EduDmaResult.FAULT;
	}

	#value(register: number): bigint {
		return this.#wide.get(register) ?? 0n;
	}

	#raise(bits: number): void {
		this.#interrupts = (this.#interrupts | bits) >>> 0;
		this.#port.interrupt(0);
	}
}

/** Where an access lies in its register of 64 bits; undefined when it is none of its halves nor the whole. */
function shiftOf(offset: number, size: number): bigint | undefined {
	if (size === 8 && offset % 8 === 0) return 0n;
	if (size === 4 && offset % 4 === 0) return BigInt((offset % 8) * 8);
	return undefined;
}

function factorial(n: number): number {
	let product = 1;
	// From 34 on it is a multiple of 2^32.
	if (n >= 34) return 0;
	for (let factor = 2; factor <= n; factor++) product = Math.imul(product, factor);
	return product >>> 0;
}
