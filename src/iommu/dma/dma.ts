// What a device does to memory: each DMA goes through the remapping, a stretch at a time, and is copied.

import { PAGE_SIZE } from "../../memory/address-space.js";
import { type Frames, Location } from "../../memory/frames.js";
import { offsetInPage, pageOf } from "../../memory/page-number.js";
import { PhysicalMemory } from "../../memory/physical-memory.js";
import { READ } from "../../pagetable/pagetable.js";
import type { DmaAccess, DmaEvent } from "../../trace/event.js";
import { hex } from "../../uapi/errno.js";
import type { Device } from "../core/iommu.js";
import { NO_PASID, type Pasid } from "../core/pasid.js";
import { DmaFault, type DmaRequest } from "../translation/dma-fault.js";
import { extend, type Located } from "./located.js";
import { checkPasid, Remapping } from "./remapping.js";

const location = new Location();

export class Dma {
	readonly #frames: Frames;
	readonly #memory: PhysicalMemory;
	readonly #remapping: Remapping;
	#report: ((event: DmaEvent) => void) | undefined;
	/** Is told of each that is refused, of where it began and of its length in bytes. It costs nothing as long as nothing is refused. */
	refused: ((fault: DmaFault, iova: bigint, length: number) => void) | undefined;
	/** Is told of each access, also of those that go well. */
	accessed: ((access: DmaAccess) => void) | undefined;

	/** @param frames the machine's memory */
	constructor(frames: Frames) {
		this.#frames = frames;
		this.#memory = new PhysicalMemory(frames);
		this.#remapping = new Remapping(this.#memory);
	}

	/** Is told of what went wrong. With nobody to tell, what is cached isn't compared with the tables. */
	get report(): ((event: DmaEvent) => void) | undefined {
		return this.#report;
	}

	set report(report: ((event: DmaEvent) => void) | undefined) {
		this.#report = report;
		this.#remapping.reportStale = report && ((request, message) => this.#tell("stale", request, message));
	}

	/**
	 * A device reads.
	 * @param iova in bytes
	 * @returns undefined when all of it was read, else why not; what came before the address that failed has been read then
	 */
	read(device: Device, iova: bigint, into: Uint8Array, pasid: Pasid = NO_PASID): DmaFault | undefined {
		return this.#transfer(device, pasid, iova, false, into);
	}

	/** The same, writing. */
	write(device: Device, iova: bigint, from: Uint8Array, pasid: Pasid = NO_PASID): DmaFault | undefined {
		return this.#transfer(device, pasid, iova, true, from);
	}

	/**
	 * Finds where an access leads, for one who makes it himself, and goes on to make others there until `revoked` is called, which is once.
	 * Leaves are marked as for the access.
	 * @param into what was found; without a backing, when each has to be made by read() and write()
	 * @returns why it leads nowhere, which nobody is told of: he may try to read or write there all the same, and then they are
	 */
	locate(
		device: Device,
		pasid: Pasid,
		iova: bigint,
		write: boolean,
		revoked: () => void,
		into: Located,
	): DmaFault | undefined {
		into.backing = undefined;
		// Whoever looks on wants to see each.
		if (this.#report !== undefined || !device.hasIommu) return undefined;
		try {
			this.#locate(device, pasid, iova, write, revoked, into);
			return undefined;
		} catch (thrown) {
			if (thrown instanceof DmaFault) return thrown;
			throw thrown;
		}
	}

	#locate(device: Device, pasid: Pasid, iova: bigint, write: boolean, revoked: () => void, into: Located): void {
		const remapping = this.#remapping;
		remapping.begin(device, pasid, pageOf(iova), 0, write);
		const domain = remapping.single;
		if (domain === undefined) return;
		remapping.translate();
		if (!this.#frames.locateInto(Math.floor(remapping.physical / PAGE_SIZE), location)) return;
		into.backing = location.backing;
		into.at = location.page * PAGE_SIZE;
		into.firstPage = remapping.access.page;
		into.pages = 1;
		into.protection = remapping.protection;
		if (!domain.marksLeaves) extend(domain, this.#frames, into);
		else if (!write) into.protection &= READ; // The leaf isn't marked as written.
		domain.notes.add(revoked);
		device.group.notes.add(revoked);
	}

	/** A device can't even ask. @param reason why; @param length in bytes */
	refuse(request: DmaRequest, reason: string, length: number): DmaFault {
		const fault = new DmaFault(request, "function", "blocked", reason);
		this.#tell("fault", request, fault.message);
		this.refused?.(fault, request.iova, length);
		this.#tellAccess(request, 0, fault);
		return fault;
	}

	#transfer(device: Device, pasid: Pasid, iova: bigint, write: boolean, data: Uint8Array): DmaFault | undefined {
		try {
			if (device.hasIommu) this.#remapped(device, pasid, iova, write, data);
			else this.#byPhysicalAddress({ device, pasid, iova, write }, data);
			if (this.accessed !== undefined) this.#tellAccess({ device, pasid, iova, write }, data.length, undefined);
			return undefined;
		} catch (thrown) {
			const fault = this.#refusal(thrown, iova, data.length);
			this.#tellAccess({ device, pasid, iova, write }, data.length, fault);
			return fault;
		}
	}

	/** What a fault on the way means, told. Anything else is a bug, and goes on. */
	#refusal(thrown: unknown, iova: bigint, length: number): DmaFault {
		if (!(thrown instanceof DmaFault)) throw thrown;
		this.#tell("fault", thrown.request, thrown.message);
		this.refused?.(thrown, iova, length);
		return thrown;
	}

	#remapped(device: Device, pasid: Pasid, iova: bigint, write: boolean, data: Uint8Array): void {
		const remapping = this.#remapping;
		remapping.begin(device, pasid, pageOf(iova), offsetInPage(iova), write);
		for (let done = 0; done < data.length; ) {
			remapping.translate();
			const length = Math.min(remapping.length, data.length - done);
			this.#copy(length === data.length ? data : data.subarray(done, done + length));
			remapping.advance(length);
			done += length;
		}
	}

	/** To or from where the remapping leads. */
	#copy(piece: Uint8Array): void {
		const { access, physical } = this.#remapping;
		const done = access.write ? this.#memory.write(physical, piece) : this.#memory.read(physical, piece);
		if (done === piece.length) return;
		const where = `${hex(access.iova + BigInt(done))} leads to physical address ${hex(physical + done)}`;
		throw new DmaFault(access, "memory", "no-memory", `${where}, where there is no memory`);
	}

	/** Nothing is in the way. */
	#byPhysicalAddress(request: DmaRequest, data: Uint8Array): void {
		checkPasid(request);
		const { iova, write } = request;
		// Of an address that a double doesn't hold exactly there is no memory, nor near it.
		const done = write ? this.#memory.write(Number(iova), data) : this.#memory.read(Number(iova), data);
		if (done === data.length) return;
		const where = hex(iova + BigInt(done));
		const reason = `there is no memory at ${where}, which no IOMMU translates: what IOAS_NOIOMMU_GET_PA tells is needed here`;
		throw new DmaFault(request, "memory", "no-memory", reason);
	}

	#tell(kind: DmaEvent["kind"], { device, pasid, iova }: DmaRequest, message: string): void {
		this.#report?.({ kind, device: device.name, pasid, iova, message });
	}

	#tellAccess({ device, pasid, iova, write }: DmaRequest, length: number, fault: DmaFault | undefined): void {
		this.accessed?.({
			device: device.name,
			pasid,
			iova,
			length,
			isWrite: write,
			...(fault !== undefined && { fault: fault.message }),
		});
	}
}
