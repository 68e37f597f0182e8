// The bus between loads and stores of programs and a function's model, in its device thread.

import { allOnes, type Endpoint } from "../../devices/endpoint.js";
import { MSIX_ENTRY_SIZE, msixTableOf } from "../../vfio/bar-window.js";
import type { PciHardware } from "../../vfio/pci-config.js";
import type { RegisterBus } from "../registers/register-bus.js";
import type { FunctionState } from "./link.js";

/** Bytes of a BlockStore are stored in pieces of so many where a model doesn't take them at once. */
const PIECE = 8;
/** Of a vector's control word in an MSI-X table: it is masked, which is how it is after a reset. */
const VECTOR_CONTROL = 12;
const MASKED = 1;

/** What accesses meet. */
export interface FunctionOnBus {
	readonly state: FunctionState;
	readonly hardware: Pick<PciHardware, "bars" | "msix">;
	/** What answers; undefined where nothing does. */
	readonly endpoint: Endpoint | undefined;
	/** Is called before and after each access. */
	beginAccess(): void;
	endAccess(): void;
	/** Is told what a model has thrown, whose end that is. */
	broken(error: unknown): void;
}

export class FunctionBus implements RegisterBus {
	readonly #on: FunctionOnBus;
	/** Whoever maps it sees the table, though only the kernel's own entries count: so what is stored here is kept, and has no effect. */
	readonly #table: DataView | undefined;

	constructor(on: FunctionOnBus) {
		this.#on = on;
		const { msix } = on.hardware;
		if (msix === undefined) return;
		this.#table = new DataView(new ArrayBuffer(msix.vectors * MSIX_ENTRY_SIZE));
		for (let entry = 0; entry < msix.vectors; entry++)
			this.#table.setUint32(entry * MSIX_ENTRY_SIZE + VECTOR_CONTROL, MASKED, true);
	}

	isDecoding(): boolean {
		return this.#on.state.isReachable;
	}

	read(bar: number, offset: number, size: number): bigint {
		const at = this.#inTable(bar, offset);
		if (at !== undefined) return this.#readTable(at, size);
		return this.#access(allOnes(size), (endpoint) => endpoint.readRegister(bar, offset, size));
	}

	peek(bar: number, offset: number): bigint {
		const at = this.#inTable(bar, offset);
		if (at !== undefined) return this.#readTable(at, 4);
		const { endpoint } = this.#on;
		if (endpoint?.peekRegister === undefined) return this.read(bar, offset, 4);
		return this.#access(allOnes(4), () => endpoint.peekRegister!(bar, offset, 4));
	}

	write(bar: number, offset: number, size: number, value: bigint): void {
		const at = this.#inTable(bar, offset);
		if (at === undefined) this.#access(undefined, (endpoint) => endpoint.writeRegister(bar, offset, size, value));
		else for (let i = 0; i < size; i++) this.#table!.setUint8(at + i, Number((value >> BigInt(8 * i)) & 0xffn));
	}

	writeBlock(bar: number, offset: number, from: Uint8Array): void {
		const { endpoint } = this.#on;
		if (endpoint?.writeBlock !== undefined && this.#inTable(bar, offset) === undefined) {
			this.#access(undefined, () => endpoint.writeBlock!(bar, offset, from));
			return;
		}
		const view = new DataView(from.buffer, from.byteOffset, from.byteLength);
		for (let at = 0; at < from.length; at += PIECE) this.write(bar, offset + at, PIECE, view.getBigUint64(at, true));
	}

	/** Where in the MSI-X table an access is, if it is there. */
	#inTable(bar: number, offset: number): number | undefined {
		if (this.#table === undefined) return undefined;
		const { start, end } = msixTableOf(this.#on.hardware, bar);
		return offset >= start && offset < end ? offset - start : undefined;
	}

	#readTable(at: number, size: number): bigint {
		let value = 0n;
		for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.#table!.getUint8(at + i));
		return value;
	}

	#access<T>(otherwise: T, access: (endpoint: Endpoint) => T): T {
		const on = this.#on;
		on.beginAccess();
		const { endpoint } = on;
		if (endpoint === undefined) return otherwise;
		try {
			return access(endpoint);
		} catch (error) {
			on.broken(error);
			return otherwise;
		} finally {
			on.endAccess();
		}
	}
}
