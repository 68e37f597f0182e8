import { beforeEach, describe, expect, test } from "vitest";
import { MemoryStore } from "../block-store.js";
import { AdminOpcode } from "./admin.js";
import { type CommandFields, PAGE, readOf, readOrWrite, TestDriver, writeOf } from "./driver.testing.js";
import { FeatureId } from "./features.js";
import { NvmOpcode } from "./nvm.js";
import { Status } from "./status.js";

const FUA = 1 << 30;
const ALL = 0xffff_ffff;
const BLOCKS = 2048;

/** A store that counts what is asked of it, and fails when it is told to. */
class WatchedStore extends MemoryStore {
	flushes = 0;
	discards: [number, number][] = [];
	failure: string | undefined;

	override read(position: number, into: Uint8Array): void {
		this.#failIfTold();
		super.read(position, into);
	}

	override write(position: number, from: Uint8Array): void {
		this.#failIfTold();
		super.write(position, from);
	}

	override discard(position: number, length: number): void {
		this.#failIfTold();
		this.discards.push([position, length]);
		super.discard(position, length);
	}

	override flush(): void {
		this.#failIfTold();
		this.flushes++;
	}

	#failIfTold(): void {
		if (this.failure !== undefined) throw new Error(this.failure);
	}
}

let driver: TestDriver;
let store: WatchedStore;
let page: number;

function setUp(isReadOnly = false): void {
	store = Object.assign(new WatchedStore(BLOCKS * 512), isReadOnly ? { isReadOnly } : {});
	driver = new TestDriver({ options: { file: "one:two" }, files: { one: store, two: new MemoryStore(65536) } });
	driver.enable();
	driver.createQueues(1);
	page = driver.take(2 * PAGE);
}

beforeEach(() => setUp());

const status = (command: CommandFields) => driver.do(1, command).status;
const contentOf = (first: number) => {
	expect(status(readOf(first, 1, page))).toBe(0);
	return driver.port.memory[page];
};
const fillWith = (byte: number, first: number, count: number) => {
	driver.bytes(page, count * 512).fill(byte);
	expect(status(writeOf(first, count, page))).toBe(0);
};
const plain = (opcode: number, first: number, count: number, more = {}) => ({
	...{ opcode, namespace: 1, dword10: first, dword12: count - 1 },
	...more,
});

/** Every command that names blocks, of which it can be out of range, or of a namespace that isn't there. */
const withBlocks = [
	["Read", NvmOpcode.READ],
	["Write", NvmOpcode.WRITE],
	["Compare", NvmOpcode.COMPARE],
	["Write Zeroes", NvmOpcode.WRITE_ZEROES],
	["Write Uncorrectable", NvmOpcode.WRITE_UNCORRECTABLE],
	["Verify", NvmOpcode.VERIFY],
] as const;

describe.each(withBlocks)("%s", (_, opcode) => {
	test("serves the last block, and not the one after it, nor any far beyond", () => {
		driver.bytes(page, PAGE).fill(0);
		expect(status(readOrWrite(opcode, BLOCKS - 1, 1, page))).toBe(0);
		expect(status(readOrWrite(opcode, BLOCKS - 1, 2, page))).toBe(Status.LBA_OUT_OF_RANGE);
		expect(status(readOrWrite(opcode, BLOCKS, 1, page))).toBe(Status.LBA_OUT_OF_RANGE);
		expect(status(readOrWrite(opcode, 0, 1, page, { dword11: 0xffff_ffff }))).toBe(Status.LBA_OUT_OF_RANGE);
		expect(status(readOrWrite(opcode, 0xffff_ffff, 1, page, { dword11: 0xffff_ffff }))).toBe(Status.LBA_OUT_OF_RANGE);
	});

	test.each([0, 3, ALL])("is refused for namespace %i", (namespace) => {
		expect(driver.do(1, readOrWrite(opcode, 0, 1, page, { namespace }))).toMatchObject({
			status: Status.INVALID_NAMESPACE_OR_FORMAT,
			doNotRetry: true,
			more: true,
		});
	});
});

