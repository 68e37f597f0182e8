import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Errno } from "./errno.js";
import { reasonOf } from "./errno.testing.js";
import { array, flags, mustBeZero, u8, u16, u32, u64 } from "./field.js";
import {
	GetHwInfo,
	HwptAlloc,
	HwptInvalidate,
	HwptSetDirtyTracking,
	IoasAlloc,
	IoasCopy,
	IoasMap,
	IoasNoiommuGetPa,
	iommufdCommands,
	Option,
	VfioIoas,
} from "./iommufd.js";
import { IoasCopyOfTests, TestCommand } from "./iommufd-test.js";
import {
	checkFields,
	readCommand,
	readSize,
	readThrough,
	readVfioCommand,
	respond,
	respondField,
	type UserMemory,
} from "./rules.js";
import { type AnyCommand, command, encode } from "./struct.js";
import { VfioDeviceAttachIommufdPt, VfioDeviceFeature, VfioDeviceGetInfo, VfioIommuMapDma } from "./vfio.js";

const BASE = 0x10000;

/** Memory from BASE on, with nothing before and after it. */
class Memory implements UserMemory {
	readonly bytes: Uint8Array;
	writable = true;

	constructor(bytes: Uint8Array | readonly number[]) {
		this.bytes = Uint8Array.from(bytes);
	}

	read(address: number, into: Uint8Array): number {
		const at = address - BASE;
		if (at < 0 || at >= this.bytes.length) return 0;
		const found = this.bytes.subarray(at, at + into.length);
		into.set(found);
		return found.length;
	}

	write(address: number, from: Uint8Array): number {
		const at = address - BASE;
		if (!this.writable || at < 0) return 0;
		const room = Math.max(0, Math.min(from.length, this.bytes.length - at));
		this.bytes.set(from.subarray(0, room), at);
		return room;
	}
}

/** What a call is answered with: its result, or its errno. */
function outcome(call: () => unknown): unknown {
	try {
		return call();
	} catch (error) {
		if (!(error instanceof Errno)) throw error;
		return error.code;
	}
}

/** A struct of zeroes that says it has `size` bytes, and has `present` of them. */
function structOf(size: number, present = size): Uint8Array {
	const bytes = new Uint8Array(Math.max(present, 4));
	new DataView(bytes.buffer).setUint32(0, size, true);
	return bytes.subarray(0, present);
}

const everyCommand = fc.constantFrom<AnyCommand[]>(...iommufdCommands, IoasCopyOfTests, TestCommand);

