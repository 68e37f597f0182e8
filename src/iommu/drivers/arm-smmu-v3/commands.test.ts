import { expect, test } from "vitest";
import { codeOf } from "../../../uapi/errno.js";
import { type Command, checkCommand, rangeOf, streamIdOf } from "./commands.js";
import { SmmuFeatures } from "./registers.js";

/** QEMU's SMMUv3: ranges, no ATS, no SubstreamIDs. */
const IDR = [0xd44101b, 0x2730010, 0, 0x1514, 0, 0x74];
const withBits = (index: number, bits: number) => {
	const idr = IDR.map((value, n) => (n === index ? value | bits : value));
	return new SmmuFeatures({ idr, iidr: 0, aidr: 0 });
};
const qemu = withBits(0, 0);

function answer(command: Command, features = qemu): string {
	return codeOf(() => checkCommand(command, features));
}

test("a guest may invalidate what its first stage has left in TLBs, and nothing else", () => {
	const opcodes = [0x10, 0x11, 0x12, 0x13, 0x30, 0x05, 0x06];
	expect(opcodes.map((opcode) => answer([BigInt(opcode), 0n]))).toEqual(opcodes.map(() => "ok"));
	const others = [0x01, 0x03, 0x04, 0x20, 0x21, 0x28, 0x2a, 0x41, 0x44, 0x46, 0];
	expect(others.map((opcode) => answer([BigInt(opcode), 0n]))).toEqual(others.map(() => "EIO"));
});

test("bits that a command doesn't have are refused", () => {
	expect(answer([0x10n | (7n << 32n), 0n])).toBe("ok"); // VMID, which is replaced
	expect(answer([0x10n | (7n << 48n), 0n])).toBe("EIO"); // ASID
	expect(answer([0x11n | (7n << 48n), 0n])).toBe("ok");
	expect([answer([0x11n, 1n]), answer([0x11n, 0x1000n])]).toEqual(["EIO", "EIO"]); // Leaf, an address
	expect(answer([0x13n | (7n << 48n), 0n])).toBe("EIO");
	expect(answer([0x30n | (7n << 32n), 0n])).toBe("EIO");
	expect(answer([0x12n, 0x1001n])).toBe("ok"); // Leaf
	expect(answer([0x12n, 0x1002n])).toBe("EIO");
});

test("an SMMU with 8 bits of ASID takes no more", () => {
	const small = new SmmuFeatures({ idr: [IDR[0] & ~(1 << 12), ...IDR.slice(1)], iidr: 0, aidr: 0 });
	expect([answer([0x11n | (0xffn << 48n), 0n], small), answer([0x11n | (0x100n << 48n), 0n], small)]).toEqual([
		"ok",
		"EIO",
	]);
});

test("SubstreamIDs take IDR1.SSIDSIZE, ATC_INV takes IDR0.ATS", () => {
	const withSubstreams = withBits(1, 20 << 6);
	expect([answer([0x05n | (1n << 12n), 0n]), answer([0x05n | (1n << 12n), 0n], withSubstreams)]).toEqual(["EIO", "ok"]);
	const withAts = withBits(0, 1 << 10);
	expect([answer([0x40n, 0n]), answer([0x40n, 0n], withAts)]).toEqual(["EIO", "ok"]);
	expect([answer([0x40n, 52n], withAts), answer([0x40n, 53n], withAts)]).toEqual(["ok", "EIO"]);
});

test("ranges: NUM, SCALE and TTL only with TG, and not all of them 0 then", () => {
	const TG_4K = 1n << 10n;
	expect(answer([0x12n | (1n << 12n), 0n])).toBe("EIO");
	expect(answer([0x12n | (1n << 12n), TG_4K])).toBe("ok");
	expect(answer([0x12n, TG_4K])).toBe("EIO");
	expect(answer([0x12n, TG_4K | (3n << 8n)])).toBe("ok");
	expect(answer([0x12n, (2n << 10n) | (1n << 8n)])).toBe("EIO"); // 16 KiB, TTL 1, no IDR5.DS
	expect(answer([0x12n, (2n << 10n) | (1n << 8n)], withBits(5, 1 << 7))).toBe("ok");
	expect(answer([0x12n | (1n << 25n), TG_4K])).toBe("EIO"); // SCALE above 31
	expect(answer([0x12n | (1n << 12n), TG_4K], new SmmuFeatures({ idr: IDR.with(3, 0x100), iidr: 0, aidr: 0 }))).toBe(
		"EIO",
	);
});

test("a command says which addresses, and which device", () => {
	expect(rangeOf([0x12n, 0x5000n])).toEqual({ first: 0x5000n, last: 0x5fffn });
	// NUM 2, SCALE 1, granule 64 KiB: 3 * 2 pages
	expect(rangeOf([0x12n | (2n << 12n) | (1n << 20n), 0x10_0000n | (3n << 10n)])).toEqual({
		first: 0x10_0000n,
		last: 0x15_ffffn,
	});
	expect(streamIdOf([0x05n | (0x1234n << 32n), 0n])).toBe(0x1234n);
});
