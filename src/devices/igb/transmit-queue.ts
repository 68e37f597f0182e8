// One transmit queue: descriptors are put together to packets. 82576 data sheet 7.2.2 "Transmit descriptors".

import type { EndpointPort } from "../endpoint.js";
import { DescriptorRing } from "./descriptor-ring.js";
import type { FrameSender, PacketOptions } from "./frame-sender.js";
import type { Interrupts } from "./interrupts.js";
import type { PlainRegister, RegisterFile } from "./register-file.js";
import { Dctl, OLD_QUEUE_STRIDE, OLD_QUEUES, OLD_TXDMA, QUEUE_STRIDE, QueueRegister, Register } from "./registers.js";
import { NO_CONTEXT, readContext, type Segmentation, type TransmitContext } from "./transmit-offload.js";

/** In the third word of a descriptor, of both kinds: DEXT says which. */
const Command = {
	EOP: 1 << 24,
	IFCS: 1 << 25,
	/** Legacy: insert a checksum. */
	IC: 1 << 26,
	RS: 1 << 27,
	DEXT: 1 << 29,
	VLE: 1 << 30,
	TSE: 2 ** 31,
} as const;

const TYPE_SHIFT = 20;
const CONTEXT = 2;
const DATA = 3;
/** In the fourth word. */
const DONE = 1 << 0;
const CONTEXT_INDEX_SHIFT = 4;
const IXSM = 1 << 8;
const TXSM = 1 << 9;

/** Contexts that a queue keeps. */
const CONTEXTS = 2;

/** A packet that is to be segmented, with its headers. */
const LONGEST_PACKET = 2 ** 18 + 512;

const HEAD_WRITE_BACK = 1;

interface Segments {
	readonly of: Segmentation;
	readonly options: PacketOptions;
	next: number;
}

export class TransmitQueue {
	readonly #port: EndpointPort;
	readonly #ring: DescriptorRing;
	readonly #sender: FrameSender;
	readonly #contexts: TransmitContext[] = Array.from({ length: CONTEXTS }, () => NO_CONTEXT);
	readonly #headLow: PlainRegister;
	readonly #headHigh: PlainRegister;
	readonly #onWriteBack: () => void;
	/** The head is to be written to memory, where software wants that. */
	#isHeadDue = false;
	/** The packet that is being put together. */
	#packet = new Uint8Array(2048);
	#length = 0;
	#options: PacketOptions | undefined;
	/** A packet that is being sent in segments. */
	#segments: Segments | undefined;

