import fc from "fast-check";
import { expect, test } from "vitest";
import {
	Command,
	decodeDmaAccess,
	decodeHeader,
	decodeInfo,
	decodeInterruptInfo,
	decodeRegionInfo,
	decodeRegionRead,
	decodeVersion,
	encodeDmaMap,
	encodeDmaReply,
	encodeMessage,
	encodeRegionRead,
	encodeRegionWrite,
	encodeSetEventFds,
	encodeVersion,
	encodeWriteMulti,
	HEADER_SIZE,
	MAX_TRANSFER,
	ProtocolError,
} from "./protocol.js";

test("a message is a header of 16 bytes and its payload", () => {
	const message = encodeMessage(
		{ id: 0x1234, command: Command.REGION_READ, isReply: false, noReply: true, error: undefined },
		Uint8Array.of(7, 8),
	);
	expect([...message]).toEqual([0x34, 0x12, 9, 0, 18, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 7, 8]);
	expect(decodeHeader(message)).toEqual({
		id: 0x1234,
		command: 9,
		size: 18,
		isReply: false,
		noReply: true,
		error: undefined,
	});
});

test("whatever a header says comes back from its bytes", () => {
	const header = fc.record({
		id: fc.nat(0xffff),
		command: fc.nat(0xffff),
		isReply: fc.boolean(),
		noReply: fc.boolean(),
		error: fc.option(fc.nat(), { nil: undefined }),
	});
	fc.assert(
		fc.property(header, fc.uint8Array({ maxLength: 100 }), (header, payload) => {
			const size = HEADER_SIZE + payload.length;
			expect(decodeHeader(encodeMessage(header, payload))).toEqual({ ...header, size });
		}),
	);
});

test("the structs are laid out as the specification has them", () => {
	const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
	expect(hex(encodeRegionRead({ region: 2, offset: 0x1_0000_0010, count: 8 }))).toBe(
		"10000000010000000200000008000000",
	);
	expect(hex(encodeRegionWrite(1, 4, Uint8Array.of(0xaa, 0xbb)))).toBe("04000000000000000100000002000000aabb");
	const map = { address: 0x1000n, size: 0x2000n, isReadable: true, isWriteable: false, fileOffset: 0x3000 };
	expect(hex(encodeDmaMap(map))).toBe("20000000010000000030000000000000" + "00100000000000000020000000000000");
	expect(hex(encodeSetEventFds(2, 3, 4))).toBe("1400000024000000020000000300000004000000");
	expect(hex(encodeWriteMulti([{ region: 0, offset: 8, size: 4, value: 0x11n }]))).toBe(
		"0100000000000000" + "0800000000000000" + "0000000004000000" + "1100000000000000",
	);
});

const versionOf = (json: string, [major, minor] = [0, 1]) =>
	Uint8Array.from([major, 0, minor, 0, ...Buffer.from(json)]);

test("a version is agreed on where the server's is none that this side doesn't have", () => {
	expect(decodeVersion(encodeVersion().subarray(0, 4))).toEqual({
		maxMessageFds: 1,
		maxTransfer: MAX_TRANSFER,
		maxMaps: 65535,
		writeMulti: false,
		twinSocket: undefined,
	});
	const json =
		'{"capabilities":{"max_msg_fds":8,"max_data_xfer_size":4096,"write_multiple":true,"migration":{"pgsize":4096}}}\0';
	expect(decodeVersion(versionOf(json))).toMatchObject({ maxMessageFds: 8, maxTransfer: 4096, writeMulti: true });
	const twin = '{"capabilities":{"twin_socket":{"supported":true,"fd_index":0}}}\0';
	expect(decodeVersion(versionOf(twin)).twinSocket).toBe(0);
});

test.each([
	["a newer version", versionOf("{}\0", [0, 2])],
	["another major one", versionOf("{}\0", [1, 0])],
	["nothing", new Uint8Array(0)],
	["what is no JSON", versionOf("{\0")],
	["JSON without an end", versionOf("{}")],
	["capabilities of another kind", versionOf('{"capabilities":{"max_msg_fds":"many"}}\0')],
	["transfers of nothing", versionOf('{"capabilities":{"max_data_xfer_size":0}}\0')],
	["two sockets without the second", versionOf('{"capabilities":{"twin_socket":{"supported":true}}}\0')],
])("%s is no version to agree on", (_, payload) => {
	expect(() => decodeVersion(payload)).toThrow(ProtocolError);
});

