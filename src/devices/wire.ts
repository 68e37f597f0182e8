// An Ethernet link between two functions of one machine.

/** One end of it. Frames are without preamble and checksum. */
export interface WireEnd {
	/** Whether somebody has the other end, and is powered. */
	readonly isConnected: boolean;
	/** Whether this end is powered: else the other one sees nobody, as if the cable were pulled. True at first. */
	isPowered: boolean;
	/** Sends a frame; it is lost where nobody has the other end. */
	send(frame: Uint8Array): void;
	/** Called with each frame that arrives. It is the receiver's from then on. */
	onFrame: ((frame: Uint8Array) => void) | undefined;
	/** Called when the other end is taken or given up, or gets or loses power. */
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
	#isPowered = true;

	constructor(other: () => End | undefined, leave: () => void) {
		this.#other = other;
		this.#leave = leave;
	}

	get isConnected(): boolean {
		return this.#other()?.isPowered === true;
	}

	get isPowered(): boolean {
		return this.#isPowered;
	}

	set isPowered(isPowered: boolean) {
		if (isPowered === this.#isPowered) return;
		this.#isPowered = isPowered;
		this.#other()?.onLinkChange?.();
	}

	send(frame: Uint8Array): void {
		this.#other()?.onFrame?.(frame);
	}

	close(): void {
		this.#leave();
	}
}
