// A function's DMA that reads registers of another one: those have to be asked for in the thread that has them, and whoever does the DMA
// goes on when they are there.

import type { DeviceGroup } from "./device-group.js";

/** Is thrown where registers are read that another thread has: as a fault would be, it ends what the supervisor has begun. */
export class PeerRead {
	/** Whose thread it is, and the function's place in it. */
	readonly group: DeviceGroup;
	readonly index: number;
	readonly bar: number;
	readonly offset: number;
	readonly length: number;

	constructor(group: DeviceGroup, index: number, bar: number, offset: number, length: number) {
		this.group = group;
		this.index = index;
		this.bar = bar;
		this.offset = offset;
		this.length = length;
	}
}

/**
 * What a function reads at the moment, to tell its data from all else that is read on the way there, like page tables: of that
 * nobody can say later what it was.
 */
export class PeerReads {
	#buffer: ArrayBufferLike | undefined;

	/** Does a DMA that puts data into `into`. @returns what is still to be read, if that is so */
	during(into: Uint8Array, read: () => void): PeerRead | undefined {
		this.#buffer = into.buffer;
		try {
			read();
			return undefined;
		} catch (thrown) {
			if (!(thrown instanceof PeerRead)) throw thrown;
			return thrown;
		} finally {
			this.#buffer = undefined;
		}
	}

	/** Whether some bytes can come later. */
	canWait(into: Uint8Array): boolean {
		return into.buffer === this.#buffer;
	}
}
