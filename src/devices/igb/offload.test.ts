import fc from "fast-check";
import { expect, test } from "vitest";
import { crc32c } from "../checksum.js";
import { frame, SENT, TestDriver } from "./igb.testing.js";
import { be, ipPacket, type Layout, layOut, onesComplement } from "./ip.testing.js";
import { Register, Rxcsum } from "./registers.js";

const CONTEXT = 0x2020_0000;
const IPV4 = 1 << 10;
const L4T = { 17: 0, 6: 1 << 11, 132: 2 << 11 } as const;
const IXSM = 1 << 8;
const TXSM = 1 << 9;
const TSE = 2 ** 31;

const IPCS = 1 << 6;
const L4CS = 1 << 5;
const UDPCS = 1 << 4;
const L4_ERROR = 1 << 29;
const IP_ERROR = 1 << 30;

function setUp(): TestDriver {
	const driver = new TestDriver();
	driver.loopBack();
	driver.start();
	driver.write(Register.RXCSUM, Rxcsum.PCSD | Rxcsum.IPOFLD | Rxcsum.TUOFLD | Rxcsum.CRCOFL);
	return driver;
}

function putContext(driver: TestDriver, layout: Layout, protocol: 6 | 17 | 132, version: 4 | 6, mss = 0): void {
	driver.putWords([
		(layout.macLength << 9) | layout.ipLength,
		0,
		CONTEXT | L4T[protocol] | (version === 4 ? IPV4 : 0),
		(mss << 16) | (layout.l4Length << 8),
	]);
}

/** The packet as software hands it over: without the checksum of IP, and the sum of the pseudo header for the other. */
function seeded(layout: Layout, length: number): Uint8Array {
	const bytes = layout.bytes.slice();
	if (bytes[layout.macLength] >> 4 === 4) bytes.set([0, 0], layout.macLength + 10);
	bytes.set(be(0xffff - onesComplement([...layout.pseudoHeader, ...be(length, 2)]), 2), layout.checksumAt);
	return bytes;
}

const packets = fc.record({
	version: fc.constantFrom<4 | 6>(4, 6),
	protocol: fc.constantFrom<6 | 17>(6, 17),
	payload: fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 30, maxLength: 400 }),
	hasOptions: fc.boolean(),
	tag: fc.option(fc.integer({ min: 0, max: 0xffff }), { nil: undefined }),
});
const optionsFor = (hasOptions: boolean) => (hasOptions ? [0, 0, 1, 4, 0, 0, 0, 0] : []);

test("checksums that the port inserts are those that software would have, and are found right", () => {
	fc.assert(
		fc.property(packets, ({ hasOptions, ...packet }) => {
			const driver = setUp();
			const layout = layOut({ ...packet, options: optionsFor(hasOptions) });
			const { macLength, ipLength } = layout;
			const l4Octets = layout.bytes.length - macLength - ipLength;
			putContext(driver, layout, packet.protocol, packet.version);
			driver.send(seeded(layout, l4Octets), { info: IXSM | TXSM });
			const got = driver.receive()!;
			expect(got.bytes).toEqual(layout.bytes);
			const network = packet.version === 4 ? (hasOptions ? 3 : 1) : hasOptions ? 12 : 4;
			expect(got.type >> 4).toBe(network | (packet.protocol === 6 ? 16 : 32));
			expect(got.status & (IPCS | L4CS | UDPCS | L4_ERROR | IP_ERROR)).toBe(
				(packet.version === 4 ? IPCS : 0) | L4CS | (packet.protocol === 17 ? UDPCS : 0),
			);
		}),
		{ numRuns: 100 },
	);
});

test("a byte that has changed is a checksum that is wrong", () => {
	const driver = setUp();
	const { bytes, macLength, ipLength } = layOut({ protocol: 6 });
	const statusWith = (at: number) => {
		const damaged = bytes.slice();
		damaged[at] ^= 1;
		driver.send(damaged);
		return (driver.receive()!.status & (L4_ERROR | IP_ERROR)) >>> 0;
	};
	expect([statusWith(macLength + 8), statusWith(macLength + ipLength + 3)]).toEqual([IP_ERROR, L4_ERROR]);
});

