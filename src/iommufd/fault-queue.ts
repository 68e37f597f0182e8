// The fault queue: page faults of the HWPTs that were made with it go to user space, and its answers to the devices.
// drivers/iommu/iommufd/eventq.c.

import { allocation } from "../faults/faults.js";
import { Undo } from "../faults/undo.js";
import type { Attachment, FaultGroup } from "../iommu/core/iommu.js";
import { type AddressSpace, copyIn, copyOut } from "../memory/address-space.js";
import { Errno } from "../uapi/errno.js";
import { type FaultQueueAlloc, HwptPageResponse, HwptPgfault, PageResponseCode } from "../uapi/iommufd.js";
import type { Args } from "../uapi/struct.js";
import type { Call } from "./call.js";
import type { BoundDevice } from "./device.js";
import { EventQueue, oneByOne } from "./eventq.js";

const fault = HwptPgfault.newView();
const response = HwptPageResponse.newView();

export class FaultQueue extends EventQueue {
	override readonly kind = "FAULT";
	override readonly path = "anon_inode:[iommufd-pgfault]";
	override readonly writable = true;
	/** Not read yet. */
	#waiting: FaultGroup[] = [];
	/** Read, and not answered yet. By cookie. */
	readonly #unanswered = new Map<number, FaultGroup>();
	/** No cookie below this is free. */
	#lowestCookie = 1;

	override get readable(): boolean {
		return this.#waiting.length > 0;
	}

	/** Takes a group of faults in. It is the fault handler of a domain. @throws ENOMEM; the device has been told so then */
	deliver(group: FaultGroup): void {
		const wasReadable = this.readable;
		try {
			this.context.platform.budget.events.charge(bytesOf(group));
		} catch (error) {
			group.respond(PageResponseCode.INVALID);
			throw error;
		}
		this.#waiting.push(group);
		this.notify(wasReadable);
	}

	protected override checkRead(length: number): void {
		const { size } = HwptPgfault;
		if (length % size !== 0)
			throw new Errno("ESPIPE", `a read of ${length} bytes is not a multiple of ${size}, one page fault`, "queue-read");
	}

	/** Gives a whole group, a struct for each fault. All faults of a group have its cookie. */
	protected override readNext(memory: AddressSpace, address: number, room: number): number {
		const group = this.#waiting[0];
		if (group === undefined) return 0;
		const length = group.requests.length * HwptPgfault.size;
		if (length > room)
			throw new Errno(
				"EINVAL",
				`a read with room for ${room} bytes has none for the first group of faults, ${length}`,
				"queue-read",
			);
		allocation("the cookie of a group of page faults");
		const cookie = this.#freeCookie();
		copyOut(memory, address, messages(group, cookie), "a group of page faults");
		this.#waiting.shift();
		this.#unanswered.set(cookie, group);
		this.#lowestCookie = cookie + 1;
		return length;
	}

	/** The lowest number that no unanswered group has. */
	#freeCookie(): number {
		let cookie = this.#lowestCookie;
		while (this.#unanswered.has(cookie)) cookie++;
		return cookie;
	}

	#answer(cookie: number, group: FaultGroup, code: number): void {
		this.#unanswered.delete(cookie);
		this.#lowestCookie = Math.min(this.#lowestCookie, cookie);
		this.#finish(group, code);
	}

	#finish(group: FaultGroup, code: number): void {
		this.context.platform.budget.events.uncharge(bytesOf(group));
		group.respond(code);
	}

	/** Takes answers, by cookie, up to the first that is wrong. */
	override write(memory: AddressSpace, address: number, length: number): number {
		const { size } = HwptPageResponse;
		if (length % size !== 0)
			throw new Errno(
				"ESPIPE",
				`a write of ${length} bytes is not a multiple of ${size}, one response`,
				"fault-response",
			);
		return oneByOne((done) => {
			if (done === length) return 0;
			copyIn(memory, address + done, response.bytes, "a response to page faults");
			const { cookie, code } = response;
			if (!isPageResponse(code))
				throw new Errno("EINVAL", `code is ${code}, which is neither SUCCESS nor INVALID`, "fault-response");
			const group = this.#unanswered.get(cookie);
			if (group === undefined)
				throw new Errno(
					"EINVAL",
					`cookie is ${cookie}, and no group of faults waits for an answer by it`,
					"fault-response",
				);
			this.#answer(cookie, group, code);
			return size;
		});
	}

	/** Answers what came while something was attached that no longer is: nobody else will. */
	answerFor(attachment: Attachment): void {
		const wasReadable = this.readable;
		const unread = this.#waiting.filter((group) => group.attachment === attachment);
		this.#waiting = this.#waiting.filter((group) => group.attachment !== attachment);
		for (const group of unread) this.#finish(group, PageResponseCode.INVALID);
		for (const [cookie, group] of this.#unanswered)
			if (group.attachment === attachment) this.#answer(cookie, group, PageResponseCode.INVALID);
		this.notify(wasReadable);
	}

	override destroy(): void {
		for (const group of [...this.#waiting, ...this.#unanswered.values()]) this.#finish(group, PageResponseCode.INVALID);
	}
}

/** What a group takes until it is answered. */
function bytesOf({ requests }: FaultGroup): number {
	return 300 + 150 * requests.length;
}

/** What is read of a group. */
function messages(group: FaultGroup, cookie: number): Uint8Array {
	const { size } = HwptPgfault;
	const bytes = new Uint8Array(group.requests.length * size);
	const device = group.attachment.handle as BoundDevice;
	group.requests.forEach((request, index) => {
		fault.flags = request.flags;
		fault.devId = device.id;
		fault.pasid = request.pasid;
		fault.grpid = request.group;
		fault.perm = request.permissions;
		fault.addr = request.address;
		fault.length = 0;
		fault.cookie = cookie;
		bytes.set(fault.bytes, index * size);
	});
	return bytes;
}

function isPageResponse(code: number): boolean {
	return code === PageResponseCode.SUCCESS || code === PageResponseCode.INVALID;
}

/** IOMMU_FAULT_QUEUE_ALLOC */
export function faultQueueAlloc(call: Call, alloc: Args<typeof FaultQueueAlloc>): void {
	const { context, caller } = call;
	using undo = new Undo();
	const queue = new FaultQueue(context, context.objects.reserve("FAULT"));
	undo.push(() => context.objects.cancel(queue.id));
	call.checkRespond();
	alloc.outFaultFd = queue.open(caller);
	alloc.outFaultId = queue.id;
	undo.keep();
	context.objects.install(queue);
	call.respond();
}
