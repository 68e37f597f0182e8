// What a function's model in a device thread has of the machine. What it does often it does itself, by what it has been told before: DMA
// to memory that it knows the way to, and messages. For all else it asks the supervisor.

import type { EndpointPort } from "../../devices/endpoint.js";
import type { MemoryChange } from "../../devices/remote.js";
import type { Device } from "../../iommu/core/iommu.js";
import { NO_PASID, type Pasid } from "../../iommu/core/pasid.js";
import { DmaFault, type FaultKind, type FaultStage } from "../../iommu/translation/dma-fault.js";
import { PAGE_SIZE } from "../../memory/address-space.js";
import { READ, WRITE } from "../../pagetable/pagetable.js";
import { signalEventFd } from "../files/eventfd.js";
import { addressOf, NativeMemory, pread, pwrite } from "../linux/libc.js";
import { readRemote, writeRemote } from "../memory/remote.js";
import {
	Answer,
	AnswerKind,
	ASK_FOR_SIGNAL,
	DATA_BYTES,
	type DeviceLink,
	type FunctionState,
	Question,
	QuestionKind,
} from "./link.js";
import { TranslationCache } from "./translation-cache.js";

const PAGE_LG2 = 12n;
const OFFSET_IN_PAGE = 0xfffn;

/** Up to here bytes go through memory whose address is known; for more it pays to find out where the array is. */
const STAGED = 64;

/** So often the way to one page is asked for. */
const MOST_ASKED = 3;

const stage = new NativeMemory(STAGED);

/** Where arrays' buffers are, which takes a while to find out. */
const addresses = new WeakMap<ArrayBufferLike, number>();

function addressIn(bytes: Uint8Array): number {
	const { buffer, byteOffset } = bytes;
	let address = addresses.get(buffer);
	if (address === undefined) {
		address = addressOf(bytes) - byteOffset;
		addresses.set(buffer, address);
	}
	return address + byteOffset;
}

/** A refusal, as it goes from thread to thread. */
export interface FaultText {
	readonly stage: FaultStage;
	readonly kind: FaultKind;
	readonly level: number | undefined;
	readonly reason: string;
}

export interface PortSurroundings {
	readonly name: string;
	/** Its place among the functions of the thread. */
	readonly index: number;
	readonly link: DeviceLink;
	/** Has the supervisor answer a question that is complete. */
	ask(): void;
	/** Reads registers of a function of the same thread. */
	loadOwn(index: number, bar: number, offset: number, into: Uint8Array): void;
	/** work() is to be called. */
	wake(): void;
	memoryOf(bar: number, offset: number): Uint8Array;
	setDoorbell(bar: number, offset: number, value: number): void;
}

export class ThreadPort implements EndpointPort {
	/** How many resets the model has come to. As long as there are more, what it does has no effect. */
	resets = 0;
	readonly #around: PortSurroundings;
	readonly #link: DeviceLink;
	readonly #state: FunctionState;
	readonly #cache = new TranslationCache();
	#generation = 0;
	/** Its pin, as far as the supervisor has been told. */
	#isAsserted = false;
	/** What a fault is about. */
	readonly #device: Device;

	constructor(around: PortSurroundings) {
		this.#around = around;
		this.#link = around.link;
		this.#state = around.link.functions[around.index];
		this.#device = { name: around.name } as Device;
	}

	readMemory(iova: bigint, into: Uint8Array, pasid: Pasid = NO_PASID): DmaFault | undefined {
		return this.#transfer(iova, into, pasid, false);
	}

	writeMemory(iova: bigint, from: Uint8Array, pasid: Pasid = NO_PASID): DmaFault | undefined {
		return this.#transfer(iova, from, pasid, true);
	}

	// --- DMA ---

