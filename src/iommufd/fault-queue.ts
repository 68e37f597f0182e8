// The fault queue: page faults of the HWPTs that were made with it go to user space, and its answers to the devices.
// drivers/iommu/iommufd/eventq.c.

import type { FaultGroup } from "../iommu/fault.js";
import type { Attachment } from "../iommu/group.js";
import { Errno } from "../uapi/errno.js";
import { type FaultQueueAlloc, HwptPageResponse, HwptPgfault, PageResponseCode } from "../uapi/iommufd.js";
import type { Args } from "../uapi/struct.js";
import type { Call } from "./call.js";
import type { BoundDevice } from "./device.js";
import { EventQueue } from "./eventq.js";
import { Undo } from "./undo.js";

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

	/** Takes a group of faults in. It is the fault handler of a domain. */
	deliver(group: FaultGroup): void {
		const wasReadable = this.readable;
		this.#waiting.push(group);
		this.notify(wasReadable);
	}

	/** Gives whole groups, a struct for each fault. All faults of a group have its cookie. */
	override read(into: Uint8Array): number {
		const { size } = HwptPgfault;
		if (into.length % size !== 0)
			throw new Errno("ESPIPE", `a read of ${into.length} bytes is not a multiple of ${size}, one page fault`);
		const wasReadable = this.readable;
		let done = 0;
		for (let group = this.#waiting[0]; group !== undefined; group = this.#waiting[0]) {
			const length = group.requests.length * size;
			if (length > into.length - done) {
				if (done > 0) break;
				throw new Errno(
					"EINVAL",
					`a read of ${into.length} bytes has no room for the first group of faults, ${length}`,
				);
			}
			this.#waiting.shift();
			const cookie = this.#newCookie();
			this.#unanswered.set(cookie, group);
			this.#write(group, cookie, into.subarray(done, done + length));
			done += length;
		}
		this.notify(wasReadable);
		return done;
	}

	#write(group: FaultGroup, cookie: number, into: Uint8Array): void {
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
			into.set(fault.bytes, index * HwptPgfault.size);
		});
	}

	/** The lowest number that no unanswered group has. */
	#newCookie(): number {
		let cookie = this.#lowestCookie;
		while (this.#unanswered.has(cookie)) cookie++;
		this.#lowestCookie = cookie + 1;
		return cookie;
	}

	#answer(cookie: number, group: FaultGroup, code: number): void {
		this.#unanswered.delete(cookie);
		this.#lowestCookie = Math.min(this.#lowestCookie, cookie);
		group.respond(code);
	}

	/** Takes answers, by cookie, up to the first that is wrong. */
	override write(from: Uint8Array): number {
		const { size } = HwptPageResponse;
		if (from.length % size !== 0)
			throw new Errno("ESPIPE", `a write of ${from.length} bytes is not a multiple of ${size}, one response`);
		for (let done = 0; done < from.length; done += size) {
			response.bytes.set(from.subarray(done, done + size));
			const { cookie, code } = response;
			const group = this.#unanswered.get(cookie);
			if (group === undefined || !isPageResponse(code)) {
				if (done > 0) return done;
				throw new Errno(
					"EINVAL",
					group === undefined
						? `cookie is ${cookie}, and no group of faults waits for an answer by it`
						: `code is ${code}, which is neither SUCCESS nor INVALID`,
				);
			}
			this.#answer(cookie, group, code);
		}
		return from.length;
	}

	/** Answers what came while something was attached that no longer is: nobody else will. */
	answerFor(attachment: Attachment): void {
		const wasReadable = this.readable;
		const unread = this.#waiting.filter((group) => group.attachment === attachment);
		this.#waiting = this.#waiting.filter((group) => group.attachment !== attachment);
		for (const group of unread) group.respond(PageResponseCode.INVALID);
		for (const [cookie, group] of this.#unanswered)
			if (group.attachment === attachment) this.#answer(cookie, group, PageResponseCode.INVALID);
		this.notify(wasReadable);
	}

	override destroy(): void {
		for (const group of [...this.#waiting, ...this.#unanswered.values()]) group.respond(PageResponseCode.INVALID);
	}
}

function isPageResponse(code: number): boolean {
	return code === PageResponseCode.SUCCESS || code === PageResponseCode.INVALID;
}

/** IOMMU_FAULT_QUEUE_ALLOC */
export function faultQueueAlloc(call: Call, alloc: Args<typeof FaultQueueAlloc>): void {
	const { context, caller } = call;
	using undo = new Undo();
	const queue = new FaultQueue(context, context.objects.reserve());
	undo.push(() => context.objects.cancel(queue.id));
	call.checkRespond();
	alloc.outFaultFd = queue.open(caller);
	alloc.outFaultId = queue.id;
	undo.keep();
	context.objects.install(queue);
	call.respond();
}