describe.each([
	["Write", writeOf(0, 1, 2 * PAGE)],
	["Write Zeroes", plain(NvmOpcode.WRITE_ZEROES, 0, 1)],
	["Write Uncorrectable", plain(NvmOpcode.WRITE_UNCORRECTABLE, 0, 1)],
	[
		"Dataset Management that deallocates",
		{ opcode: NvmOpcode.DATASET_MANAGEMENT, namespace: 1, prp1: PAGE, dword11: 4 },
	],
] as const)("%s", (_, command) => {
	test("is refused by a namespace that is read-only", () => {
		setUp(true);
		expect(status(command)).toBe(Status.NAMESPACE_WRITE_PROTECTED);
		expect(status(readOf(0, 1, page))).toBe(0);
	});
});

describe("read and write", () => {
	test.each([NvmOpcode.READ, NvmOpcode.WRITE, NvmOpcode.COMPARE])("of more than MDTS is refused (0x%i)", (opcode) => {
		expect(status(readOrWrite(opcode, 0, 1025, page))).toBe(Status.INVALID_FIELD);
	});

	test("of blocks of 4096 bytes are 4096 bytes each", () => {
		driver.admin({ opcode: AdminOpcode.FORMAT_NVM, namespace: 1, dword10: 1 });
		driver
			.bytes(page, 2 * PAGE)
			.fill(3, 0, PAGE)
			.fill(4, PAGE);
		expect(status(writeOf(10, 2, page))).toBe(0);
		expect(status(readOf(11, 1, page))).toBe(0);
		expect(driver.port.memory[page + PAGE - 1]).toBe(4);
	});

	test("with a directive, or a reserved fused operation, are refused", () => {
		expect(status(writeOf(0, 1, page, { dword12: 1 << 20 }))).toBe(Status.INVALID_FIELD);
		expect(status(readOf(0, 1, page, { flags: 3 }))).toBe(Status.INVALID_FIELD);
	});

	test("end with an error of the medium when it fails", () => {
		store.failure = "a bad sector";
		expect([status(readOf(0, 1, page)), status(writeOf(0, 1, page))]).toEqual([
			Status.UNRECOVERED_READ_ERROR,
			Status.WRITE_FAULT,
		]);
		expect(driver.port.told[0]).toMatch(
			/^SQ 1 command \d+ \(Read\): Unrecovered Read Error: the store failed: a bad sector$/,
		);
		store.failure = undefined;
		expect(driver.do(1, readOf(0, 1, page))).toMatchObject({ status: 0, more: false, doNotRetry: false });
	});

	test("end with a transfer error when the IOMMU refuses their data, and the medium is as it was", () => {
		fillWith(1, 0, 1);
		const refused = driver.do(1, writeOf(0, 1, 0x7000_0000));
		expect(refused).toMatchObject({ status: Status.DATA_TRANSFER_ERROR, doNotRetry: false });
		expect(status(readOf(0, 1, 0x7000_0000))).toBe(Status.DATA_TRANSFER_ERROR);
		expect(contentOf(0)).toBe(1);
		expect(driver.port.told[0]).toContain("can't read iova 0x70000000");
	});
});

