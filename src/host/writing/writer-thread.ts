// The loop of a thread that writes what comes through a ring.

import { RingReader } from "./ring.js";

/**
 * Returns when nothing more comes, and all has been written.
 * @param frame gets each frame, in order; its bytes are ours again afterwards
 * @param flush has what came so far written
 */
export function drain(ring: SharedArrayBuffer, frame: (bytes: Uint8Array) => void, flush: () => void): void {
	const reader = new RingReader(ring);
	while (!reader.isOver) {
		reader.take(frame);
		flush();
		reader.wait();
	}
}
