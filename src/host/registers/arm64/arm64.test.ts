// The executor beside a processor: what QEMU's left of each instruction, from the same state. recorded/README.md

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { arm64 } from "./arm64.js";
import type { Arm64Registers } from "./registers.js";

const WINDOW = 256;
const MIDDLE = 128;
const BASE = 0x7f00_0000_1000n;
const AT = 0x40_0000n;

/** The state that an instruction was made from: the numbers of a generator that starts with its encoding. */
function stateFor(word: number) {
	let state = word;
	const next = () => {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
		return state;
	};
	const next64 = () => {
		const [a, b, c] = [next() >>> 8, next() >>> 8, next() >>> 8].map(BigInt);
		return BigInt.asUintN(64, a ^ (b << 20n) ^ (c << 40n));
	};
	const general = Array.from({ length: 31 }, next64);
	const vectors = Array.from({ length: 64 }, next64);
	const memory = Uint8Array.from({ length: WINDOW }, () => next() >>> 24);
	general[1] = BASE + BigInt(MIDDLE);
	general[2] = 4n;
	general[3] = 0xdead_0000_ffff_fffbn;
	general[4] = 0xdead_0000_0000_0006n;
	general[19] = BigInt.asUintN(64, -24n);
	general[20] = new DataView(memory.buffer).getBigUint64(MIDDLE, true);
	return { general, vectors, memory };
}

/** Makes it, and says what is different then, as the recording does. */
function changesOf(word: number): string {
	const { general, vectors, memory } = stateFor(word);
	const bytes = new Uint8Array(arm64.generalBytes);
	const words = new BigUint64Array(bytes.buffer);
	words.set(general);
	words[32] = AT;
	const held = new Uint8Array(528);
	new BigUint64Array(held.buffer).set(vectors);
	const registers = arm64.registersIn(bytes, (_, into) => {
		into.set(held);
		return held.length;
	}) as Arm64Registers;
	const encoded = new Uint8Array(new Uint32Array([word]).buffer);
	const instruction = arm64.decode(encoded, AT);
	if (instruction === undefined) return "unknown";
	const after = memory.slice();
	const view = new DataView(after.buffer);
	const spread = new Uint8Array(8);
	instruction.execute(registers, {
		load: (address, size) => {
			spread.fill(0);
			spread.set(after.subarray(Number(address - BASE), Number(address - BASE) + size));
			return new DataView(spread.buffer).getBigUint64(0, true);
		},
		store: (address, size, value) => {
			for (let at = 0; at < size; at++)
				view.setUint8(Number(address - BASE) + at, Number((value >> BigInt(8 * at)) & 0xffn));
		},
		storeBlock: (address, from) => after.set(from, Number(address - BASE)),
	});
	expect(registers.programCounter).toBe(AT + 4n);
	const changes: string[] = [];
	general.forEach((before, number) => {
		const now = words[number];
		if (number === 16 || number === 17 || now === before) return;
		const offset = now - BASE;
		const isPlace = offset >= 0n && offset < BigInt(WINDOW);
		changes.push(`x${number}=${isPlace ? `+${offset - BigInt(MIDDLE)}` : now.toString(16)}`);
	});
	vectors.forEach((before, half) => {
		const now = registers.getVector(half >> 1, half & 1);
		if (now !== before) changes.push(`v${half}=${now.toString(16)}`);
	});
	memory.forEach((before, at) => {
		if (after[at] !== before) changes.push(`m${at - MIDDLE}=${after[at].toString(16)}`);
	});
	return changes.join(" ");
}

const recorded = readFileSync(new URL("recorded/instructions.txt", import.meta.url), "utf8")
	.trimEnd()
	.split("\n");

test("each load and store leaves what a processor leaves", () => {
	for (const line of recorded) {
		const [, word, changes = "", text] = line.match(/^([0-9a-f]{8})(?: (.*?))? {2}(.*)$/)!;
		expect([text, changesOf(Number.parseInt(word, 16))]).toEqual([text, changes]);
	}
});

test("what can't be told apart from a guess isn't known", () => {
	const unknown = {
		ldxr: 0x885f7c25,
		stxr: 0x88057c26,
		casp: 0x08247c26,
		prfm: 0xf9800020,
		ldtadd: 0x19250426,
		"ld1 of one element": 0x0d408025,
		"ld2, which takes structures apart": 0x4c408025,
		add: 0x91000421,
		"dc zva": 0xd50b7421,
	};
	for (const [name, word] of Object.entries(unknown)) expect([name, changesOf(word)]).toEqual([name, "unknown"]);
	expect(arm64.decode(new Uint8Array(3), AT)).toBeUndefined();
});

test("64 bytes at once go by eight registers", () => {
	const [ld64b, st64b] = [0xf83fd026, 0xf83f9026];
	expect(changesOf(ld64b).match(/x(\d+)=/g)).toEqual([6, 7, 8, 9, 10, 11, 12, 13].map((number) => `x${number}=`));
	expect(changesOf(st64b).match(/m-?\d+/g)?.length).toBeGreaterThan(60);
	expect(changesOf(ld64b + 1)).toBe("unknown"); // an odd register
});

test("a tag in the top byte isn't part of an address", () => {
	const bytes = new Uint8Array(arm64.generalBytes);
	new BigUint64Array(bytes.buffer)[1] = 0x5500_1234_5678_9000n;
	const registers = arm64.registersIn(bytes, () => 0);
	const ldr = arm64.decode(new Uint8Array(new Uint32Array([0xf9400425]).buffer), AT); // ldr x5, [x1, #8]
	expect(
		[0x1234_5678_9007n, 0x1234_5678_9008n, 0x1234_5678_900fn, 0x1234_5678_9010n].map((at) =>
			ldr?.touches(registers, at),
		),
	).toEqual([false, true, true, false]);
});

test("a literal lies beside the instruction", () => {
	const bytes = new Uint8Array(arm64.generalBytes);
	const registers = arm64.registersIn(bytes, () => 0);
	const seen: bigint[] = [];
	const load = (address: bigint) => {
		seen.push(address);
		return 0x8000_0000n;
	};
	const memory = { load, store: () => {}, storeBlock: () => {} };
	for (const word of [0x58000045, 0x98ffffe5]) // ldr x5, .+8; ldrsw x5, .-4
		arm64.decode(new Uint8Array(new Uint32Array([word]).buffer), AT)?.execute(registers, memory);
	expect([seen, (registers as Arm64Registers).get(5)]).toEqual([[AT + 8n, AT - 4n], 0xffff_ffff_8000_0000n]);
});

test("a system call is made anew, with its parameters", () => {
	const bytes = new Uint8Array(arm64.generalBytes);
	const registers = arm64.registersIn(bytes, () => 0) as Arm64Registers;
	registers.programCounter = AT;
	arm64.prepareCall(registers, 282, [1, -1]);
	expect([registers.programCounter, registers.get(8), registers.get(0), registers.get(1)]).toEqual([
		AT - 4n,
		282n,
		1n,
		2n ** 64n - 1n,
	]);
	registers.set(0, 2n ** 64n - 1n);
	expect(BigInt.asIntN(64, arm64.callResult(registers))).toBe(-1n);
});
