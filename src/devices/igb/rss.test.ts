import { expect, test } from "vitest";
import { TestDriver } from "./igb.testing.js";
import { ipPacket } from "./ip.testing.js";
import { Register } from "./registers.js";
import { toeplitz } from "./rss.js";

/** The key and the results of Microsoft's "Verifying the RSS Hash Calculation". */
const KEY = [
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b,
	0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac,
	0x01, 0xfa,
];
const SOURCE = [66, 9, 149, 187];
const DESTINATION = [161, 142, 100, 80];
const PORTS = [0x0a, 0xea, 0x06, 0xe6];
const HASH_OF_ADDRESSES = 0x323e_8fc2;
const HASH_WITH_PORTS = 0x51cc_c178;

const TCP_IPV4 = 1 << 16;
const IPV4 = 1 << 17;
const UDP_IPV4 = 1 << 22;
const RSS = 2;

test("hashes are those that are published", () => {
	const key = Uint8Array.from(KEY);
	expect(toeplitz(key, [...SOURCE, ...DESTINATION])).toBe(HASH_OF_ADDRESSES);
	expect(toeplitz(key, [...SOURCE, ...DESTINATION, ...PORTS])).toBe(HASH_WITH_PORTS);
});

function setUp(mrqc: number): TestDriver {
	const driver = new TestDriver();
	driver.loopBack();
	driver.start({ queues: [0, 3, 12] });
	const key = new DataView(Uint8Array.from(KEY).buffer);
	for (let i = 0; i < 10; i++) driver.write(Register.RSSRK + 4 * i, key.getUint32(4 * i, true));
	driver.write(Register.RXCSUM, 1 << 13);
	driver.write(Register.MRQC, mrqc);
	const table = new Uint8Array(128);
	table[HASH_WITH_PORTS & 127] = 12;
	table[HASH_OF_ADDRESSES & 127] = 3;
	const words = new DataView(table.buffer);
	for (let i = 0; i < 32; i++) driver.write(Register.RETA + 4 * i, words.getUint32(4 * i, true));
	return driver;
}

const tcp = ipPacket({ source: SOURCE, destination: DESTINATION, ports: PORTS, protocol: 6 });
const udp = ipPacket({ source: SOURCE, destination: DESTINATION, ports: PORTS, protocol: 17 });

test("a packet goes to the queue that the table has for its hash, and its descriptor says which hash that is", () => {
	const driver = setUp(RSS | TCP_IPV4 | IPV4);
	driver.send(tcp);
	driver.send(udp);
	const [withPorts, withAddresses] = [driver.receive(12), driver.receive(3)];
	expect([withPorts?.bytes, withPorts?.hash, withPorts!.type & 0xf]).toEqual([tcp, HASH_WITH_PORTS, 1]);
	expect([withAddresses?.bytes, withAddresses?.hash, withAddresses!.type & 0xf]).toEqual([udp, HASH_OF_ADDRESSES, 2]);
});

test("UDP has a field of its own, and what can't be hashed goes to queue 0", () => {
	const driver = setUp(RSS | UDP_IPV4);
	driver.send(udp);
	driver.send(tcp);
	expect([driver.receive(12)?.type ?? 0, driver.receive(0)?.type ?? 0].map((type) => type & 0xf)).toEqual([7, 0]);
});

test("without it all goes to the default queue", () => {
	const driver = setUp(3 << 3);
	driver.send(tcp);
	expect([driver.receive(3)?.bytes, driver.receive(0)]).toEqual([tcp, undefined]);
});
