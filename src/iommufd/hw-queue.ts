// The hardware queue: a queue in the guest's memory that the hardware reads by itself, at physical addresses. So its pages
// are pinned, they are contiguous, and what maps them can't be unmapped. drivers/iommu/iommufd/viommu.c.

import { allocation } from "../faults/faults.js";
import { Undo } from "../faults/undo.js";
import type { DriverHwQueue } from "../iommu/core/iommu.js";
import { PAGE_SIZE } from "../memory/address-space.js";
import { Runs } from "../memory/runs.js";
import { Errno, hex } from "../uapi/errno.js";
import { type HwQueueAlloc, HwQueueType } from "../uapi/iommufd.js";
import type { Args } from "../uapi/struct.js";
import { Access } from "./access.js";
import type { Call } from "./call.js";
import { LAST_IOVA } from "./io-pagetable/iova-ranges.js";
import { IommufdObject } from "./object.js";
import { Viommu } from "./viommu.js";

const PAGE = BigInt(PAGE_SIZE);
/** Linux makes an array of pointers to the queue's pages, and no array of more than 2 GiB. */
const MAX_PAGES = 0x7fffffffn / 8n;

export class HwQueue extends IommufdObject {
	override readonly kind = "HW_QUEUE";
	readonly #viommu: Viommu;
	readonly #memory: QueueMemory;
	readonly #driver: DriverHwQueue;

	constructor(id: number, viommu: Viommu, memory: QueueMemory, driver: DriverHwQueue) {
		super(id);
		this.#viommu = viommu;
		this.#memory = memory;
		this.#driver = driver;
		viommu.users++;
		viommu.hwQueues.set(driver, this);
		const before = this.#before;
		if (before) before.users++;
	}

	/** The queue that can't be destroyed before this one. */
	get #before(): HwQueue | undefined {
		const { dependsOn } = this.#driver;
		return dependsOn && this.#viommu.hwQueues.get(dependsOn);
	}

	override uses(): readonly IommufdObject[] {
		const before = this.#before;
		return before === undefined ? [this.#viommu] : [this.#viommu, before];
	}

	override destroy(): void {
		const before = this.#before;
		if (before) before.users--;
		this.#driver.free();
		this.#viommu.hwQueues.delete(this.#driver);
		this.#memory.free();
		this.#viommu.users--;
	}
}

/** The pinned pages of a queue. */
class QueueMemory {
	/** Where the queue begins, in bytes. */
	readonly physicalAddress: number;
	readonly #viommu: Viommu;
	readonly #access: Access;
	/** Whole pages. */
	readonly #iova: bigint;
	readonly #length: bigint;

	/**
	 * Pins the pages of a queue.
	 * @param id the queue's
	 * @param iova of the vIOMMU's HWPT, in bytes
	 * @throws EFAULT when they are not contiguous, ERANGE or ENOMEM for a length beyond all memory, and what pinning throws
	 */
	constructor(viommu: Viommu, id: number, iova: bigint, length: bigint) {
		const offset = iova % PAGE;
		const pages = (offset + length + PAGE - 1n) / PAGE;
		if (offset + length + PAGE - 1n > LAST_IOVA)
			throw new Errno("ERANGE", `length ${hex(length)}, rounded up to pages, exceeds 64 bits`, "overflow");
		if (pages > MAX_PAGES) throw new Errno("ENOMEM", `a queue of ${pages} pages is too long`, "hw-queue");
		const { objects } = viommu.context;
		using undo = new Undo();
		const access = Access.create(viommu.context, undefined, `HW_QUEUE ${id}`);
		undo.push(() => objects.destroyUser(access));
		access.attach(viommu.hwpt.ioas);
		allocation("a list of a queue's pages");
		const frames = new Runs(2);
		access.pin(iova - offset, pages * PAGE, false, frames);
		undo.push(() => access.unpin(iova - offset, pages * PAGE));
		if (frames.length > 1)
			throw new Errno(
				"EFAULT",
				`the queue's ${pages} pages don't lie side by side, and must be contiguous`,
				"hw-queue",
			);
		undo.keep();
		this.physicalAddress = frames.frame[0] * PAGE_SIZE + Number(offset);
		this.#viommu = viommu;
		this.#access = access;
		this.#iova = iova - offset;
		this.#length = pages * PAGE;
	}

	free(): void {
		this.#access.unpin(this.#iova, this.#length);
		this.#viommu.context.objects.destroyUser(this.#access);
	}
}

/** IOMMU_HW_QUEUE_ALLOC */
export function hwQueueAlloc(call: Call, alloc: Args<typeof HwQueueAlloc>): void {
	const { context } = call;
	const { type, index, length, nestingParentIova: iova } = alloc;
	if (type === HwQueueType.DEFAULT)
		throw new Errno("EOPNOTSUPP", "type is DEFAULT, and no queue is of that type", "hw-queue");
	if (length === 0n) throw new Errno("EINVAL", "length is 0: a queue has one byte at least", "zero-length");
	if (iova + length - 1n > LAST_IOVA)
		throw new Errno(
			"EOVERFLOW",
			`the queue's IOVA ${hex(iova)} + length ${hex(length)} goes beyond the 64-bit space`,
			"overflow",
		);
	const viommu = context.objects.get(alloc.viommuId, Viommu, "viommu_id");
	const { driver } = viommu;
	if (!driver.hwQueueInit || !driver.hasHwQueue?.(type))
		throw new Errno("EOPNOTSUPP", `${viommu} has no queues of type ${hex(type)}`, "hw-queue");
	using undo = new Undo();
	const id = context.objects.reserve("HW_QUEUE");
	undo.push(() => context.objects.cancel(id));
	const memory = new QueueMemory(viommu, id, iova, length);
	undo.push(() => memory.free());
	const initialized = driver.hwQueueInit({ type, index, iova, length }, memory.physicalAddress);
	undo.push(() => initialized.free());
	alloc.outHwQueueId = id;
	call.respond();
	undo.keep();
	context.objects.install(new HwQueue(id, viommu, memory, initialized));
}
