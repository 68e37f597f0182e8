import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { AdminOpcode } from "./admin.js";
import { PAGE, readOf, TestDriver, writeOf } from "./driver.testing.js";
import { MOST_DESCRIPTORS, SglType } from "./sgl.js";
import { Status } from "./status.js";

/** PSDT 1, in bits 15:8 of dword 0. */
const SGL = 1 << 6;
const UNMAPPED = 0x7000_0000;

interface Descriptor {
	readonly type: number;
	readonly address?: number;
	readonly length: number;
	readonly subtype?: number;
}

function bytesOf({ type, address = 0, length, subtype = 0 }: Descriptor): Uint8Array {
	const bytes = new Uint8Array(16);
	const view = new DataView(bytes.buffer);
	view.setBigUint64(0, BigInt(address), true);
	view.setUint32(8, length, true);
	bytes[15] = (type << 4) | subtype;
	return bytes;
}

/** Writes a segment. @returns its address */
function segment(
	driver: TestDriver,
	descriptors: readonly Descriptor[],
	address = driver.take(descriptors.length * 16),
) {
	for (const [index, descriptor] of descriptors.entries())
		driver.bytes(address + 16 * index, 16).set(bytesOf(descriptor));
	return address;
}

const data = (address: number, length: number): Descriptor => ({ type: SglType.DATA_BLOCK, address, length });
const bucket = (length: number): Descriptor => ({ type: SglType.BIT_BUCKET, length });
const next = (address: number, count: number): Descriptor => ({ type: SglType.SEGMENT, address, length: 16 * count });
const last = (address: number, count: number): Descriptor => ({
	type: SglType.LAST_SEGMENT,
	address,
	length: 16 * count,
});

let driver: TestDriver;

beforeEach(() => {
	driver = new TestDriver({ memory: 8 * 1024 * 1024 });
	driver.enable();
	driver.createQueues(1);
});

const read = (blocks: number, descriptor: Descriptor) =>
	driver.do(1, readOf(0, blocks, 0, { flags: SGL, sgl: bytesOf(descriptor) })).status;
const write = (blocks: number, descriptor: Descriptor) =>
	driver.do(1, writeOf(0, blocks, 0, { flags: SGL, sgl: bytesOf(descriptor) })).status;

test("data goes to and from pieces of any length at any address, in one segment or several", () => {
	const pieces = fc.array(fc.integer({ min: 0, max: 3000 }), { minLength: 1, maxLength: 40 });
	fc.assert(
		fc.property(pieces, fc.integer({ min: 2, max: 12 }), fc.nat(2), (lengths, perSegment, kind) => {
			driver = new TestDriver({ memory: 8 * 1024 * 1024 });
			driver.enable();
			driver.createQueues(1);
			// The last piece fills the last block.
			const sum = lengths.reduce((all, length) => all + length, 0);
			const blocks = Math.max(1, Math.ceil(sum / 512));
			const all = [...lengths, blocks * 512 - sum];
			const addresses = all.map((length, index) => driver.take(length + 64) + (index % 64));
			const descriptors = all.map((length, index) => data(addresses[index], length));
			const sgl = linked(descriptors, perSegment);
			let value = kind;
			for (const [index, length] of all.entries())
				for (let i = 0; i < length; i++) driver.port.memory[addresses[index] + i] = value++ & 0xff;
			expect(write(blocks, sgl)).toBe(0);
			for (const [index, length] of all.entries()) driver.bytes(addresses[index], length).fill(0);
			expect(read(blocks, sgl)).toBe(0);
			value = kind;
			let wrong = 0;
			for (const [index, length] of all.entries())
				for (let i = 0; i < length; i++) if (driver.port.memory[addresses[index] + i] !== (value++ & 0xff)) wrong++;
			expect(wrong).toBe(0);
		}),
		{ numRuns: 100 },
	);
});

/** Segments of so many descriptors each, linked from the last one on. */
function linked(descriptors: readonly Descriptor[], perSegment: number): Descriptor {
	if (descriptors.length === 1) return descriptors[0];
	const segments: Descriptor[][] = [];
	for (let left = [...descriptors]; left.length > 0; ) segments.push(left.splice(0, perSegment - 1));
	let link: Descriptor | undefined;
	for (const part of segments.reverse()) {
		const whole = link === undefined ? part : [...part, link];
		const address = segment(driver, whole);
		link = link === undefined ? last(address, whole.length) : next(address, whole.length);
	}
	return link!;
}

