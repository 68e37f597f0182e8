// Registers and queues full of whatever: nothing that a host does makes the controller throw, work without end, or touch what isn't its own.

import fc from "fast-check";
import { expect, test } from "vitest";
import { AdminOpcode } from "./admin.js";
import { ENABLE, PAGE, TestDriver } from "./driver.testing.js";
import { NvmOpcode } from "./nvm.js";
import { NvmeRegister } from "./registers.js";

/** Numbers that are near a boundary more often than not. */
const word = fc.oneof(
	fc.nat(0xffff_ffff),
	fc.nat(64),
	fc.constantFrom(0, 1, 0xfff, 0x1000, 0xffff, 0x10000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, ENABLE),
	fc.nat(31).map((bit) => 2 ** bit),
);
/** Addresses: mostly of memory that is there. */
const address = fc.oneof(
	fc.nat(255).map((page) => BigInt(page * PAGE)),
	fc.nat(0xf_ffff).map(BigInt),
	fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
);

test("registers take any access of any width", () => {
	const access = fc.record({
		isWrite: fc.boolean(),
		bar: fc.constantFrom(0, 0, 0, 0, 1, 2),
		offset: fc.oneof(
			fc.constantFrom(...Object.values(NvmeRegister)),
			fc.nat(0x60),
			fc.nat(0x200).map((index) => 0x1000 + index),
			fc.nat(0x4000),
		),
		size: fc.constantFrom(1, 2, 4, 8),
		value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
		small: word,
	});
	fc.assert(
		fc.property(fc.array(access, { minLength: 1, maxLength: 60 }), fc.boolean(), (accesses, isEnabled) => {
			const driver = new TestDriver({ options: { cmb: "16K", size: "1M" }, memory: 1024 * 1024 });
			if (isEnabled) driver.enable(8);
			for (const { isWrite, bar, offset, size, value, small } of accesses) {
				const given = size === 8 ? value : BigInt(small) & ((1n << BigInt(8 * size)) - 1n);
				if (isWrite) driver.controller.writeRegister(bar, offset, size, given);
				else expect(driver.controller.readRegister(bar, offset, size) >> BigInt(8 * size)).toBe(0n);
				driver.run();
			}
			driver.controller.reset();
			driver.enable(8);
		}),
		{ numRuns: 500 },
	);
}, 60_000);

const opcodes = [...Object.values(AdminOpcode), ...Object.values(NvmOpcode)];
const entry = fc.record({
	queue: fc.nat(2),
	opcode: fc.oneof(fc.constantFrom(...opcodes), fc.nat(255)),
	flags: fc.oneof(fc.constantFrom(0, 0, 0, 1 << 6, 2 << 6), fc.nat(255)),
	namespace: fc.oneof(fc.constantFrom(1, 1, 2, 0, 0xffff_ffff), word),
	prp1: address,
	prp2: address,
	dwords: fc.array(word, { minLength: 4, maxLength: 4 }),
});

test("queues take any commands, with any addresses", () => {
	const step = fc.record({
		entries: fc.array(entry, { minLength: 1, maxLength: 8 }),
		memory: fc.array(fc.tuple(fc.nat(255), word), { maxLength: 8 }),
	});
	fc.assert(
		fc.property(fc.array(step, { minLength: 1, maxLength: 6 }), (steps) => {
			const driver = new TestDriver({ options: { cmb: "16K", size: "1M:64K" }, memory: 1024 * 1024 });
			driver.enable(16);
			driver.write64(NvmeRegister.CMBMSC, 0x4_0003n);
			driver.createQueues(1, 8, { interrupts: true });
			driver.createQueues(2, 8);
			for (const { entries, memory } of steps) {
				// Lists and segments that lead somewhere, to themselves, or nowhere.
				for (const [page, value] of memory)
					for (let at = page * PAGE; at < page * PAGE + 64; at += 4) driver.port.view.setUint32(at, value, true);
				for (const { queue, opcode, flags, namespace, prp1, prp2, dwords } of entries) {
					const [dword10, dword11, dword12, dword13] = dwords;
					driver.put(queue, { opcode, flags, namespace, prp1, prp2, dword10, dword11, dword12, dword13 });
				}
				for (const queue of [0, 1, 2]) driver.ringTail(queue);
				driver.run();
				for (const queue of [0, 1, 2]) driver.poll(queue);
			}
			driver.controller.restore!(driver.controller.save!());
			driver.run();
		}),
		{ numRuns: 1_000 },
	);
}, 60_000);
