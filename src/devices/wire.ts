// An Ethernet link between two functions of one machine.

/** One end of it. Frames are without preamble and checksum. */
export interface WireEnd {
	/** Whether somebody has the other end. */
	readonly isConnected: boolean;
	/** Sends a frame; it is lost where nobody has the other end. */
	send(frame: Uint8Array): void;
	/** Called with each frame that arrives. It is the receiver's from then on. */
	onFrame: ((frame: Uint8Array) => void) | undefined;
	/** Called when the other end is taken or given up. */
	onLinkChange: (() => void) | undefined;
	close(): void;
}

export class Wire {
	readonly #ends: (End | undefined)[] = [undefined, undefined];

	/** @throws Error when both ends are taken */
	takeEnd(): WireEnd {
		const place = this.#ends.indexOf(undefined);
		if (place < 0) throw new Error("both ends of this wire are taken");
		const end = new End(
			() => this.#ends[1 - place],
			() => {
				this.#ends[place] = undefined;
				this.#ends[1 - place]?.onLinkChange?.();
			},
		);
		this.#ends[place] = end;
		this.#ends[1 - place]?.onLinkChange?.();
		return end;
	}
}

class End implements WireEnd {
	onFrame: ((frame: Uint8Array) => void) | undefined;
	onLinkChange: (() => void) | undefined;
	readonly #other: () => End | undefined;
	readonly #leave: () => void;

	constructor(other: () => End | undefined, leave: () => void) {
		this.#other = other;
		this.#leave = leave;
	}

	get isConnected(): boolean {
		return this.#other() !== undefined;
	}

	send(frame: Uint8Array): void {
		this.#other()?.onFrame?.(frame);
	}

	close(): void {
		this.#leave();
	}
}