describe("what is written is on the medium", () => {
	test("after a flush of its namespace, or of all", () => {
		fillWith(1, 0, 1);
		expect(store.flushes).toBe(0);
		expect([status(plain(NvmOpcode.FLUSH, 0, 1)), store.flushes]).toEqual([0, 1]);
		expect([status(plain(NvmOpcode.FLUSH, 0, 1, { namespace: 2 })), store.flushes]).toEqual([0, 1]);
		expect([status(plain(NvmOpcode.FLUSH, 0, 1, { namespace: ALL })), store.flushes]).toEqual([0, 2]);
		expect(status(plain(NvmOpcode.FLUSH, 0, 1, { namespace: 3 }))).toBe(Status.INVALID_NAMESPACE_OR_FORMAT);
	});

	test("at once with FUA, or without the write cache", () => {
		status(writeOf(0, 1, page, { dword12: FUA }));
		expect(store.flushes).toBe(1);
		status(plain(NvmOpcode.WRITE_ZEROES, 0, 1, { dword12: FUA }));
		expect(store.flushes).toBe(2);
		driver.setFeature(FeatureId.VOLATILE_WRITE_CACHE, 0);
		status(writeOf(0, 1, page));
		status(plain(NvmOpcode.WRITE_ZEROES, 0, 1));
		expect(store.flushes).toBe(4);
	});

	test("or the command ends with a write fault", () => {
		store.failure = "no space left";
		const commands = [plain(NvmOpcode.FLUSH, 0, 1), plain(NvmOpcode.FLUSH, 0, 1, { namespace: ALL })];
		expect(commands.map(status)).toEqual([Status.WRITE_FAULT, Status.WRITE_FAULT]);
		expect(status(plain(NvmOpcode.WRITE_ZEROES, 0, 1))).toBe(Status.WRITE_FAULT);
	});
});

describe("compare", () => {
	test("succeeds when all bytes are the same, and says where they differ", () => {
		fillWith(7, 4, 4);
		const compare = readOrWrite(NvmOpcode.COMPARE, 4, 4, page);
		expect(status(compare)).toBe(0);
		driver.port.memory[page + 3 * 512 + 5] = 8;
		expect(driver.do(1, compare)).toMatchObject({ status: Status.COMPARE_FAILURE, doNotRetry: true });
		expect(driver.port.told[0]).toContain("byte 5 of block 7 differs");
	});

	test("fails like a read when the medium does, and when its data can't be had", () => {
		expect(status(readOrWrite(NvmOpcode.COMPARE, 0, 1, 0x7000_0000))).toBe(Status.DATA_TRANSFER_ERROR);
		store.failure = "a bad sector";
		expect(status(readOrWrite(NvmOpcode.COMPARE, 0, 1, page))).toBe(Status.UNRECOVERED_READ_ERROR);
	});
});

describe("write zeroes", () => {
	test("makes blocks read as zeroes, up to 65536 of them", () => {
		fillWith(7, 0, 8);
		expect(status(plain(NvmOpcode.WRITE_ZEROES, 2, 4))).toBe(0);
		expect([1, 2, 5, 6].map(contentOf)).toEqual([7, 0, 0, 7]);
		driver = new TestDriver({ options: { size: "64M" } });
		driver.enable();
		driver.createQueues(1);
		expect(status(plain(NvmOpcode.WRITE_ZEROES, 0, 65536))).toBe(0);
	});
});

