// The DMA of the functions of a device thread, as far as the supervisor's thread has to do with it: where an access leads, so that the
// thread makes it and all that follow by itself; accesses that it can't make; and what somebody else whose function it is is told of memory.

import { Located } from "../../iommu/dma/located.js";
import { ToldMemory } from "../../iommu/dma/told-memory.js";
import type { DmaFault, DmaRequest } from "../../iommu/translation/dma-fault.js";
import type { Machine } from "../../machine/machine.js";
import type { ModelledFunction } from "../../machine/models.js";
import type { Backing } from "../../memory/address-space.js";
import { WRITE } from "../../pagetable/pagetable.js";
import { NO_MASTER } from "../../vfio/interrupts.js";
import { SharedFile } from "../memory/shared-files.js";
import type { DeviceGroup } from "./device-group.js";
import { Answer, AnswerKind, Question } from "./link.js";
import type { PeerRead } from "./peer-read.js";
import { Reach } from "./reach.js";
import type { FaultText } from "./thread-port.js";

const PAGE_LG2 = 12n;

const located = new Located();

export class GroupDma {
	readonly #group: DeviceGroup;
	readonly #machine: Machine;
	readonly #reach = new Reach();
	/** What functions of somebody else's are told of memory, by their places. */
	readonly #told = new Map<number, ToldMemory>();
	/** The group whose answer our thread's question has to wait for. */
	#waitsFor: DeviceGroup | undefined;

	constructor(group: DeviceGroup, machine: Machine) {
		this.#group = group;
		this.#machine = machine;
	}

	/** Whether the thread's question is answered later. */
	get isWaiting(): boolean {
		return this.#waitsFor !== undefined;
	}

	// --- Where it leads ---

