// The packet buffer that frames wait in until software has given descriptors for them. 82576 data sheet 7.1.3.3, 8.3 RXPBS.

/** So many places before the first are too many to keep. */
const SPENT = 1024;

export class PacketBuffer {
	readonly #frames: Uint8Array[] = [];
	/** Where the first is in `#frames`: what is before it has been taken. */
	#first = 0;
	#octets = 0;

	/** How many bytes are in it. */
	get octets(): number {
		return this.#octets;
	}

	get isEmpty(): boolean {
		return this.#first === this.#frames.length;
	}

	/** The one that came first. */
	get first(): Uint8Array | undefined {
		return this.#frames[this.#first];
	}

	/** @param size how many bytes there may be @returns false when there is no room */
	add(frame: Uint8Array, size: number): boolean {
		if (this.#octets + frame.length > size) return false;
		this.#frames.push(frame);
		this.#octets += frame.length;
		return true;
	}

	/** The first has been taken. */
	remove(): void {
		const frame = this.#frames[this.#first];
		if (frame === undefined) return;
		this.#octets -= frame.length;
		this.#first++;
		if (this.#first === this.#frames.length) this.clear();
		else if (this.#first === SPENT) {
			this.#frames.splice(0, SPENT);
			this.#first = 0;
		}
	}

	clear(): void {
		this.#frames.length = 0;
		this.#first = 0;
		this.#octets = 0;
	}
}
