// Groups: which engines serve which queues. DSA specification 4.3 "Engines and groups", 9.2.22 GRPCFG.

import { PlainRegister, type RegisterMap } from "../register-map.js";
import { CommandError, DsaRegister, ENGINES, GROUPS, GRPCFG_SIZE, QUEUES } from "./registers.js";

/** In GRPCFG: four words of queues, one of engines, one of flags. */
const QUEUES_WORD = 0;
const ENGINES_WORD = 4;
const WORDS = 6;

export class Groups {
	readonly #queues: PlainRegister[] = [];
	readonly #engines: PlainRegister[] = [];
	readonly #all: PlainRegister[] = [];

	/** @param isDeviceEnabled then they can't be changed */
	constructor(registers: RegisterMap, isDeviceEnabled: () => boolean) {
		for (let group = 0; group < GROUPS; group++) {
			for (let i = 0; i < WORDS; i++) {
				const word = new PlainRegister(8, { writable: writableOf(i) });
				this.#all.push(word);
				if (i === QUEUES_WORD) this.#queues.push(word);
				if (i === ENGINES_WORD) this.#engines.push(word);
				registers.add(DsaRegister.GRPCFG + group * GRPCFG_SIZE + 8 * i, {
					size: 8,
					read: () => word.value,
					write: (bits, mask) => {
						if (!isDeviceEnabled()) word.write(bits, mask);
					},
				});
			}
		}
	}

	/** A value of CommandError that says why the device can't be enabled with them; undefined when it can. */
	get problem(): number | undefined {
		let queues = 0n;
		let engines = 0n;
		for (let group = 0; group < GROUPS; group++) {
			const [own, serving] = [this.#queues[group].value, this.#engines[group].value];
			if ((own === 0n) !== (serving === 0n)) return CommandError.GROUP_WITHOUT_WQ_OR_ENGINE;
			if (queues & own) return CommandError.WQ_IN_TWO_GROUPS;
			if (engines & serving) return CommandError.ENGINE_IN_TWO_GROUPS;
			queues |= own;
			engines |= serving;
		}
		return undefined;
	}

	/** Whether an engine works for the queue. */
	serves(queue: number): boolean {
		return this.#queues.some(({ value }) => (value >> BigInt(queue)) & 1n);
	}

	reset(): void {
		for (const word of this.#all) word.value = 0n;
	}
}

function writableOf(word: number): bigint {
	if (word === QUEUES_WORD) return (1n << BigInt(QUEUES)) - 1n;
	if (word === ENGINES_WORD) return (1n << BigInt(ENGINES)) - 1n;
	return word < ENGINES_WORD ? 0n : (1n << 64n) - 1n;
}
