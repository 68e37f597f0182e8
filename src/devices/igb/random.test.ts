import fc from "fast-check";
import { expect, test } from "vitest";
import { areSame, connected, TestDriver } from "./igb.testing.js";
import { QUEUE_STRIDE, QueueRegister, Register } from "./registers.js";

const EOP = 1 << 24;
const WITHOUT_EOP = (1 << 25) | (1 << 27) | (1 << 29) | (3 << 20);

/** What a driver does, in any order. */
type Step =
	| { readonly kind: "send"; readonly queue: number; readonly pieces: readonly number[] }
	| { readonly kind: "receive" }
	| { readonly kind: "work" };

const steps = fc.array(
	fc.oneof(
		fc.record({
			kind: fc.constant("send" as const),
			queue: fc.constantFrom(0, 2, 11),
			pieces: fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 3 }),
		}),
		fc.record({ kind: fc.constant("receive" as const) }),
		fc.record({ kind: fc.constant("work" as const) }),
	),
	{ minLength: 20, maxLength: 150 },
);

test("whatever is sent, in however many pieces, is received once, each queue's frames in their order", () => {
	fc.assert(
		fc.property(steps, fc.constantFrom(0, 1, 2, 3), (sequence: Step[], bsize) => {
			const [one, other] = connected();
			one.start({ queues: [0, 2, 11] });
			other.start({ rctl: bsize << 16 });
			/** The naive wire. */
			const sent = new Map<number, Uint8Array[]>([0, 2, 11].map((queue) => [queue, []]));
			const got = new Map<number, Uint8Array[]>([0, 2, 11].map((queue) => [queue, []]));
			const collect = () => {
				other.settle();
				for (const bytes of other.receiveAll()) got.get(bytes[14])!.push(bytes);
			};
			sequence.forEach((step, number) => {
				if (step.kind === "receive") collect();
				else if (step.kind === "work") one.igb.work();
				else {
					// No more than there are descriptors for: what is missed has tests of its own.
					one.settle();
					collect();
					const length = Math.max(
						60,
						step.pieces.reduce((sum, piece) => sum + piece),
					);
					const bytes = Uint8Array.from({ length }, (_, i) => (i + number) & 0xff);
					bytes.set([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5, step.queue]);
					let at = 0;
					step.pieces.forEach((piece, i) => {
						const isLast = i === step.pieces.length - 1;
						const end = isLast ? length : at + piece;
						one.put(bytes.subarray(at, end), {
							queue: step.queue,
							command: isLast ? WITHOUT_EOP | EOP : WITHOUT_EOP,
						});
						at = end;
					});
					one.kick(step.queue);
					sent.get(step.queue)!.push(bytes);
				}
			});
			one.settle();
			collect();
			for (const [queue, frames] of sent) expect(areSame(got.get(queue)!, frames)).toBe(true);
		}),
		{ numRuns: 100 },
	);
});

const interesting = [
	...Object.values(Register),
	...Object.values(QueueRegister).map((offset) => Register.TXDMA + offset),
	...Object.values(QueueRegister).map((offset) => Register.RXDMA + QUEUE_STRIDE + offset),
];
const access = fc.record({
	isWrite: fc.boolean(),
	bar: fc.constantFrom(0, 0, 0, 0, 2, 1, 5),
	offset: fc.oneof(fc.constantFrom(...interesting), fc.integer({ min: 0, max: 0x20010 })),
	size: fc.constantFrom(1, 2, 4, 4, 4, 8),
	value: fc.oneof(
		fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
		fc.constantFrom(0n, 0x400n, 0x1000n, 0x0200_0002n, 0xffff_ffffn, 0x240n),
	),
});

test("no register access and no descriptor makes it fail, and its work comes to an end", () => {
	fc.assert(
		fc.property(fc.array(access, { maxLength: 200 }), fc.integer(), (accesses, seed) => {
			const driver = new TestDriver();
			driver.loopBack();
			driver.start();
			// Anything for descriptors.
			let state = seed | 1;
			for (let at = 0; at < 0x4000; at += 4) {
				state = Math.imul(state, 0x19660d) + 0x3c6ef35f;
				driver.port.view.setInt32(at, state);
			}
			driver.kick();
			for (const { isWrite, bar, offset, size, value } of accesses) {
				const at = offset - (offset % size);
				if (isWrite) driver.igb.writeRegister(bar, at, size, value & ((1n << BigInt(8 * size)) - 1n));
				else expect(driver.igb.readRegister(bar, at, size)).toBeGreaterThanOrEqual(0n);
				for (let i = 0; i < 3 && driver.igb.work(); i++);
			}
			driver.igb.reset();
			expect(driver.igb.work()).toBe(false);
		}),
		{ numRuns: 150 },
	);
});
