import fc from "fast-check";
import { expect, test } from "vitest";
import { ArraySpace } from "../memory/array-space.js";
import { codeOf } from "../uapi/errno.js";
import { ConfigSpace } from "./config-space.js";
import { EDU } from "./hardware.testing.js";
import { PciConfig, type PciHardware } from "./pci-config.js";

const BUFFER = 0x10000;
const BAR0 = 0x10;

function setUp(has: Partial<PciHardware> = {}, isVirtualFunction = false) {
	const hardware = { ...EDU, ...has };
	const physical = new PciConfig(hardware);
	const seen: string[] = [];
	const effects = {
		setIntxDisabled: (isDisabled: boolean) => seen.push(`INTx ${isDisabled ? "off" : "on"}`),
		reset: () => seen.push("reset"),
		commandChanged: () => {},
		msiVectors: 0,
	};
	const space = new ConfigSpace(hardware, physical, isVirtualFunction, effects);
	const memory = new ArraySpace();
	memory.map(BUFFER, 8192);
	const bytes = new Uint8Array(4);
	const read = (at: number, size: number) => {
		space.read(memory, BUFFER, size, at);
		memory.read(BUFFER, bytes);
		return Number(new DataView(bytes.buffer).getUint32(0, true)) % 2 ** (8 * size);
	};
	const write = (at: number, size: number, value: number) => {
		new DataView(bytes.buffer).setUint32(0, value, true);
		memory.write(BUFFER, bytes);
		space.write(memory, BUFFER, size, at);
	};
	return { space, physical, effects, seen, memory, read, write };
}

test("a base address that is written with ones reads as the size, and takes any other address", () => {
	const { physical, read, write } = setUp();
	const before = read(BAR0, 4);
	write(BAR0, 4, 0xffff_ffff);
	expect(read(BAR0, 4)).toBe(0xfff0_0000);
	write(BAR0, 4, 0x1234_5678);
	expect(read(BAR0, 4)).toBe(0x1230_0000);
	write(BAR0 + 4, 4, 0xffff_ffff);
	expect(read(BAR0 + 4, 4)).toBe(0); // no BAR 1
	expect(physical.u32(BAR0)).toBe(before); // the function itself stays where it is
});

test("a 64-bit BAR takes two registers, and says of what kind it is", () => {
	const bar = { index: 2, size: 2 ** 33, space: "memory64", prefetchable: true, address: 2n ** 40n } as const;
	const { read, write } = setUp({ bars: [bar] });
	for (const at of [0x18, 0x1c]) write(at, 4, 0xffff_ffff);
	expect([read(0x18, 4), read(0x1c, 4)]).toEqual([0xc, 0xffff_fffe]);
});

test("identity, class and capability pointer can't be written; the interrupt line can, and is only remembered", () => {
	const { physical, read, write } = setUp();
	for (const at of [0x00, 0x08, 0x2c, 0x34]) {
		const before = read(at, 4);
		write(at, 4, 0x5a5a_5a5a);
		expect(read(at, 4)).toBe(before);
	}
	write(0x3c, 2, 0x070b);
	expect([read(0x3c, 2), physical.u8(0x3c)]).toEqual([0x010b, 0]);
});

test("the command register is the function's but for INTx disable, which VFIO keeps", () => {
	const { space, physical, seen, read, write } = setUp();
	write(4, 2, 0xffff);
	// What the function doesn't have stays 0: I/O, for one.
	expect([read(4, 2), physical.u16(4)]).toEqual([0x0546, 0x0146]);
	write(5, 1, 0);
	expect([read(4, 2), space.isMemoryEnabled]).toEqual([0x0046, true]);
	write(4, 1, 4);
	expect([read(4, 2), space.isMemoryEnabled, seen]).toEqual([4, false, ["INTx off", "INTx on"]]);
});

test("a virtual function has no pin and no bit for its memory, which is always there", () => {
	const { space, read, write } = setUp({}, true);
	expect([space.interruptPin, read(0x3d, 1)]).toEqual([0, 0]);
	// What the program has written there is shown to it, and does nothing.
	expect(read(4, 2) & 2).toBe(2);
	write(4, 2, 0);
	expect([read(4, 2) & 2, space.isMemoryEnabled]).toEqual([0, true]);
	write(4, 1, 2);
	expect(read(4, 1) & 2).toBe(2);
});

test("MSI can be written, but is switched on by SET_IRQS, and takes no more vectors than that", () => {
	const { effects, read, write } = setUp({ msiVectors: 8 });
	const at = 0x40;
	write(at + 4, 4, 0xfee0_0000);
	write(at + 2, 2, 0x0031 | read(at + 2, 2));
	expect([read(at + 4, 4), read(at + 2, 2)]).toEqual([0xfee0_0000, 0x0086]);
	effects.msiVectors = 4;
	write(at + 2, 2, 0x0031 | read(at + 2, 2));
	expect(read(at + 2, 2)).toBe(0x00a7);
});

test("MSI-X is only to be read", () => {
	const msix = { vectors: 65, bar: 0, tableOffset: 0x2000, pendingOffset: 0x3000 };
	const { read, write } = setUp({ msiVectors: 0, msix });
	write(0x42, 2, 0xc000);
	expect([read(0x40, 1), read(0x42, 2), read(0x44, 4)]).toEqual([0x11, 64, 0x2000]);
});