	/** Answers LOCATE. */
	locate({ vfio: { device } }: ModelledFunction, revoke: () => void): void {
		const { link } = this.#group;
		const page = link.askedDouble(Question.VALUE);
		const isWrite = link.asked(Question.WRITE) === 1;
		const { dma } = this.#machine;
		const fault = dma.locate(device, link.asked(Question.PASID), BigInt(page) << PAGE_LG2, isWrite, revoke, located);
		const { backing, at, firstPage, pages, protection } = located;
		// Of one that leads nowhere the copy says why, and of which bytes.
		if (fault !== undefined || backing === undefined || !this.#reach.find(backing, at, pages * 4096))
			link.answer(Answer.KIND, AnswerKind.ASK_FOR_COPY);
		else {
			link.answer(Answer.KIND, AnswerKind.YES);
			link.answer(Answer.FD, this.#reach.fd);
			link.answer(Answer.PROCESS, this.#reach.process);
			link.answer(Answer.PROTECTION, protection);
			link.answerDouble(Answer.FIRST_PAGE, firstPage);
			link.answerDouble(Answer.PAGES, pages);
			link.answerDouble(Answer.AT, this.#reach.at);
		}
	}

	/** The thread is not about to copy. */
	closeOld(): void {
		this.#reach.closeOld();
	}

	/** Forgets the ways to memory that is gone. */
	prune(): void {
		this.#reach.prune();
		if (this.#group.registers.every(({ state }) => !state.isCopying)) this.#reach.closeOld();
	}

	close(): void {
		this.#reach.close();
	}

	// --- Copies ---

	/** Answers COPY, or has it answered later. */
	copy({ vfio: { device, config } }: ModelledFunction): void {
		const { link } = this.#group;
		const { dma } = this.#machine;
		const pasid = link.asked(Question.PASID);
		const write = link.asked(Question.WRITE) === 1;
		const iova = (BigInt(link.askedDouble(Question.VALUE)) << PAGE_LG2) + BigInt(link.asked(Question.OFFSET));
		// A copy, because native code can't be given shared memory.
		const bytes = link.data.slice(0, link.asked(Question.LENGTH));
		let fault: DmaFault | undefined;
		let peer: PeerRead | undefined;
		if (!config.isBusMaster) fault = dma.refuse({ device, pasid, iova, write }, NO_MASTER, bytes.length);
		else if (write) fault = dma.write(device, iova, bytes, pasid);
		else
			peer = this.#group.services.peerReads.during(bytes, () => {
				fault = dma.read(device, iova, bytes, pasid);
			});
		if (peer !== undefined) fault = this.#readFromPeer({ device, pasid, iova, write }, bytes.length, peer);
		else if (fault === undefined) {
			if (!write) link.data.set(bytes);
			link.answer(Answer.KIND, AnswerKind.YES);
			if (write) this.#waitForSlowest();
		}
		if (fault !== undefined) this.#answerFault(fault);
	}

	/** Answers a read that leads to registers, or has it answered when they have been read. */
	#readFromPeer(request: DmaRequest, length: number, peer: PeerRead): DmaFault | undefined {
		const { link } = this.#group;
		const { group, index, bar, offset } = peer;
		if (peer.length !== length) link.answer(Answer.KIND, AnswerKind.PAGE_BY_PAGE);
		else if (group === this.#group) {
			link.answer(Answer.KIND, AnswerKind.OWN);
			link.answer(Answer.FUNCTION, index);
			link.answer(Answer.BAR, bar);
			link.answerDouble(Answer.OFFSET, offset);
		} else if (this.#isWaitedForBy(group))
			return this.#machine.dma.refuse(request, `${group.name} reads from it, too, and waits`, length);
		else {
			group.start();
			group.bus.load(index, bar, offset, length, (bytes) => {
				link.data.set(bytes);
				link.answer(Answer.KIND, AnswerKind.YES);
				this.#goOn();
			});
			this.#waitsFor = group;
		}
		return undefined;
	}

	/** Whoever writes to registers faster than their model can take it waits, as on a bus. */
	#waitForSlowest(): void {
		const slowest = this.#group.services.groups().find(({ bus }) => bus.areFarBehind);
		if (slowest === undefined || slowest === this.#group || this.#isWaitedForBy(slowest)) return;
		this.#waitsFor = slowest;
		slowest.bus.whenCaughtUp(() => this.#goOn());
	}

	#goOn(): void {
		this.#waitsFor = undefined;
		this.#group.link.handBack();
	}

	/** Directly, or by others. */
	#isWaitedForBy(other: DeviceGroup): boolean {
		for (let group: DeviceGroup | undefined = other; group !== undefined; group = group.dma.#waitsFor)
			if (group === this.#group) return true;
		return false;
	}

	/** Answers COPY where a bug of ours keeps us from it. */
	refuse(reason: string): void {
		this.#waitsFor = undefined;
		this.#answerFault({ stage: "function", kind: "blocked", level: undefined, reason });
	}

	#answerFault({ stage, kind, level, reason }: FaultText): void {
		const { link } = this.#group;
		const text: FaultText = { stage, kind, level, reason };
		link.answer(Answer.KIND, AnswerKind.FAULT);
		link.answer(Answer.LENGTH, link.writeText(JSON.stringify(text)));
	}

	// --- What somebody else is told of memory ---

	/** Has a function told which memory it may reach. What is shared memory it may have for itself, if nobody looks on. */
	tellMemory({ vfio }: ModelledFunction, index: number): void {
		const group = this.#group;
		const { frames, dma } = this.#machine;
		const mayHave = (backing: Backing) => dma.report === undefined && backing instanceof SharedFile && backing.isOpen;
		const told = new ToldMemory(frames, mayHave, () => {
			if (group.isDead) return;
			group.link.functions[index].hasMemoryChanged = true;
			if (told.isAhead) group.services.takenAway();
			if (group.isRunning) group.wake();
		});
		told.follow(vfio.device);
		this.#told.set(index, told);
	}

	/** Whether a function may still take memory for its own that it may not reach any more. */
	get isAhead(): boolean {
		for (const told of this.#told.values()) if (told.isAhead) return true;
		return false;
	}

	/** Answers MEMORY: there is nothing to tell to a function that answers nothing any more. */
	tell(index: number): void {
		const { link, services } = this.#group;
		const told = this.#told.get(index);
		const change = told?.next();
		if (!told?.isAhead) services.caughtUp();
		if (change === undefined) {
			link.answer(Answer.KIND, AnswerKind.NOTHING);
			return;
		}
		const { iova, size, protection, shared } = change.range;
		const isMapped = change.kind === "map";
		const file = isMapped && shared?.backing instanceof SharedFile ? shared.backing : undefined;
		link.answer(Answer.KIND, AnswerKind.YES);
		link.answer(Answer.IS_MAPPED, isMapped ? 1 : 0);
		link.answer(Answer.PROTECTION, protection);
		link.answerDouble(Answer.FIRST_PAGE, Number(iova >> PAGE_LG2));
		link.answerDouble(Answer.PAGES, Number(size >> PAGE_LG2));
		link.answerDouble(Answer.AT, shared?.at ?? 0);
		// Of its own, which it closes: ours may be another file's before it is used.
		link.answer(Answer.FD, file === undefined ? -1 : file.openAgain((protection & WRITE) !== 0));
	}

	/** Nobody is there any more who would have to be told. */
	forgetMemory(index: number): void {
		this.#told.get(index)?.close();
		this.#told.delete(index);
		this.#group.services.caughtUp();
	}

	forgetAllMemory(): void {
		for (const index of this.#told.keys()) this.forgetMemory(index);
	}
}
