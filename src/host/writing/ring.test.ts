import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { build } from "esbuild";
import fc from "fast-check";
import { expect, test } from "vitest";
import { closeRing, endRing, newRing, RingReader, RingWriter } from "./ring.js";

const SIZE = 64;

test("frames come out as they went in, wherever the ring's end is", () => {
	const step = fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.constant("take" as const));
	const property = fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
		const ring = newRing(SIZE);
		const [writer, reader] = [new RingWriter(ring), new RingReader(ring)];
		const [put, taken]: [Uint8Array[], Uint8Array[]] = [[], []];
		const take = () => reader.take((bytes) => taken.push(bytes.slice()));
		let room = SIZE;
		for (const one of steps) {
			if (one === "take" || one.length + 4 > room) {
				take();
				room = SIZE;
			}
			if (one === "take") continue;
			writer.put(one, one.length);
			put.push(one);
			room -= one.length + 4;
		}
		take();
		expect(taken).toEqual(put);
	});
	fc.assert(property, { numRuns: 500 });
});

test("nothing more comes when it is closed and all has been taken, and nobody sleeps then", () => {
	const ring = newRing(SIZE);
	const [writer, reader] = [new RingWriter(ring), new RingReader(ring)];
	writer.put(Uint8Array.of(1, 2), 2);
	closeRing(ring);
	expect(reader.isOver).toBe(false);
	const taken: number[] = [];
	reader.take((bytes) => taken.push(...bytes));
	reader.wait();
	expect([taken, reader.isOver]).toEqual([[1, 2], true]);
});

test("where nobody takes any more, what is put is lost, and nobody waits", () => {
	const ring = newRing(SIZE);
	const writer = new RingWriter(ring);
	endRing(ring);
	for (let i = 0; i < 100; i++) writer.put(new Uint8Array(30), 30);
});

/** Puts frames of many lengths, some of them longer than the ring, then closes it. */
const PRODUCER = `
import { workerData } from "node:worker_threads";
import { closeRing, RingWriter } from "./ring.js";
const writer = new RingWriter(workerData.ring);
for (let i = 0; i < workerData.count; i++) {
	const length = (i * 7) % 300;
	writer.put(new Uint8Array(length).fill(i), length);
}
closeRing(workerData.ring);
`;

test("another thread's frames come in their order, also where it has to wait for room", async () => {
	const ring = newRing(SIZE);
	const count = 2000;
	const stdin = { contents: PRODUCER, resolveDir: fileURLToPath(new URL(".", import.meta.url)) };
	const bundle = await build({ stdin, bundle: true, platform: "node", format: "cjs", write: false });
	const producer = new Worker(bundle.outputFiles[0].text, { eval: true, workerData: { ring, count } });
	const failed = new Promise((_, reject) => producer.on("error", reject));
	const reader = new RingReader(ring);
	let frames = 0;
	const read = async () => {
		while (!reader.isOver) {
			reader.take((bytes) => {
				expect(bytes.length).toBe((frames * 7) % 300);
				expect(bytes.every((byte) => byte === (frames & 0xff))).toBe(true);
				frames++;
			});
			await new Promise(setImmediate);
		}
	};
	await Promise.race([read(), failed]);
	expect(frames).toBe(count);
});
