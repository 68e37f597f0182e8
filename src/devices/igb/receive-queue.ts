// One receive queue: frames are put into the buffers that descriptors lead to. 82576 data sheet 7.1.3 "Receive data storage",
// 7.1.4, 7.1.5.

import type { EndpointPort } from "../endpoint.js";
import { DescriptorRing } from "./descriptor-ring.js";
import type { Interrupts } from "./interrupts.js";
import type { DescribedPacket } from "./receive-offload.js";
import type { PlainRegister, RegisterFile } from "./register-file.js";
import {
	Cause,
	Dctl,
	OLD_QUEUE_STRIDE,
	OLD_QUEUES,
	OLD_RXDMA,
	QUEUE_STRIDE,
	QueueRegister,
	Rctl,
	Register,
	Srrctl,
} from "./registers.js";

/** By RCTL.BSIZE. */
const BUFFER_SIZES = [2048, 1024, 512, 256] as const;
/** In descriptors. */
const THRESHOLD_UNIT = 16;
/** RXDCTL: WTHRESH is 1. */
const DCTL_AT_RESET = 1 << 16;

/** As software gets it. */
export interface ReceivedPacket {
	readonly description: DescribedPacket;
	readonly bytes: Uint8Array;
}

export class ReceiveQueue {
	readonly #port: EndpointPort;
	readonly #ring: DescriptorRing;
	readonly #interrupts: Interrupts;
	readonly #rctl: PlainRegister;
	readonly #srrctl: PlainRegister;
	/** How much of the frame that is being stored is in memory already. */
	#stored = 0;
	#dropped = 0;

	constructor(queue: number, port: EndpointPort, registers: RegisterFile, interrupts: Interrupts, rctl: PlainRegister) {
		this.#port = port;
		this.#interrupts = interrupts;
		this.#rctl = rctl;
		const addresses = [Register.RXDMA + queue * QUEUE_STRIDE];
		if (queue < OLD_QUEUES) addresses.push(OLD_RXDMA + queue * OLD_QUEUE_STRIDE);
		this.#ring = new DescriptorRing(port, registers, {
			addresses,
			dctl: DCTL_AT_RESET | (queue === 0 ? Dctl.ENABLE : 0),
			isDirectionOn: () => rctl.has(Rctl.RXEN),
			onChange: () => {
				this.#stored = 0;
			},
			onWriteBack: () => interrupts.raiseQueue("receive", queue),
		});
		const [first, ...others] = addresses;
		this.#srrctl = registers.plain(first + QueueRegister.SRRCTL);
		registers.plain(first + QueueRegister.DCA);
		registers.add(first + QueueRegister.RQDPC, { read: () => this.#takeDropped(), write: () => {} });
		for (const address of others)
			for (const offset of [QueueRegister.SRRCTL, QueueRegister.DCA, QueueRegister.RQDPC])
				registers.alias(address + offset, first + offset);
	}

	get isEnabled(): boolean {
		return this.#ring.isEnabled;
	}

	get canTake(): boolean {
		return !this.isEnabled || this.#ring.available > 0 || this.#drops;
	}

	/** Stores a frame, or as much of it as there are descriptors for: then it is to be called again with it. */
	store(packet: ReceivedPacket): "stored" | "waits" | "dropped" {
		const { description, bytes } = packet;
		const size = this.#bufferSize;
		if (this.#drops && this.#ring.available * size < bytes.length) return "dropped";
		while (this.#stored < bytes.length) {
			const at = this.#ring.peek();
			if (at === undefined) return "waits";
			const piece = bytes.subarray(this.#stored, this.#stored + size);
			this.#port.writeMemory(this.#ring.view.getBigUint64(at, true), piece);
			this.#stored += piece.length;
			this.#describe(description, piece.length, this.#stored === bytes.length);
			this.#warn();
		}
		this.#stored = 0;
		return "stored";
	}

	writeBack(): void {
		this.#ring.writeBack();
	}

	countDropped(): void {
		this.#stored = 0;
		this.#dropped++;
	}

	reset(): void {
		this.#ring.reset();
		this.#stored = 0;
		this.#dropped = 0;
	}

	/** SRRCTL.Drop_En: a frame doesn't wait for descriptors. */
	get #drops(): boolean {
		return this.#srrctl.has(Srrctl.DROP_EN);
	}

	/** 7.1.3.1 */
	get #bufferSize(): number {
		const kibibytes = this.#srrctl.value & 0x7f;
		return kibibytes > 0 ? kibibytes * 1024 : BUFFER_SIZES[(this.#rctl.value >>> Rctl.BSIZE_SHIFT) & 3];
	}

	#describe(packet: DescribedPacket, length: number, isLast: boolean): void {
		const view = this.#ring.takeDone();
		const at = this.#ring.doneOffset;
		const isLegacy = ((this.#srrctl.value >>> Srrctl.DESCTYPE_SHIFT) & 7) === 0;
		if (isLegacy) packet.writeLegacy(view, at, length, isLast);
		else packet.writeAdvanced(view, at, length, isLast);
	}

	/** RDMTS: software is told when so few descriptors are left. */
	#warn(): void {
		const threshold = ((this.#srrctl.value >>> Srrctl.RDMTS_SHIFT) & 0x1f) * THRESHOLD_UNIT;
		if (threshold > 0 && this.#ring.available === threshold) this.#interrupts.raise(Cause.RXDMT0);
	}

	#takeDropped(): number {
		const dropped = this.#dropped;
		this.#dropped = 0;
		return Math.min(dropped, 0xffff_ffff);
	}
}
