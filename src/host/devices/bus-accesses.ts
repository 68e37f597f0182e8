// What comes to the functions of a device thread over the bus, from other functions and by eventfds: bytes that are stored, and some that
// are asked for. No call waits for them where it could be made again, so what the ring has no room for is kept here until it has.

import type { DeviceGroup } from "./device-group.js";
import { Entry, EntryKind, Question } from "./link.js";

/** Bytes that come over the bus, or are asked for. */
interface BusAccess {
	readonly index: number;
	readonly bar: number;
	/** In the BAR. */
	readonly offset: number;
	readonly length: number;
	/** STORE_BYTES at most; undefined for those that are asked for. */
	readonly from: Uint8Array | undefined;
	/** Of who waits for them, 0 for nobody. */
	readonly ticket: number;
}

/** Somebody waits for bytes. */
interface Load {
	readonly length: number;
	readonly then: (bytes: Uint8Array) => void;
}

/** A function that is as far behind is waited for by those who write to it. */
const FAR_BEHIND = 64;

export class BusAccesses {
	readonly #group: DeviceGroup;
	/** For which there is no room yet. Calls that come later don't go before them. */
	readonly #toCome: BusAccess[] = [];
	readonly #whenCaughtUp: (() => void)[] = [];
	/** By ticket. */
	readonly #loads = new Map<number, Load>();

	constructor(group: DeviceGroup) {
		this.#group = group;
	}

	/** Whether some have to wait for room. */
	get areKept(): boolean {
		return this.#toCome.length > 0;
	}

	get areFarBehind(): boolean {
		return this.#toCome.length > FAR_BEHIND;
	}

	/** @param then is called when none have to wait for room any more, or nobody is there for whom they are */
	whenCaughtUp(then: () => void): void {
		this.#whenCaughtUp.push(then);
	}

	/** Hands some bytes over. */
	store(index: number, bar: number, offset: number, from: Uint8Array): void {
		this.#pushOrKeep({ index, bar, offset, length: from.length, from, ticket: 0 });
	}

	/** Asks for some. @param then gets them: all ones when nobody answers */
	load(index: number, bar: number, offset: number, length: number, then: (bytes: Uint8Array) => void): void {
		const ticket = this.#group.newTicket();
		this.#loads.set(ticket, { length, then });
		this.#pushOrKeep({ index, bar, offset, length, from: undefined, ticket });
	}

	/** The thread has bytes that were asked for: its question says so. */
	loaded(): void {
		const { link } = this.#group;
		const ticket = link.asked(Question.NUMBER);
		const load = this.#loads.get(ticket);
		this.#loads.delete(ticket);
		load?.then(link.data.slice(0, load.length));
	}

	/** There is nobody any more who could answer. */
	giveUp(): void {
		for (const { length, then } of this.#loads.values()) then(new Uint8Array(length).fill(0xff));
		this.#loads.clear();
		this.#toCome.length = 0;
		this.#tellCaughtUp();
	}

	#pushOrKeep(access: BusAccess): void {
		if (this.#group.hasRoom) this.#push(access);
		else {
			this.#toCome.push(access);
			this.pushKept();
		}
	}

	/** Hands over what there is room for. */
	pushKept(): void {
		const toCome = this.#toCome;
		let done = 0;
		for (; done < toCome.length && this.#group.link.hasRoom; done++) this.#push(toCome[done]);
		toCome.splice(0, done);
		if (toCome.length > 0) this.#group.wantRoom();
		else this.#tellCaughtUp();
	}

	#tellCaughtUp(): void {
		for (const then of this.#whenCaughtUp.splice(0)) then();
	}

	#push({ index, bar, offset, length, from, ticket }: BusAccess): void {
		const { link } = this.#group;
		const { words, doubles, nextEntry: at } = link;
		if (from !== undefined) link.bytes.set(from, 4 * at);
		words[at + Entry.KIND] = from === undefined ? EntryKind.LOAD : EntryKind.STORE;
		words[at + Entry.FUNCTION] = index;
		words[at + Entry.BAR] = bar;
		words[at + Entry.TICKET] = ticket;
		doubles[(at + Entry.LENGTH) / 2] = length;
		doubles[(at + Entry.OFFSET) / 2] = offset;
		link.push();
		this.#group.wake();
	}
}