	constructor(
		queue: number,
		port: EndpointPort,
		registers: RegisterFile,
		interrupts: Interrupts,
		isOn: () => boolean,
		sender: FrameSender,
	) {
		this.#port = port;
		this.#sender = sender;
		this.#onWriteBack = () => interrupts.raiseQueue("transmit", queue);
		const addresses = [Register.TXDMA + queue * QUEUE_STRIDE];
		if (queue < OLD_QUEUES) addresses.push(OLD_TXDMA + queue * OLD_QUEUE_STRIDE);
		this.#ring = new DescriptorRing(port, registers, {
			addresses,
			dctl: queue === 0 ? Dctl.ENABLE : 0,
			isDirectionOn: isOn,
			onChange: () => this.#drop(),
			onWriteBack: this.#onWriteBack,
		});
		const [first, ...others] = addresses;
		registers.plain(first + QueueRegister.DCA);
		this.#headLow = registers.plain(first + QueueRegister.TDWBAL);
		this.#headHigh = registers.plain(first + QueueRegister.TDWBAH);
		for (const address of others)
			for (const offset of [QueueRegister.DCA, QueueRegister.TDWBAL, QueueRegister.TDWBAH])
				registers.alias(address + offset, first + offset);
	}

	get hasMore(): boolean {
		return this.#segments !== undefined || (this.#ring.isEnabled && this.#ring.available > 0);
	}

	/** Sends a segment, or takes a descriptor and sends the frame that it ends. */
	takeOne(): void {
		if (this.#segments) {
			this.#sendSegment(this.#segments);
			return;
		}
		const at = this.#ring.peek();
		if (at === undefined) return;
		const { view } = this.#ring;
		const command = view.getUint32(at + 8, true);
		if (command & Command.DEXT) {
			const type = (command >>> TYPE_SHIFT) & 0xf;
			if (type === CONTEXT) this.#setContext(readContext(view, at), view.getUint32(at + 12, true));
			if (type !== DATA) {
				this.#finish(command);
				return;
			}
		}
		const isFirst = this.#options === undefined;
		if (isFirst) this.#options = this.#optionsOf(view, at, command);
		if (!this.#append(view.getBigUint64(at, true), command & 0xffff)) {
			this.#drop();
			this.#ring.stick();
			return;
		}
		this.#finish(command);
		if (command & Command.EOP) this.#send();
	}

	writeBack(): void {
		this.#ring.writeBack();
		if (!this.#isHeadDue) return;
		this.#isHeadDue = false;
		const head = new Uint8Array(4);
		new DataView(head.buffer).setUint32(0, this.#ring.head, true);
		const address = (BigInt(this.#headHigh.value) << 32n) | BigInt(this.#headLow.value & ~3);
		this.#port.writeMemory(address, head);
		this.#onWriteBack();
	}

	reset(): void {
		this.#ring.reset();
		this.#contexts.fill(NO_CONTEXT);
		this.#isHeadDue = false;
		this.#drop();
	}

	#setContext(context: TransmitContext, indexWord: number): void {
		this.#contexts[(indexWord >>> CONTEXT_INDEX_SHIFT) % CONTEXTS] = context;
	}

	/** The descriptor has been used; it is written back if it asks for that, unless the head is instead. */
	#finish(command: number): void {
		if (!(command & Command.RS)) this.#ring.take();
		else if (this.#headLow.has(HEAD_WRITE_BACK)) {
			this.#ring.take();
			this.#isHeadDue = true;
		} else {
			const view = this.#ring.takeDone();
			const status = this.#ring.doneOffset + 12;
			view.setUint32(status, command & Command.DEXT ? DONE : view.getUint32(status, true) | DONE, true);
		}
	}

	#optionsOf(view: DataView, at: number, command: number): PacketOptions {
		const word = view.getUint32(at + 12, true);
		const insertsFcs = (command & Command.IFCS) !== 0;
		const isTagged = (command & Command.VLE) !== 0;
		if (!(command & Command.DEXT))
			return {
				insertsFcs,
				tag: isTagged ? word >>> 16 : undefined,
				isSegmented: false,
				insertions: { ip: false, l4: false },
				context: NO_CONTEXT,
				legacyChecksum: command & Command.IC ? { start: (word >>> 8) & 0xff, at: (command >>> 16) & 0xff } : undefined,
			};
		const context = this.#contexts[(word >>> CONTEXT_INDEX_SHIFT) % CONTEXTS];
		return {
			insertsFcs,
			tag: isTagged ? context.vlan : undefined,
			isSegmented: (command & Command.TSE) !== 0,
			insertions: { ip: (word & IXSM) !== 0, l4: (word & TXSM) !== 0 },
			context,
			legacyChecksum: undefined,
		};
	}

	/** @returns false when memory can't be read */
	#append(address: bigint, length: number): boolean {
		const end = this.#length + length;
		// It is too long to be sent, whatever comes: only its length is kept.
		if (end <= LONGEST_PACKET) {
			if (end > this.#packet.length) this.#grow(end);
			if (length > 0 && this.#port.readMemory(address, this.#packet.subarray(this.#length, end))) return false;
		}
		this.#length = end;
		return true;
	}

	#grow(length: number): void {
		const grown = new Uint8Array(Math.max(length, 2 * this.#packet.length));
		grown.set(this.#packet.subarray(0, this.#length));
		this.#packet = grown;
	}

	#send(): void {
		const options = this.#options;
		const length = this.#length;
		this.#drop();
		if (options === undefined || length === 0) return;
		const packet = this.#packet.subarray(0, length);
		if (length > LONGEST_PACKET) this.#sender.discard();
		else if (!options.isSegmented) this.#sender.send(packet, options);
		else this.#startSegments(packet, options);
	}

	#startSegments(packet: Uint8Array, options: PacketOptions): void {
		const segmentation = this.#sender.divide(packet, options);
		if (segmentation.count === 0) this.#sender.discard();
		else this.#segments = { of: segmentation, options, next: 0 };
	}

	/** One at a time: there can be very many. The packet's memory isn't used anew before the last. */
	#sendSegment(segments: Segments): void {
		const frame = segments.of.frameAt(segments.next);
		segments.next++;
		if (segments.next === segments.of.count) this.#segments = undefined;
		this.#sender.finish(frame, segments.options);
	}

	/** The packet that was being put together or sent is forgotten. */
	#drop(): void {
		this.#length = 0;
		this.#options = undefined;
		this.#segments = undefined;
	}
}