describe("an extensible struct, for every command", () => {
	test("a struct as long as ours, or as long as the shortest that ever was, is taken", () => {
		fc.assert(
			fc.property(everyCommand, (command) => {
				expect(readCommand(new Memory(structOf(command.size)), BASE, command)).toBe(command.size);
				expect(readCommand(new Memory(structOf(command.minimumSize)), BASE, command)).toBe(command.minimumSize);
			}),
		);
	});

	test("a shorter one is EINVAL", () => {
		fc.assert(
			fc.property(everyCommand, fc.nat(), (command, some) => {
				const size = some % command.minimumSize;
				expect(outcome(() => readCommand(new Memory(structOf(size, 100)), BASE, command))).toBe("EINVAL");
				expect(outcome(() => readCommand(new Memory(structOf(size, 4)), BASE, command))).toBe("EINVAL");
			}),
		);
	});

	test("a longer one is taken when the rest is zero", () => {
		fc.assert(
			fc.property(everyCommand, fc.integer({ min: 1, max: 70_000 }), (command, more) => {
				const size = command.size + more;
				expect(readCommand(new Memory(structOf(size)), BASE, command)).toBe(size);
			}),
		);
	});

	test("a longer one with anything in the rest is E2BIG", () => {
		fc.assert(
			fc.property(everyCommand, fc.integer({ min: 1, max: 70_000 }), fc.nat(), (command, more, some) => {
				const bytes = structOf(command.size + more);
				bytes[command.size + (some % more)] = 1;
				expect(outcome(() => readCommand(new Memory(bytes), BASE, command))).toBe("E2BIG");
			}),
		);
	});

	test("one of which a part isn't mapped is EFAULT", () => {
		fc.assert(
			fc.property(everyCommand, fc.nat(100), fc.nat(), (command, more, some) => {
				const size = command.size + more;
				const present = 4 + (some % (size - 4));
				expect(outcome(() => readCommand(new Memory(structOf(size, present)), BASE, command))).toBe("EFAULT");
			}),
		);
	});

	test("one of megabytes is looked through to its last byte, and no further", () => {
		const size = 5 * 1024 * 1024 + 7;
		const bytes = structOf(size, size + 1).fill(1, size);
		expect(readCommand(new Memory(bytes), BASE, IoasAlloc)).toBe(size);
		for (const at of [1024 * 1024 + IoasAlloc.size, 3 * 1024 * 1024 + 1, size - 1]) {
			const some = structOf(size);
			some[at] = 9;
			expect(reasonOf(() => readCommand(new Memory(some), BASE, IoasAlloc))).toContain(`E2BIG: byte ${at} `);
		}
	});

	test("memory that ends with a shorter struct doesn't disturb it", () => {
		fc.assert(
			fc.property(everyCommand, fc.nat(), (command, some) => {
				const size = command.minimumSize + (some % (command.size - command.minimumSize + 1));
				expect(readCommand(new Memory(structOf(size, size)), BASE, command)).toBe(size);
			}),
		);
	});

	test("what a shorter struct doesn't have reads as zero, whatever comes after it in memory", () => {
		fc.assert(
			fc.property(everyCommand, (command) => {
				const bytes = structOf(command.minimumSize, command.size).fill(0xff, command.minimumSize);
				readCommand(new Memory(bytes), BASE, command);
				expect(command.view.bytes.subarray(command.minimumSize).every((byte) => byte === 0)).toBe(true);
			}),
		);
	});

	test("nothing readable at all is EFAULT", () => {
		fc.assert(
			fc.property(everyCommand, fc.integer({ min: 0, max: 3 }), (command, present) => {
				expect(outcome(() => readCommand(new Memory(structOf(0, present)), BASE, command))).toBe("EFAULT");
			}),
		);
	});

	test("the answer is as long as the caller's struct, and no longer than ours", () => {
		fc.assert(
			fc.property(everyCommand, fc.nat(200), (command, more) => {
				const callerSize = command.minimumSize + more;
				const length = Math.min(callerSize, command.size);
				const memory = new Memory(new Uint8Array(callerSize + 8).fill(0x55));
				command.view.bytes.fill(0xaa);
				respond(memory, BASE, command, callerSize);
				expect(memory.bytes.subarray(0, length).every((byte) => byte === 0xaa)).toBe(true);
				expect(memory.bytes.subarray(length).every((byte) => byte === 0x55)).toBe(true);
			}),
		);
	});
});

describe("which error wins", () => {
	test("a non-zero byte in the rest wins over memory that ends after it", () => {
		const bytes = structOf(100, 60);
		bytes[50] = 1;
		expect(outcome(() => readCommand(new Memory(bytes), BASE, IoasMap))).toBe("E2BIG");
	});

	test("memory that ends before a non-zero byte wins", () => {
		expect(outcome(() => readCommand(new Memory(structOf(100, 50)), BASE, IoasMap))).toBe("EFAULT");
	});

	test("a size that is too small wins over the bytes that it doesn't have", () => {
		expect(outcome(() => readCommand(new Memory(structOf(39, 39)), BASE, IoasMap))).toBe("EINVAL");
	});
});

describe("the size of a struct whose command is unknown", () => {
	test("is read, so that a bad pointer is EFAULT before it is ENOTTY", () => {
		expect(readSize(new Memory([8, 0, 0, 0]), BASE)).toBe(8);
		expect(outcome(() => readSize(new Memory([8, 0, 0]), BASE))).toBe("EFAULT");
	});
});