test("a function-level reset happens when its bit is written, which stays 0", () => {
	for (const canReset of [true, false]) {
		const { seen, read, write } = setUp({ isExpress: true, canReset });
		const control = 0x40 + 8;
		write(control, 2, 0x8000 | 0x5000 | 0x0001);
		expect([read(control, 2), seen]).toEqual([0x5001, canReset ? ["reset"] : []]);
	}
});

test("PASIDs aren't shown: their capability is left out of the list", () => {
	const { read, physical } = setUp({ isExpress: true, ats: true, pri: true, pasidBits: 20 });
	expect([read(0x100, 4) & 0xffff, read(0x100, 4) >>> 20]).toEqual([0x0f, 0x108]);
	expect([read(0x108, 4) & 0xffff, read(0x108, 4) >>> 20]).toEqual([0x13, 0]);
	expect(physical.u32(0x108) >>> 20).toBe(0x118);
	expect(setUp({ isExpress: true, pasidBits: 20 }).read(0x100, 4)).toBe(0);
});

test("an access may have any size and place, but must end with the space", () => {
	const { space, memory, read } = setUp();
	const bytes = new Uint8Array(7);
	space.read(memory, BUFFER, 7, 1);
	memory.read(BUFFER, bytes);
	expect([...bytes]).toEqual([1, 2, 3, 4, 5, 6, 7].map((at) => read(at, 1)));
	const codes = [
		codeOf(() => space.read(memory, BUFFER, 2, 255)),
		codeOf(() => space.read(memory, 0x999000, 4, 0)),
		codeOf(() => space.write(memory, 0x999000, 4, 0)),
	];
	expect(codes).toEqual(["EFAULT", "EFAULT", "EFAULT"]);
});

test("an access is as if it were made byte by byte", () => {
	const msix = { vectors: 65, bar: 0, tableOffset: 0x2000, pendingOffset: 0x3000 };
	const access = fc.record({
		at: fc.nat(250),
		values: fc.uint8Array({ minLength: 1, maxLength: 12 }),
		isWrite: fc.boolean(),
	});
	fc.assert(
		fc.property(fc.array(access, { maxLength: 20 }), fc.boolean(), (accesses, isVirtual) => {
			const [whole, inBytes] = [0, 1].map(() => setUp({ isExpress: true, msiVectors: 8, msix }, isVirtual));
			for (const { at, values, isWrite } of accesses) {
				const some = values.subarray(0, 256 - at);
				if (isWrite) {
					whole.memory.write(BUFFER, some);
					whole.space.write(whole.memory, BUFFER, some.length, at);
					some.forEach((value, i) => {
						inBytes.write(at + i, 1, value);
					});
				} else {
					const bytes = new Uint8Array(some.length);
					whole.space.read(whole.memory, BUFFER, some.length, at);
					whole.memory.read(BUFFER, bytes);
					expect([...bytes]).toEqual([...bytes.keys()].map((i) => inBytes.read(at + i, 1)));
				}
			}
			expect(whole.physical.bytes).toEqual(inBytes.physical.bytes);
		}),
	);
});

test("what isn't there has the size 0: BARs that the function hasn't, and a ROM", () => {
	const { read, write } = setUp();
	for (const at of [0x14, 0x18, 0x1c, 0x20, 0x24, 0x30])
		for (const byte of [0, 3]) {
			write(at, 4, 0xffff_ffff);
			expect([at, read(at + byte, 1), read(at, 4)]).toEqual([at, 0, 0]);
		}
	// Between the two, the CardBus CIS pointer, is no address.
	write(0x28, 4, 0xffff_ffff);
	expect(read(0x28, 4)).toBe(0);
});

test("whatever a program writes, the function stays who and where it is", () => {
	const access = fc.record({ at: fc.nat(255), size: fc.constantFrom(1, 2, 4), value: fc.nat(0xffff_ffff) });
	fc.assert(
		fc.property(fc.array(access, { maxLength: 40 }), (accesses) => {
			const { physical, read, write } = setUp({ isExpress: true });
			const before = physical.bytes.slice();
			for (const { at, size, value } of accesses) if (at + size <= 256) write(at, size, value);
			const [COMMAND, CACHE_LINE, DEVICE_CONTROL] = [4, 0xc, 0x48];
			const own = new Set([COMMAND, COMMAND + 1, CACHE_LINE, DEVICE_CONTROL, DEVICE_CONTROL + 1]);
			expect([...before.keys()].filter((at) => !own.has(at) && physical.bytes[at] !== before[at])).toEqual([]);
			// And the program still finds all capabilities.
			expect([read(0x34, 1), read(0x40, 2), read(0x7c, 2)]).toEqual([0x40, 0x7c10, 0x0005]);
		}),
	);
});

test("a physical function's SR-IOV capability is shown as it is, and can't be written", () => {
	const sriov = { count: 4, offset: 128, stride: 2, deviceId: 0x10ca, bars: [] };
	const { physical, read, write } = setUp({ isExpress: true, sriov });
	expect([read(0x100, 2), read(0x10e, 2), read(0x110, 2)]).toEqual([0x10, 4, 0]);
	physical.setVirtualFunctions(3);
	expect([read(0x110, 2), read(0x108, 2)]).toEqual([3, 9]);
	write(0x110, 2, 1);
	write(0x108, 2, 0);
	expect([read(0x110, 2), read(0x108, 2)]).toEqual([3, 9]);
});
