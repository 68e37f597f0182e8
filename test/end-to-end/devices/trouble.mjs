// A device that is slow, stuck or broken, as its registers say. clients/device_threads.c drives it.

import { existsSync } from "node:fs";

const WAIT = 0x00;
const DONE = 0x04;
const STUCK = 0x08;
const THROWS = 0x0c;
const ENDS = 0x10;
const SAYS_MUCH = 0x14;

const allOnes = (size) => (1n << BigInt(8 * size)) - 1n;
const pause = new Int32Array(new SharedArrayBuffer(4));

export default {
	name: "trouble",
	summary: "makes trouble",
	options: ({ file }) => ({ file }),
	identity: () => ({ vendor: 0x1234, device: 0xbad0, class: 0x00ff00, bars: [{ index: 0, size: 4096 }] }),
	create(_port, { file }) {
		let waits = false;
		let done = 0n;
		return {
			readRegister(_bar, offset, size) {
				if (offset === THROWS) throw new TypeError("a bug made on purpose");
				if (offset === SAYS_MUCH) throw new TypeError(`a long story: ${"\u{1f4d6}".repeat(100_000)}`);
				if (offset === ENDS) process.exit(3); // In a worker it ends the thread.
				return offset === DONE ? done : allOnes(size);
			},
			writeRegister(_bar, offset) {
				if (offset === WAIT) waits = true;
				if (offset === STUCK) waits = "for ever";
			},
			/** Waits for a file, which another program's calls lead to. */
			work() {
				while (waits === "for ever" || (waits && !existsSync(file))) Atomics.wait(pause, 0, 0, 1);
				if (waits) done++;
				waits = false;
				return false;
			},
			reset() {
				done = 0n;
			},
		};
	},
};
