// Receive queues: frames become descriptors and the memory that they lead to. 82576 data sheet 7.1 "Receive Functionality",
// 8.10 "Receive Register Descriptions"; pauses: 3.5.5 "Flow Control", 8.5.

import { crc32 } from "../checksum.js";
import type { EndpointPort } from "../endpoint.js";
import type { Interrupts } from "./interrupts.js";
import { TAG, word } from "./packet.js";
import { PacketBuffer } from "./packet-buffer.js";
import { castOf, ReceiveFilter } from "./receive-filter.js";
import { ReceiveOffload } from "./receive-offload.js";
import { type ReceivedPacket, ReceiveQueue } from "./receive-queue.js";
import type { PlainRegister, RegisterFile } from "./register-file.js";
import { Cause, QUEUES, Rctl, Register } from "./registers.js";
import type { Statistics } from "./statistics.js";

const CHECKSUM = 4;
/** With the checksum. */
const SHORTEST_FRAME = 64;
/** Without LPE. */
const LONGEST_FRAME = 1522;
/** After a reset: 9.5 KiB. */
const LONGEST_WITH_LPE = 0x2600;
/** RXPBS is in KiB. */
const BUFFER_SIZE = 64;

export interface Surroundings {
	/** CTRL.VME: tags are taken out. */
	readonly stripsTags: () => boolean;
	/** Whether the function may use the bus. */
	readonly isMaster: () => boolean;
	/** Called when the packet buffer fills, and when it has room again. */
	readonly onLevel: (octets: number) => void;
}

export class Receiver {
	readonly filter: ReceiveFilter;
	readonly #rctl: PlainRegister;
	readonly #rlpml: PlainRegister;
	readonly #rxpbs: PlainRegister;
	readonly #offload: ReceiveOffload;
	readonly #queues: ReceiveQueue[];
	readonly #buffer = new PacketBuffer();
	readonly #interrupts: Interrupts;
	readonly #statistics: Statistics;
	readonly #around: Surroundings;
	/** The first frame in the buffer, as it is about to be stored. */
	#current: ReceivedPacket | undefined;

	constructor(
		port: EndpointPort,
		registers: RegisterFile,
		vet: PlainRegister,
		interrupts: Interrupts,
		statistics: Statistics,
		around: Surroundings,
	) {
		this.#interrupts = interrupts;
		this.#statistics = statistics;
		this.#around = around;
		this.#rctl = registers.plain(Register.RCTL);
		this.#rlpml = registers.plain(Register.RLPML, LONGEST_WITH_LPE, 0x3fff);
		this.#rxpbs = registers.plain(Register.RXPBS, BUFFER_SIZE, 0x7f);
		registers.plain(Register.RFCTL);
		registers.row(Register.PSRTYPE, 8);
		this.filter = new ReceiveFilter(registers, this.#rctl, vet);
		this.#offload = new ReceiveOffload(registers);
		this.#queues = Array.from(
			{ length: QUEUES },
			(_, queue) => new ReceiveQueue(queue, port, registers, interrupts, this.#rctl),
		);
	}

	/** A frame has arrived, intact. It is the receiver's from now on. */
	receive(frame: Uint8Array): void {
		if (!this.#rctl.has(Rctl.RXEN) || !this.#hasGoodLength(frame)) return;
		if (!this.filter.accepts(frame)) return;
		this.#count(frame);
		if (!this.#buffer.add(frame, this.#rxpbs.value * 1024)) {
			this.#statistics.count("MPC");
			this.#interrupts.raise(Cause.RX_MISS);
			return;
		}
		this.#store(1);
		if (!this.#buffer.isEmpty) this.#statistics.count("RNBC");
		this.#around.onLevel(this.#buffer.octets);
	}

	/** A frame has arrived that its checksum doesn't fit. */
	receiveDamaged(): void {
		if (this.#rctl.has(Rctl.RXEN)) this.#statistics.count("CRCERRS");
	}

	/**
	 * Stores frames that have waited for descriptors.
	 * @param budget how many at most
	 * @returns whether there are more that can be stored
	 */
	work(budget: number): boolean {
		if (this.#buffer.isEmpty) return false;
		const hasMore = this.#store(budget);
		this.#around.onLevel(this.#buffer.octets);
		return hasMore;
	}

	/** Software gets what has been stored. */
	writeBack(): void {
		for (const queue of this.#queues) queue.writeBack();
	}

	reset(): void {
		for (const queue of this.#queues) queue.reset();
		this.#buffer.clear();
		this.#current = undefined;
	}

	#hasGoodLength(frame: Uint8Array): boolean {
		const octets = frame.length + CHECKSUM;
		this.#statistics.count("TPR");
		this.#statistics.octets("TOR", octets);
		if (octets < SHORTEST_FRAME) this.#statistics.count("RUC");
		else if (octets > (this.#rctl.has(Rctl.LPE) ? this.#rlpml.value : LONGEST_FRAME)) this.#statistics.count("ROC");
		else return true;
		return false;
	}

	#count(frame: Uint8Array): void {
		const octets = frame.length + CHECKSUM;
		this.#statistics.count("GPRC");
		this.#statistics.octets("GORC", octets);
		this.#statistics.received(octets);
		const cast = castOf(frame);
		if (cast === "multicast") this.#statistics.count("MPRC");
		if (cast === "broadcast") this.#statistics.count("BPRC");
	}

	/** From the buffer to memory, in the order in which they came. @returns whether there is more that can be */
	#store(budget: number): boolean {
		for (let left = budget; ; left--) {
			const frame = this.#buffer.first;
			if (frame === undefined || !this.#around.isMaster()) return false;
			this.#current ??= this.#prepare(frame);
			const queue = this.#queues[this.#current.description.queue];
			if (left === 0) return queue.canTake;
			const isStored = queue.isEnabled ? queue.store(this.#current) : "dropped";
			if (isStored === "waits") return false;
			if (isStored === "stored") {
				this.#statistics.count("RPTHC");
				this.#statistics.octets("HGORC", frame.length + CHECKSUM);
			} else queue.countDropped();
			this.#current = undefined;
			this.#buffer.remove();
		}
	}

	/** What software gets of a frame. */
	#prepare(frame: Uint8Array): ReceivedPacket {
		const isTagged = this.filter.isTagged(frame);
		const isStripped = isTagged && this.#around.stripsTags();
		let bytes = frame;
		if (!this.#rctl.has(Rctl.SECRC)) {
			bytes = new Uint8Array(frame.length + CHECKSUM);
			bytes.set(frame);
			new DataView(bytes.buffer).setUint32(frame.length, crc32(frame), true);
		}
		const description = this.#offload.describe(frame, isTagged, isStripped ? word(frame, 14) : undefined);
		return { description, bytes: isStripped ? withoutTag(bytes) : bytes };
	}
}

function withoutTag(bytes: Uint8Array): Uint8Array {
	const stripped = new Uint8Array(bytes.length - TAG);
	stripped.set(bytes.subarray(0, 12));
	stripped.set(bytes.subarray(12 + TAG), 12);
	return stripped;
}