describe("flags and reserved fields", () => {
	/** The answer to a struct of zeroes with `value` in one field. */
	function checked(command: AnyCommand, name: string, value: number | bigint): unknown {
		const { view } = command;
		view.bytes.fill(0);
		(view as unknown as Record<string, number | bigint>)[name] = value;
		return outcome(() => checkFields(command) ?? "accepted");
	}

	test("a struct of zeroes is accepted by every command", () => {
		fc.assert(
			fc.property(everyCommand, (command) => {
				command.view.bytes.fill(0);
				checkFields(command);
			}),
		);
	});

	test("every flag that has a name is accepted, and every other bit is EOPNOTSUPP", () => {
		fc.assert(
			fc.property(everyCommand, fc.nat(31), (command, bit) => {
				const field = command.fields.find(({ forbids }) => forbids === "unknown bits");
				if (!field || field.checkedByHandler) return;
				const known = Object.values(field.names).includes((1 << bit) >>> 0);
				expect(checked(command, field.name, (1 << bit) >>> 0)).toBe(known ? "accepted" : "EOPNOTSUPP");
			}),
		);
	});

	test("anything in a reserved field is EOPNOTSUPP", () => {
		fc.assert(
			fc.property(everyCommand, fc.nat(), (command, some) => {
				const field = command.fields.find(({ forbids }) => forbids === "any bit");
				if (!field || field.checkedByHandler) return;
				command.view.bytes.fill(0);
				command.view.bytes[field.offset + (some % field.size)] = 1 << (some % 8);
				expect(outcome(() => checkFields(command))).toBe("EOPNOTSUPP");
			}),
		);
	});

	test("a reserved u16 is checked without its neighbours", () => {
		expect(checked(Option, "op", 0xffff)).toBe("accepted");
		expect(checked(Option, "reserved", 0x8000)).toBe("EOPNOTSUPP");
		expect(checked(VfioIoas, "op", 0xffff)).toBe("accepted");
	});

	test("the reserved bytes beside the width of a PASID are checked without it", () => {
		expect(checked(GetHwInfo, "outMaxPasidLog2", 0xff)).toBe("accepted");
		GetHwInfo.view.bytes.fill(0);
		GetHwInfo.view.bytes[31] = 1;
		expect(outcome(() => checkFields(GetHwInfo))).toBe("EOPNOTSUPP");
	});

	test("only the kernel's tests take the fuzzer's flag, and of the commands only IOAS_COPY", () => {
		expect(checked(IoasCopyOfTests, "flags", 1 << 16)).toBe("accepted");
		expect(checked(IoasCopyOfTests, "flags", 1 << 17)).toBe("EOPNOTSUPP");
		expect(checked(IoasCopy, "flags", 1 << 16)).toBe("EOPNOTSUPP");
		expect(checked(IoasMap, "flags", 1 << 16)).toBe("EOPNOTSUPP");
	});

	test("what Linux checks later, or never, isn't checked here", () => {
		expect(checked(HwptAlloc, "flags", 0x80000000)).toBe("accepted");
		expect(checked(HwptAlloc, "reserved2", 1)).toBe("accepted");
		expect(checked(HwptAlloc, "reserved", 1)).toBe("EOPNOTSUPP");
		expect(checked(HwptInvalidate, "reserved", 1)).toBe("accepted");
		expect(checked(HwptSetDirtyTracking, "reserved", 1)).toBe("accepted");
		expect(checked(IoasNoiommuGetPa, "flags", 1)).toBe("accepted");
		expect(checked(TestCommand, "reserved", 1)).toBe("accepted");
	});

	test("VFIO's unknown flags are EINVAL", () => {
		expect(checked(VfioIommuMapDma, "flags", 8)).toBe("EINVAL");
		expect(checked(VfioDeviceFeature, "feature", 0xffff)).toBe("accepted");
		expect(checked(VfioDeviceFeature, "flags", 8)).toBe("EINVAL");
	});
});

describe("the rules of fields", () => {
	const Mixed = command(0x80, "MIXED", {
		flags: flags({ LOW: 1, HIGH: 0x4000_0000 }, u64),
		byte: mustBeZero(u8),
		anyByte: u8,
		half: mustBeZero(u16),
		modes: flags({ LOW: 2 }, u16),
		anyHalf: u16,
		anyWord: u32,
		long: mustBeZero(u64),
		halves: mustBeZero(array(u16, 3)),
		anyEnd: u16,
		later: { ...mustBeZero(u32), checkedByHandler: true },
	});
	const required: Readonly<Record<string, bigint>> = {
		flags: ~0x4000_0001n,
		modes: ~2n,
		byte: ~0n,
		half: ~0n,
		long: ~0n,
		halves: ~0n,
	};

	test("go for each bit of a field of any width, and for no bit of its neighbours", () => {
		for (const { name, offset, size } of Mixed.fields)
			for (let bit = 0; bit < size * 8; bit++) {
				Mixed.view.bytes.fill(0);
				Mixed.view.bytes[offset + (bit >> 3)] = 1 << (bit & 7);
				const isForbidden = ((required[name] ?? 0n) >> BigInt(bit)) & 1n;
				expect([name, bit, outcome(() => checkFields(Mixed))]).toEqual([
					name,
					bit,
					isForbidden === 1n ? "EOPNOTSUPP" : undefined,
				]);
			}
	});

	test("are looked at only in the words that have any", () => {
		expect(Mixed.forbidden.map(({ word }) => word)).toEqual([2, 3, 4, 5, 8, 9, 10, 11]);
	});
});