test("a bit bucket drops a part of what is read, and gives nothing to what is written", () => {
	const page = driver.take(PAGE);
	driver.bytes(page, 1024).fill(1, 0, 512).fill(2, 512);
	expect(write(2, last(segment(driver, [data(page, 700), bucket(5000), data(page + 700, 324)]), 3))).toBe(0);
	driver.bytes(page, 1024).fill(0);
	expect(read(2, last(segment(driver, [bucket(500), data(page, 20), bucket(504)]), 3))).toBe(0);
	expect([...driver.bytes(page, 22)]).toEqual([...Array(12).fill(1), ...Array(8).fill(2), 0, 0]);
});

describe("a read ends with an error", () => {
	test("when its SGL is shorter or longer than its data", () => {
		const page = driver.take(PAGE);
		expect([read(1, data(page, 511)), read(1, data(page, 513)), read(1, bucket(100))]).toEqual(
			Array(3).fill(Status.DATA_SGL_LENGTH_INVALID),
		);
	});

	test("when a descriptor is of a type or subtype that isn't there", () => {
		const types = [{ type: 4 }, { type: 5 }, { type: 15 }, { type: SglType.DATA_BLOCK, subtype: 1 }];
		for (const type of types) expect(read(1, { ...type, address: PAGE, length: 512 })).toBe(Status.SGL_TYPE_INVALID);
	});

	test("when a segment has no descriptors, or a part of one", () => {
		for (const length of [0, 8, 17])
			expect(read(1, { type: SglType.LAST_SEGMENT, address: PAGE, length })).toBe(Status.INVALID_SGL_SEGMENT);
	});

	test("when the last segment leads to another one", () => {
		const page = driver.take(PAGE);
		const inner = segment(driver, [data(page, 512)]);
		expect(read(1, last(segment(driver, [last(inner, 1)]), 1))).toBe(Status.INVALID_SGL_SEGMENT);
	});

	test("when a segment that isn't the last one leads nowhere", () => {
		const page = driver.take(PAGE);
		expect(read(1, next(segment(driver, [data(page, 512)]), 1))).toBe(Status.INVALID_SGL_SEGMENT);
	});

	test("when something comes after what leads to the next segment", () => {
		const page = driver.take(PAGE);
		const inner = segment(driver, [data(page, 512)]);
		expect(read(1, next(segment(driver, [last(inner, 1), data(page, 0)]), 2))).toBe(
			Status.INVALID_NUMBER_OF_SGL_DESCRIPTORS,
		);
	});

	test("when segments lead in a circle, or have more descriptors than are taken", () => {
		const address = driver.take(PAGE);
		segment(driver, [data(PAGE, 0), next(address, 2)], address);
		expect(read(1, next(address, 2))).toBe(Status.INVALID_NUMBER_OF_SGL_DESCRIPTORS);
		const many = Array.from({ length: MOST_DESCRIPTORS + 1 }, () => data(PAGE, 0));
		expect(read(1, last(segment(driver, many), many.length))).toBe(Status.INVALID_NUMBER_OF_SGL_DESCRIPTORS);
	});

	test("when the IOMMU refuses its data or a segment", () => {
		expect([read(1, data(UNMAPPED, 512)), read(1, last(UNMAPPED, 4))]).toEqual([
			Status.DATA_TRANSFER_ERROR,
			Status.DATA_TRANSFER_ERROR,
		]);
	});

	test("when PSDT is reserved", () => {
		expect(driver.do(1, readOf(0, 1, PAGE, { flags: 3 << 6 })).status).toBe(Status.INVALID_FIELD);
	});
});

test("an SGL as long as can be is taken", () => {
	const page = driver.take(PAGE);
	const many = [...Array.from({ length: MOST_DESCRIPTORS - 1 }, () => data(page, 0)), data(page, 512)];
	expect(read(1, last(segment(driver, many), many.length))).toBe(0);
});

test("an admin command has PRPs", () => {
	const completion = driver.admin({ opcode: AdminOpcode.IDENTIFY, dword10: 1, prp1: PAGE, flags: SGL });
	expect(completion.status).toBe(Status.INVALID_FIELD);
});