describe("dataset management", () => {
	const manage = (ranges: readonly (readonly [first: number, count: number])[], attributes: number) => {
		const list = driver.take(PAGE);
		for (const [index, [first, count]] of ranges.entries()) {
			driver.port.view.setUint32(list + 16 * index + 4, count, true);
			driver.port.view.setBigUint64(list + 16 * index + 8, BigInt(first), true);
		}
		const opcode = NvmOpcode.DATASET_MANAGEMENT;
		return status({ opcode, namespace: 1, prp1: list, dword10: ranges.length - 1, dword11: attributes });
	};

	test("deallocates ranges, which read as zeroes", () => {
		fillWith(7, 0, 8);
		expect(
			manage(
				[
					[0, 2],
					[5, 0],
					[6, 1],
				],
				4,
			),
		).toBe(0);
		expect([0, 1, 2, 5, 6, 7].map(contentOf)).toEqual([0, 0, 7, 7, 0, 7]);
		expect(store.discards).toEqual([
			[0, 1024],
			[3072, 512],
		]);
	});

	test("takes hints, and does nothing", () => {
		expect(manage([[0, 8]], 3)).toBe(0);
		expect(store.discards).toEqual([]);
	});

	test("takes 256 ranges", () => {
		const ranges = Array.from({ length: 256 }, (_, index) => [index * 4, 2] as const);
		expect(manage(ranges, 4)).toBe(0);
		expect(store.discards).toHaveLength(256);
	});

	test("does nothing at all when one range is beyond the end", () => {
		expect(
			manage(
				[
					[0, 1],
					[BLOCKS - 1, 2],
				],
				4,
			),
		).toBe(Status.LBA_OUT_OF_RANGE);
		expect(store.discards).toEqual([]);
	});

	test("fails when its ranges can't be read, or the medium fails", () => {
		const command = { opcode: NvmOpcode.DATASET_MANAGEMENT, namespace: 1, prp1: 0x7000_0000 };
		expect(status(command)).toBe(Status.DATA_TRANSFER_ERROR);
		expect(status({ ...command, namespace: 0 })).toBe(Status.INVALID_NAMESPACE_OR_FORMAT);
		store.failure = "no space left";
		expect(manage([[0, 1]], 4)).toBe(Status.WRITE_FAULT);
	});
});

describe("blocks that are marked as uncorrectable", () => {
	test("can't be read, compared or verified until they are written", () => {
		fillWith(7, 0, 8);
		expect(status(plain(NvmOpcode.WRITE_UNCORRECTABLE, 2, 3))).toBe(0);
		const attempts = [NvmOpcode.READ, NvmOpcode.COMPARE, NvmOpcode.VERIFY].map((opcode) =>
			status(readOrWrite(opcode, 0, 8, page)),
		);
		expect(attempts).toEqual(Array(3).fill(Status.UNRECOVERED_READ_ERROR));
		expect(driver.port.told[0]).toContain("block 2 can't be read since Write Uncorrectable");
		expect([status(readOf(0, 2, page)), status(readOf(5, 3, page))]).toEqual([0, 0]);
		fillWith(8, 2, 1);
		status(plain(NvmOpcode.WRITE_ZEROES, 3, 1));
		expect(status(readOf(0, 4, page))).toBe(0);
		expect(status(readOf(4, 1, page))).toBe(Status.UNRECOVERED_READ_ERROR);
	});
});

describe("verify", () => {
	test("reads in many turns what is large, while other commands go on", () => {
		driver = new TestDriver({ options: { size: "64M" } });
		driver.enable();
		driver.createQueues(1);
		driver.submit(1, plain(NvmOpcode.VERIFY, 0, 65536, { id: 1000 }), plain(NvmOpcode.FLUSH, 0, 1, { id: 1001 }));
		driver.run();
		expect(driver.poll(1).map(({ commandId }) => commandId)).toEqual([1001, 1000]);
	});

	test("finds a bad block at the end of a large range", () => {
		driver = new TestDriver({ options: { size: "64M" } });
		driver.enable();
		driver.createQueues(1);
		status(plain(NvmOpcode.WRITE_UNCORRECTABLE, 65535, 1));
		expect(status(plain(NvmOpcode.VERIFY, 0, 65536))).toBe(Status.UNRECOVERED_READ_ERROR);
		expect(status(plain(NvmOpcode.VERIFY, 0, 65535))).toBe(0);
	});

	test("has an identifier that no other command of its queue can have meanwhile", () => {
		driver = new TestDriver({ options: { size: "64M" } });
		driver.enable();
		driver.createQueues(1);
		driver.submit(1, plain(NvmOpcode.VERIFY, 0, 65536, { id: 5 }), plain(NvmOpcode.FLUSH, 0, 1, { id: 5 }));
		driver.run();
		expect(driver.poll(1).map((completion) => completion.status)).toEqual([Status.COMMAND_ID_CONFLICT, 0]);
	});
});