describe("answers", () => {
	test("an answer that can't be written is EFAULT", () => {
		const memory = new Memory(structOf(IoasAlloc.size));
		memory.writable = false;
		expect(outcome(() => respond(memory, BASE, IoasAlloc, IoasAlloc.size))).toBe("EFAULT");
		expect(outcome(() => respondField(memory, BASE, Option, "val64"))).toBe("EFAULT");
	});

	test("one field can be answered alone", () => {
		const memory = new Memory(encode(Option, { op: 1, objectId: 3 }));
		Option.view.bytes.fill(0x77);
		respondField(memory, BASE, Option, "val64");
		expect([...memory.bytes]).toEqual([24, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, ...new Array(8).fill(0x77)]);
	});
});

describe("VFIO structs", () => {
	test("the required part is read, and what follows is neither read nor checked", () => {
		const bytes = structOf(100, VfioDeviceGetInfo.minimumSize);
		expect(readVfioCommand(new Memory(bytes), BASE, VfioDeviceGetInfo)).toBe(100);
	});

	test("EFAULT wins over EINVAL", () => {
		expect(outcome(() => readVfioCommand(new Memory(structOf(0, 8)), BASE, VfioDeviceGetInfo))).toBe("EFAULT");
		expect(outcome(() => readVfioCommand(new Memory(structOf(15, 16)), BASE, VfioDeviceGetInfo))).toBe("EINVAL");
		expect(outcome(() => readVfioCommand(new Memory(structOf(16, 16)), BASE, VfioDeviceGetInfo))).toBe(16);
	});

	test("a field that a flag announces is read when argsz covers it", () => {
		const attach = encode(VfioDeviceAttachIommufdPt, { flags: 1, ptId: 5, pasid: 9 });
		const memory = new Memory(attach);
		expect(readVfioCommand(memory, BASE, VfioDeviceAttachIommufdPt)).toBe(16);
		expect(VfioDeviceAttachIommufdPt.view.pasid).toBe(0);
		readThrough(memory, BASE, VfioDeviceAttachIommufdPt, "pasid", 16);
		expect(VfioDeviceAttachIommufdPt.view.pasid).toBe(9);
		expect(outcome(() => readThrough(memory, BASE, VfioDeviceAttachIommufdPt, "pasid", 15))).toBe("EINVAL");
		const half = new Memory(attach.subarray(0, 14));
		expect(outcome(() => readThrough(half, BASE, VfioDeviceAttachIommufdPt, "pasid", 16))).toBe("EFAULT");
	});
});

describe("reasons", () => {
	function reasonFor(bytes: Uint8Array): string {
		return reasonOf(() => {
			readCommand(new Memory(bytes), BASE, IoasMap);
			checkFields(IoasMap);
		});
	}

	test("name the field, its value and what it may have", () => {
		expect(reasonFor(encode(IoasMap, { flags: 0x16 }))).toBe(
			"EOPNOTSUPP: IOMMU_IOAS_MAP: flags has 0x10, which is none of FIXED_IOVA, WRITEABLE, READABLE",
		);
		expect(reasonFor(encode(IoasMap, { reserved: 7 }))).toBe(
			"EOPNOTSUPP: IOMMU_IOAS_MAP: __reserved is 0x7: it is reserved and must be 0",
		);
		IoasAlloc.view.bytes.set(encode(IoasAlloc, { flags: 0x80000000 }));
		expect(reasonOf(() => checkFields(IoasAlloc))).toBe(
			"EOPNOTSUPP: IOMMU_IOAS_ALLOC: flags is 0x80000000, and this call has no flags",
		);
		GetHwInfo.view.bytes.set(encode(GetHwInfo, { reserved: Uint8Array.of(0, 0x20, 0) }));
		expect(reasonOf(() => checkFields(GetHwInfo))).toBe(
			"EOPNOTSUPP: IOMMU_GET_HW_INFO: __reserved is 0x20: it is reserved and must be 0",
		);
	});

	test("name the sizes", () => {
		expect(reasonFor(structOf(39, 100))).toBe("EINVAL: IOMMU_IOAS_MAP: size says 39 bytes, but up to iova it takes 40");
		const long = structOf(48);
		long[44] = 3;
		expect(reasonFor(long)).toBe(
			"E2BIG: byte 44 of the struct is 0x3, but IOMMU_IOAS_MAP is known up to byte 40 only: what follows must be 0",
		);
		expect(reasonFor(structOf(48, 44))).toBe("EFAULT: IOMMU_IOAS_MAP: size says 48 bytes, but byte 44 can't be read");
		expect(reasonFor(structOf(40, 20))).toBe("EFAULT: IOMMU_IOAS_MAP: of the 40 bytes at 0x10000 only 20 can be read");
	});
});