/** A region's info, with words of its capabilities behind it. */
function regionInfo(flags: number, size: bigint, capOffset: number, capabilities: readonly number[] = []): Uint8Array {
	const bytes = new Uint8Array(32 + 4 * capabilities.length);
	const view = new DataView(bytes.buffer);
	view.setUint32(4, flags, true);
	view.setUint32(8, 2, true);
	view.setUint32(12, capOffset, true);
	view.setBigUint64(16, size, true);
	capabilities.forEach((word, i) => {
		view.setUint32(32 + 4 * i, word, true);
	});
	return bytes;
}

test("a region can be mapped as a whole, in some areas, or not at all", () => {
	expect(decodeRegionInfo(regionInfo(3, 0x4000n, 0), 2)).toMatchObject({ size: 0x4000, areas: [] });
	expect(decodeRegionInfo(regionInfo(7, 0x4000n, 0), 2).areas).toEqual([{ offset: 0, size: 0x4000 }]);
	// One of another kind first, then two areas.
	const areas = [0x77 | (1 << 16), 40, 1 | (1 << 16), 0, 2, 0, 0x1000, 0, 0x1000, 0, 0x3000, 0, 0x1000, 0];
	expect(decodeRegionInfo(regionInfo(15, 0x4000n, 32, areas), 2).areas).toEqual([
		{ offset: 0x1000, size: 0x1000 },
		{ offset: 0x3000, size: 0x1000 },
	]);
});

test.each([
	["the info of another region", regionInfo(3, 0n, 0), 3],
	["a size that nobody has", regionInfo(3, 2n ** 63n, 0), 2],
	["too little", new Uint8Array(31), 2],
	["capabilities that lead to themselves", regionInfo(15, 0x4000n, 32, [0x77, 32]), 2],
	["more areas than there is room for", regionInfo(15, 0x4000n, 32, [1, 0, 1000, 0]), 2],
	["an area beyond the region", regionInfo(15, 0x4000n, 32, [1, 0, 1, 0, 0x4000, 0, 0x1000, 0]), 2],
	["a list of areas that is cut off", regionInfo(15, 0x4000n, 36, [0, 1, 0]), 2],
])("%s is a lie", (_, payload, index) => {
	expect(() => decodeRegionInfo(payload, index)).toThrow(ProtocolError);
});

test("what is read must be what was asked for", () => {
	const access = { region: 1, offset: 8, count: 4 };
	const reply = encodeRegionWrite(1, 8, Uint8Array.of(1, 2, 3, 4));
	expect([...decodeRegionRead(reply, access)]).toEqual([1, 2, 3, 4]);
	for (const other of [
		{ ...access, region: 2 },
		{ ...access, offset: 9 },
		{ ...access, count: 3 },
	])
		expect(() => decodeRegionRead(reply, other)).toThrow(ProtocolError);
	expect(() => decodeRegionRead(reply.subarray(0, 18), access)).toThrow(ProtocolError);
});

test("a server's DMA says how much, and brings what it writes", () => {
	const bytes = encodeDmaReply({ address: 0x1000n, count: 3, data: new Uint8Array(0) }, Uint8Array.of(1, 2, 3));
	expect(decodeDmaAccess(bytes, Command.DMA_WRITE)).toEqual({
		address: 0x1000n,
		count: 3,
		data: Uint8Array.of(1, 2, 3),
	});
	expect(() => decodeDmaAccess(bytes, Command.DMA_READ)).toThrow("comes with 3");
	expect(() => decodeDmaAccess(bytes.subarray(0, 18), Command.DMA_WRITE)).toThrow("comes with 2");
	const long = encodeDmaReply({ address: 0n, count: MAX_TRANSFER + 1, data: new Uint8Array(0) }, new Uint8Array(0));
	expect(() => decodeDmaAccess(long, Command.DMA_READ)).toThrow("at most");
});

test("any bytes at all are understood or refused, and nothing else", () => {
	const decoders: ((bytes: Uint8Array) => unknown)[] = [
		decodeVersion,
		decodeInfo,
		(bytes) => decodeRegionInfo(bytes, 2),
		(bytes) => decodeInterruptInfo(bytes, 0),
		(bytes) => decodeRegionRead(bytes, { region: 0, offset: 0, count: 4 }),
		(bytes) => decodeDmaAccess(bytes, Command.DMA_READ),
		(bytes) => decodeDmaAccess(bytes, Command.DMA_WRITE),
		(bytes) => (bytes.length < HEADER_SIZE ? undefined : decodeHeader(bytes)),
	];
	const lists = fc
		.tuple(fc.nat(64), fc.array(fc.nat(64), { maxLength: 30 }))
		.map(([at, words]) => regionInfo(15, 0x4000n, at, words));
	fc.assert(
		fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), lists), fc.constantFrom(...decoders), (bytes, decode) => {
			try {
				decode(bytes);
			} catch (error) {
				expect(error).toBeInstanceOf(ProtocolError);
			}
		}),
		{ numRuns: 2000 },
	);
});