test("TCP and UDP are cut into segments, each with headers of its own", () => {
	fc.assert(
		fc.property(
			packets,
			fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 500, maxLength: 1500 }),
			fc.integer({ min: 40, max: 600 }),
			({ version, protocol, hasOptions }, payload, mss) => {
				const driver = setUp();
				const options = optionsFor(hasOptions);
				// FIN, PSH and ACK.
				const whole = layOut({ version, protocol, payload, options, flags: 0x19 });
				putContext(driver, whole, protocol, version, mss);
				const pieces = [seeded(whole, 0)];
				const header = whole.macLength + whole.ipLength + whole.l4Length;
				const info = IXSM | TXSM | (payload.length << 14);
				for (const piece of pieces) driver.send(piece, { command: SENT + TSE, info });
				const count = Math.ceil(payload.length / mss);
				for (let i = 0; i < count; i++) {
					const expected = ipPacket({
						version,
						protocol,
						options,
						payload: payload.slice(i * mss, (i + 1) * mss),
						flags: i === count - 1 ? 0x19 : 0x10,
						sequence: 0x0102_0304 + i * mss,
						identification: 0x4567 + i,
					});
					const got = driver.receive()!;
					expect(got.bytes).toEqual(expected);
					expect(got.bytes.length).toBe(Math.max(60, Math.min(mss, payload.length - i * mss) + header));
				}
				expect(driver.receive()).toBeUndefined();
			},
		),
		{ numRuns: 50 },
	);
});

test("what can't be cut is discarded, and counted", () => {
	const driver = setUp();
	const layout = layOut({ protocol: 6 });
	putContext(driver, layout, 6, 4, 0);
	driver.send(layout.bytes, { command: SENT + TSE, info: TXSM });
	putContext(driver, { ...layout, l4Length: 200 }, 6, 4, 100);
	driver.send(layout.bytes, { command: SENT + TSE, info: TXSM });
	expect([driver.receive(), driver.read(0x403c)]).toEqual([undefined, 2]);
});

test("SCTP has a checksum of its own", () => {
	const driver = setUp();
	const bytes = ipPacket({ protocol: 17, payload: Array.from({ length: 40 }, (_, i) => i) });
	bytes[23] = 132;
	const layout = { ...layOut({ protocol: 17 }), bytes };
	putContext(driver, layout, 132, 4);
	driver.send(bytes, { info: IXSM | TXSM });
	const got = driver.receive()!;
	const expected = bytes.slice(34);
	expected.fill(0, 8, 12);
	const checksum = new DataView(got.bytes.buffer).getUint32(42, true);
	expect(checksum).toBe(crc32c(expected, 0, expected.length));
	expect(got.status & (L4CS | UDPCS | L4_ERROR)).toBe(L4CS);
});

test("a legacy descriptor says itself where a checksum begins and where it goes", () => {
	const driver = setUp();
	const sent = frame(100);
	const legacy = { EOP: 1 << 24, IFCS: 1 << 25, IC: 1 << 26, RS: 1 << 27 };
	const command = legacy.EOP | legacy.IFCS | legacy.IC | legacy.RS | (50 << 16);
	driver.send(sent, { command, info: 20 << 8 });
	const expected = sent.slice();
	expected.set(be(onesComplement([...sent.subarray(20)]), 2), 50);
	expect([driver.receive()?.bytes, driver.isSent(0)]).toEqual([expected, true]);
});

test("a legacy receive descriptor keeps its address, and has the sum of the packet", () => {
	const driver = new TestDriver();
	driver.loopBack();
	driver.start({ srrctl: 0 });
	driver.write(Register.RXCSUM, 14 | Rxcsum.IPOFLD);
	const before = driver.receiveWords(0);
	const { bytes } = layOut({ protocol: 17 });
	driver.send(bytes);
	const after = driver.receiveWords(0);
	expect(after.slice(0, 2)).toEqual(before.slice(0, 2));
	expect([after[2] >>> 16, after[2] & 0xffff]).toEqual([
		0xffff - onesComplement([...bytes.subarray(14)]),
		bytes.length,
	]);
	expect(after[3] & 0xffff).toBe(0x43);
});

test("an EtherType can have a queue of its own", () => {
	const driver = new TestDriver();
	driver.loopBack();
	driver.start({ queues: [0, 5] });
	driver.write(Register.ETQF + 8, 2 ** 31 + (1 << 26) + (5 << 16) + 0x88b5);
	driver.send(frame(60));
	const got = driver.receive(5)!;
	expect([got.type >> 4, driver.receive(0)]).toEqual([(1 << 11) | 2, undefined]);
});

test("the head can be written to memory instead of descriptors", () => {
	const driver = setUp();
	driver.write(Register.TXDMA + 0x38, 0x500001 & 0xffff_ffff);
	driver.send(frame(60));
	driver.send(frame(60));
	expect([driver.port.view.getUint32(0x500000, true), driver.isSent(0), driver.isSent(1)]).toEqual([2, false, false]);
});
