// Intel's Data Streaming Accelerator, version 1.0: work queues whose portals take descriptors of 64 bytes, and an engine that moves
// memory as they say. Intel Data Streaming Accelerator Architecture Specification, revision 1.0 and later (order number 341204).
// What is left out stands in docs/ioat-dsa.md.

import { allOnes, type Endpoint, type EndpointPort } from "../endpoint.js";
import { PlainRegister, RegisterMap, readOnly } from "../register-map.js";
import { Commands } from "./commands.js";
import { DESCRIPTOR_SIZE } from "./descriptor.js";
import { Engine } from "./engine.js";
import { Groups } from "./groups.js";
import { OPCAP } from "./operations.js";
import {
	DeviceState,
	DsaRegister,
	ENGCAP,
	GRPCAP,
	gencap,
	IntCause,
	OFFSETS,
	QUEUES,
	SOFTWARE_ERROR_INTERRUPT,
	VECTORS,
	VERSION_1_0,
	WQCAP,
} from "./registers.js";
import { SoftwareErrors } from "./software-errors.js";
import { WorkQueue } from "./work-queue.js";

export const REGISTERS_BAR = 0;
export const PORTALS_BAR = 2;
/** Each queue has four portals: limited and unlimited, for MSI-X and for IMS. They do the same here. 3.3 "Portals" */
const PORTALS_OF_QUEUE = 4 * 4096;
export const PORTALS_SIZE = QUEUES * PORTALS_OF_QUEUE;

/** Bytes that are moved in one piece of work: below a millisecond. */
const BUDGET = 1024 * 1024;
/** MSIXPERM. */
const PASID_ENABLE = 1n << 3n;
/** The vector that is for the device itself. */
const DEVICE_VECTOR = 0;

export class Dsa implements Endpoint {
	readonly #port: EndpointPort;
	readonly #registers = new RegisterMap();
	readonly #queues: WorkQueue[];
	readonly #groups: Groups;
	readonly #errors: SoftwareErrors;
	readonly #engine: Engine;
	readonly #commands: Commands;
	readonly #plain: PlainRegister[] = [];
	readonly #genctrl: PlainRegister;
	readonly #permissions: PlainRegister[];
	#intCause = 0;

	/** @param maxTransferShift a descriptor moves up to 2 to the power of it bytes */
	constructor(port: EndpointPort, maxTransferShift: number) {
		this.#port = port;
		const registers = this.#registers;
		const isDeviceEnabled = () => this.#commands.isDeviceEnabled;
		this.#addCapabilities(gencap(maxTransferShift));
		this.#addPlain(DsaRegister.GENCFG, 4);
		this.#genctrl = this.#addPlain(DsaRegister.GENCTRL, 4);
		// With no PASID of the device's own, a vector that asks for one is nobody's.
		this.#permissions = Array.from({ length: VECTORS }, (_, i) => this.#addPlain(DsaRegister.MSIXPERM + 8 * i, 4));
		const canInterrupt = (vector: number) => (this.#permissions[vector].value & PASID_ENABLE) === 0n;
		this.#queues = Array.from(
			{ length: QUEUES },
			(_, index) => new WorkQueue(index, registers, maxTransferShift, isDeviceEnabled, canInterrupt),
		);
		this.#groups = new Groups(registers, isDeviceEnabled);
		this.#errors = new SoftwareErrors(registers, () =>
			this.#cause(IntCause.SOFTWARE_ERROR, (this.#genctrl.value & SOFTWARE_ERROR_INTERRUPT) !== 0n),
		);
		this.#engine = new Engine(port, this.#errors, this.#queues, (queue) => this.#groups.serves(queue));
		this.#commands = new Commands(registers, {
			queues: this.#queues,
			groups: this.#groups,
			engine: this.#engine,
			reset: () => this.reset(),
			onDone: () => this.#cause(IntCause.COMMAND, true),
		});
	}

	readRegister(bar: number, offset: number, size: number): bigint {
		return bar === REGISTERS_BAR ? this.#registers.read(offset, size) : allOnes(size);
	}

	/** Portals take nothing shorter than a descriptor. */
	writeRegister(bar: number, offset: number, size: number, value: bigint): void {
		if (bar === REGISTERS_BAR) this.#registers.write(offset, size, value);
	}

	writeBlock(bar: number, offset: number, from: Uint8Array): void {
		if (bar !== PORTALS_BAR || from.length !== DESCRIPTOR_SIZE) return;
		this.#queues[Math.floor(offset / PORTALS_OF_QUEUE)]?.submit(from);
	}

	work(): boolean {
		const hasMore = this.#engine.work(BUDGET);
		this.#commands.work();
		return hasMore;
	}

	/** Reset Device and a reset of the function do the same. */
	reset(): void {
		for (const queue of this.#queues) {
			this.#engine.abort(queue);
			queue.reset();
		}
		this.#groups.reset();
		this.#errors.reset();
		this.#commands.reset();
		for (const register of this.#plain) register.value = 0n;
		this.#intCause = 0;
	}

	#addCapabilities(gencap: bigint): void {
		const registers = this.#registers;
		for (const [offset, value] of [
			[DsaRegister.VERSION, VERSION_1_0],
			[DsaRegister.GENCAP, gencap],
			[DsaRegister.WQCAP, WQCAP],
			[DsaRegister.GRPCAP, GRPCAP],
			[DsaRegister.ENGCAP, ENGCAP],
			[DsaRegister.OPCAP, BigInt(OPCAP)],
			[DsaRegister.OFFSETS, OFFSETS],
		] as const)
			registers.add(
				offset,
				readOnly(8, () => value),
			);
		registers.add(
			DsaRegister.GENSTS,
			readOnly(4, () => BigInt(this.#commands.isDeviceEnabled ? DeviceState.ENABLED : DeviceState.DISABLED)),
		);
		registers.add(DsaRegister.INTCAUSE, {
			size: 4,
			read: () => BigInt(this.#intCause),
			write: (bits) => {
				this.#intCause &= ~Number(bits);
			},
		});
	}

	#addPlain(offset: number, size: 4): PlainRegister {
		const register = this.#registers.add(offset, new PlainRegister(size));
		this.#plain.push(register);
		return register;
	}

	#cause(cause: number, interrupts: boolean): void {
		this.#intCause |= cause;
		if (interrupts) this.#port.interrupt(DEVICE_VECTOR);
	}
}