	#transfer(iova: bigint, data: Uint8Array, pasid: Pasid, isWrite: boolean): DmaFault | undefined {
		if (this.#isOutOfDate) return this.#fault(iova, pasid, isWrite, "function", "blocked", "it is being reset");
		// Somebody wants to know of each, or of this one, which is refused.
		if (this.#state.isWatched || !this.#state.isBusMaster) return this.#copyAll(iova, data, 0, pasid, isWrite);
		const first = Number(iova >> PAGE_LG2);
		const offset = Number(iova & OFFSET_IN_PAGE);
		const { length } = data;
		const isStaged = length <= STAGED;
		if (isStaged && isWrite) for (let i = 0; i < length; i++) stage.bytes[i] = data[i];
		const address = isStaged ? stage.address : addressIn(data);
		for (let done = 0, asked = 0; done < length; ) {
			const at = offset + done;
			const page = first + Math.floor(at / PAGE_SIZE);
			const inPage = at % PAGE_SIZE;
			const copied = this.#copy(pasid, page, inPage, address + done, length - done, isWrite);
			if (copied > 0) {
				done += copied;
				asked = 0;
				continue;
			}
			if (isStaged && !isWrite) for (let i = 0; i < done; i++) data[i] = stage.bytes[i];
			// Where translations are taken away all the time, what is told doesn't count any more by now.
			if (copied < 0 || asked++ === MOST_ASKED || !this.#state.isBusMaster)
				return this.#copyAll(iova, data, done, pasid, isWrite);
			if (!this.#locate(page, pasid, isWrite)) return this.#copyAll(iova, data, done, pasid, isWrite);
		}
		if (isStaged && !isWrite) for (let i = 0; i < length; i++) data[i] = stage.bytes[i];
		return undefined;
	}

	/** @returns how many bytes; 0 if the way isn't known; -1 if it is, and leads nowhere any more */
	#copy(pasid: Pasid, page: number, inPage: number, address: number, most: number, isWrite: boolean): number {
		const cache = this.#cache;
		const state = this.#state;
		state.beginCopy();
		// In this order: whoever takes something away counts the generation up, and then looks whether we copy.
		const { generation } = state;
		if (generation !== this.#generation) {
			cache.clear();
			this.#generation = generation;
		}
		let copied = 0;
		if (cache.find(pasid, page, isWrite ? WRITE : READ)) {
			const length = Math.min(most, cache.length - inPage);
			const at = cache.at + inPage;
			copied = isWrite ? pwrite(cache.fd, address, length, at) : pread(cache.fd, address, length, at);
			// Of memory that somebody has to fill, only the other way waits for that. If it is all gone, the file is at its end.
			if (copied < 0 && cache.process !== 0)
				copied = (isWrite ? writeRemote : readRemote)(cache.process, at, address, length);
			if (copied === 0) copied = -1;
		}
		state.endCopy();
		return copied;
	}

	/** Asks for the way. @returns false if only the supervisor can go it, or say why it leads nowhere */
	#locate(page: number, pasid: Pasid, isWrite: boolean): boolean {
		const link = this.#link;
		this.#begin(QuestionKind.LOCATE);
		link.ask(Question.PASID, pasid);
		link.ask(Question.WRITE, isWrite ? 1 : 0);
		link.askDouble(Question.VALUE, page);
		// As of before: if something is taken away while we ask, it is asked for again.
		const { generation } = this.#state;
		this.#around.ask();
		const kind = link.answered(Answer.KIND);
		if (kind === AnswerKind.ASK_FOR_COPY) return false;
		if (generation !== this.#generation) {
			this.#cache.clear();
			this.#generation = generation;
		}
		this.#cache.add(
			pasid,
			link.answeredDouble(Answer.FIRST_PAGE),
			link.answeredDouble(Answer.PAGES),
			{
				protection: link.answered(Answer.PROTECTION),
				fd: link.answered(Answer.FD),
				process: link.answered(Answer.PROCESS),
			},
			link.answeredDouble(Answer.AT),
		);
		return true;
	}

