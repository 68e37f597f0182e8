// The queue of a vIOMMU's events of one type. drivers/iommu/iommufd/eventq.c, and iommufd_viommu_report_event() in
// driver.c. What doesn't fit is lost, and user space sees that: the sequence number goes on.

import { allocation } from "../faults/faults.js";
import { Undo } from "../faults/undo.js";
import { type AddressSpace, copyOut } from "../memory/address-space.js";
import { Errno } from "../uapi/errno.js";
import { VEVENTQ_MAX_DEPTH, VeventHeader, type VeventqAlloc, VeventqFlags, VeventqType } from "../uapi/iommufd.js";
import type { Args } from "../uapi/struct.js";
import type { Call } from "./call.js";
import type { Context } from "./context.js";
import { EventQueue } from "./eventq.js";
import type { IommufdObject } from "./object.js";
import { Viommu } from "./viommu.js";

const LAST_SEQUENCE = 0x7fffffff;

interface Vevent {
	readonly sequence: number;
	readonly data: Uint8Array;
}

const header = VeventHeader.newView();

export class VeventQueue extends EventQueue {
	override readonly kind = "VEVENTQ";
	override readonly path = "anon_inode:[iommufd-viommu-event]";
	override readonly writable = false;
	readonly type: number;
	readonly #viommu: Viommu;
	/** How many events it holds. */
	readonly #depth: number;
	readonly #events: Vevent[] = [];
	/** The sequence number of the last event that was lost, if none came after it. */
	#lost: number | undefined;
	#nextSequence = 0;

	constructor(context: Context, id: number, viommu: Viommu, type: number, depth: number) {
		super(context, id);
		this.type = type;
		this.#viommu = viommu;
		this.#depth = depth;
		viommu.eventQueues.set(type, this);
		viommu.users++;
	}

	override get readable(): boolean {
		return this.#events.length > 0 || this.#lost !== undefined;
	}

	/**
	 * Takes an event in, or counts it as lost when the queue is full.
	 * @throws ENOMEM; it is lost then, too
	 */
	deliver(data: Uint8Array): void {
		try {
			allocation("an event");
			if (this.#events.length < this.#depth) this.context.platform.budget.events.charge(bytesOf(data));
		} catch (error) {
			this.#take(undefined);
			throw error;
		}
		this.#take(data);
	}

	#take(data: Uint8Array | undefined): void {
		const wasReadable = this.readable;
		const sequence = this.#nextSequence;
		this.#nextSequence = sequence === LAST_SEQUENCE ? 0 : sequence + 1;
		if (data === undefined || this.#events.length === this.#depth) this.#lost = sequence;
		else {
			// The gap in the sequence tells of those that were lost before it.
			this.#lost = undefined;
			this.#events.push({ sequence, data: data.slice() });
		}
		this.notify(wasReadable);
	}

	protected override checkRead(length: number): void {
		if (length < VeventHeader.size)
			throw new Errno(
				"EINVAL",
				`a read of ${length} bytes has no room for a header of ${VeventHeader.size}`,
				"queue-read",
			);
	}

	/** Gives a whole event behind a header, and a header alone where the last ones were lost. */
	protected override readNext(memory: AddressSpace, address: number, room: number): number {
		const event = this.#events[0];
		if (event === undefined && this.#lost === undefined) return 0;
		if (event === undefined) allocation("the header of lost events");
		const bytes =
			event === undefined ? message(VeventqFlags.LOST_EVENTS, this.#lost!) : message(0, event.sequence, event.data);
		if (bytes.length > room)
			throw new Errno(
				"EINVAL",
				`a read with room for ${room} bytes has none for the first event, ${bytes.length}`,
				"queue-read",
			);
		copyOut(memory, address, bytes, "an event");
		if (event === undefined) this.#lost = undefined;
		else this.context.platform.budget.events.uncharge(bytesOf(this.#events.shift()!.data));
		return bytes.length;
	}

	override write(): number {
		throw new Errno("EINVAL", "events of a vIOMMU take no answer");
	}

	override uses(): readonly IommufdObject[] {
		return [this.#viommu];
	}

	override destroy(): void {
		for (const { data } of this.#events) this.context.platform.budget.events.uncharge(bytesOf(data));
		this.#viommu.eventQueues.delete(this.type);
		this.#viommu.users--;
	}
}

/** What an event takes in the queue. */
function bytesOf(data: Uint8Array): number {
	return 250 + data.length;
}

/** A header and what is behind it. */
function message(flags: number, sequence: number, data: Uint8Array = new Uint8Array()): Uint8Array {
	const bytes = new Uint8Array(VeventHeader.size + data.length);
	header.flags = flags;
	header.sequence = sequence;
	bytes.set(header.bytes);
	bytes.set(data, VeventHeader.size);
	return bytes;
}

/** IOMMU_VEVENTQ_ALLOC */
export function veventqAlloc(call: Call, alloc: Args<typeof VeventqAlloc>): void {
	const { context, caller } = call;
	const { type, veventqDepth: depth } = alloc;
	if (type === VeventqType.DEFAULT)
		throw new Errno("EOPNOTSUPP", "type is DEFAULT, and no vIOMMU has events of it", "viommu");
	if (depth === 0 || depth > VEVENTQ_MAX_DEPTH)
		throw new Errno("EINVAL", `veventq_depth is ${depth}, and must be 1 to ${VEVENTQ_MAX_DEPTH}`);
	const viommu = context.objects.get(alloc.viommuId, Viommu, "viommu_id");
	const other = viommu.eventQueues.get(type);
	if (other !== undefined)
		throw new Errno("EEXIST", `${viommu} has a queue of this type already: ${other}`, "queue-read");
	using undo = new Undo();
	const id = context.objects.reserve("VEVENTQ");
	undo.push(() => context.objects.cancel(id));
	const queue = new VeventQueue(context, id, viommu, type, depth);
	undo.push(() => queue.destroy());
	call.checkRespond();
	alloc.outVeventqFd = queue.open(caller);
	alloc.outVeventqId = id;
	undo.keep();
	context.objects.install(queue);
	call.respond();
}