	/** The supervisor does it, piece by piece. */
	#copyAll(iova: bigint, data: Uint8Array, from: number, pasid: Pasid, isWrite: boolean): DmaFault | undefined {
		const link = this.#link;
		let most = DATA_BYTES;
		for (let done = from; done < data.length; ) {
			const at = BigInt.asUintN(64, iova + BigInt(done));
			const toEnd = most === PAGE_SIZE ? PAGE_SIZE - Number(at & OFFSET_IN_PAGE) : most;
			const length = Math.min(toEnd, data.length - done);
			this.#begin(QuestionKind.COPY);
			link.ask(Question.PASID, pasid);
			link.ask(Question.WRITE, isWrite ? 1 : 0);
			link.askDouble(Question.VALUE, Number(at >> PAGE_LG2));
			link.ask(Question.OFFSET, Number(at & OFFSET_IN_PAGE));
			link.ask(Question.LENGTH, length);
			if (isWrite) link.data.set(data.subarray(done, done + length));
			this.#around.ask();
			const kind = link.answered(Answer.KIND);
			if (kind === AnswerKind.FAULT) return this.#faultOfAnswer(at, pasid, isWrite);
			if (kind === AnswerKind.PAGE_BY_PAGE) {
				most = PAGE_SIZE;
				continue;
			}
			if (kind === AnswerKind.OWN) this.#loadOwn(data.subarray(done, done + length));
			else if (!isWrite) data.set(link.data.subarray(0, length), done);
			done += length;
		}
		return undefined;
	}

	#loadOwn(into: Uint8Array): void {
		const link = this.#link;
		const [index, bar] = [link.answered(Answer.FUNCTION), link.answered(Answer.BAR)];
		this.#around.loadOwn(index, bar, link.answeredDouble(Answer.OFFSET), into);
	}

	#faultOfAnswer(iova: bigint, pasid: Pasid, isWrite: boolean): DmaFault {
		const { stage, kind, reason, level }: FaultText = JSON.parse(
			this.#link.readText(this.#link.answered(Answer.LENGTH)),
		);
		return this.#fault(iova, pasid, isWrite, stage, kind, reason, level);
	}

	#fault(
		iova: bigint,
		pasid: Pasid,
		write: boolean,
		stage: FaultStage,
		kind: FaultKind,
		reason: string,
		level?: number,
	): DmaFault {
		return new DmaFault({ device: this.#device, pasid, iova, write }, stage, kind, reason, level);
	}

	// --- Interrupts ---

	interrupt(vector: number): void {
		if (this.#isOutOfDate) return;
		const state = this.#state;
		if (state.isWatched || !state.hasMessages) {
			// The pin stays as it is until it is acknowledged.
			this.#isAsserted = !state.hasMessages;
			this.#askToInterrupt(vector);
			return;
		}
		if (!state.isBusMaster) return;
		state.beginSignal();
		const fd = state.eventFdOf(vector);
		if (fd >= 0) signalEventFd(fd);
		state.endSignal();
		// Without an eventfd it is lost.
		if (fd === ASK_FOR_SIGNAL) this.#askToInterrupt(vector);
	}

	#askToInterrupt(vector: number): void {
		this.#begin(QuestionKind.INTERRUPT);
		this.#link.ask(Question.NUMBER, vector);
		this.#around.ask();
	}

	deassert(): void {
		if (!this.#isAsserted) return;
		this.#isAsserted = false;
		this.#begin(QuestionKind.DEASSERT);
		this.#around.ask();
	}

	// --- All else ---

	wake(): void {
		this.#around.wake();
	}

	memoryOf(bar: number, offset: number): Uint8Array {
		return this.#around.memoryOf(bar, offset);
	}

	setDoorbell(bar: number, offset: number, value: number): void {
		this.#around.setDoorbell(bar, offset, value);
	}

	/** What has changed of the memory that it may reach. By then what was told before has been done. @returns undefined if nothing has */
	askForMemory(): MemoryChange | undefined {
		const link = this.#link;
		this.#begin(QuestionKind.MEMORY);
		this.#around.ask();
		if (link.answered(Answer.KIND) === AnswerKind.NOTHING) return undefined;
		const protection = link.answered(Answer.PROTECTION);
		const fd = link.answered(Answer.FD);
		return {
			kind: link.answered(Answer.IS_MAPPED) === 1 ? "map" : "unmap",
			iova: BigInt(link.answeredDouble(Answer.FIRST_PAGE)) << PAGE_LG2,
			size: BigInt(link.answeredDouble(Answer.PAGES)) << PAGE_LG2,
			isReadable: (protection & READ) !== 0,
			isWriteable: (protection & WRITE) !== 0,
			file: fd === -1 ? undefined : { fd, offset: link.answeredDouble(Answer.AT) },
		};
	}

	tell(message: string): void {
		if (!this.#state.isWatched) return;
		this.#begin(QuestionKind.TELL);
		this.#link.ask(Question.LENGTH, this.#link.writeText(message));
		this.#around.ask();
	}

	/** Whether it has been told to reset itself, and hasn't come to that yet. */
	get #isOutOfDate(): boolean {
		return this.#state.resets !== this.resets;
	}

	#begin(kind: number): void {
		this.#link.ask(Question.KIND, kind);
		this.#link.ask(Question.FUNCTION, this.#around.index);
	}
}
