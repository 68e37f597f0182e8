import fc from "fast-check";
import * as v from "valibot";
import { expect, test } from "vitest";
import {
	Chancmd,
	Chanctrl,
	Chanerr,
	ChannelRegister,
	Intrctrl,
	Ioat,
	IoatRegister,
	ioat,
	Operation,
	State,
} from "./ioat.js";
import { TestPort } from "./port.testing.js";

const CHAIN = 0x1000;
const CONTROL = { INT_EN: 1, COMPL_WRITE: 8, NULL: 32 };
/** Beyond the test's memory. */
const NOWHERE = 0x4000_0000n;

interface Descriptor {
	readonly size?: number;
	readonly control?: number;
	readonly operation?: number;
	readonly source?: bigint;
	readonly destination?: bigint;
	readonly next?: bigint;
}

class Channel {
	readonly port = new TestPort();
	readonly ioat: Ioat;

	constructor(transferCapability = 16) {
		this.ioat = new Ioat(this.port, transferCapability);
	}

	read(offset: number, size = 8): bigint {
		return this.ioat.readRegister(0, offset, size);
	}

	write(offset: number, size: number, value: bigint): void {
		this.ioat.writeRegister(0, offset, size, value);
	}

	/** Descriptors one after the other, each with the next as its next. */
	chain(descriptors: readonly Descriptor[]): void {
		descriptors.forEach(({ size = 8, control = 0, operation = 0, source = 0n, destination = 0n, next }, i) => {
			const at = CHAIN + 64 * i;
			this.port.view.setUint32(at, size, true);
			this.port.view.setUint32(at + 4, (control | (operation << 24)) >>> 0, true);
			this.port.view.setBigUint64(at + 8, source, true);
			this.port.view.setBigUint64(at + 16, destination, true);
			this.port.view.setBigUint64(at + 24, next ?? BigInt(at + 64), true);
		});
	}

	start(count: number, address = BigInt(CHAIN)): void {
		this.write(ChannelRegister.CHAINADDR, 8, address);
		this.write(ChannelRegister.CHANCTRL, 2, Chanctrl.INTP_DIS | Chanctrl.ANY_ERR_ABORT_EN);
		this.write(ChannelRegister.DMACOUNT, 2, BigInt(count));
	}

	run(descriptors: readonly Descriptor[]): void {
		this.chain(descriptors);
		this.start(descriptors.length);
		this.settle();
	}

	settle(): void {
		while (this.ioat.work());
	}

	get state(): bigint {
		return this.read(ChannelRegister.CHANSTS) & 7n;
	}

	get error(): bigint {
		return this.read(ChannelRegister.CHANERR, 4);
	}
}

test("it says which version it is and what it can, and is halted at first", () => {
	const channel = new Channel(14);
	expect([
		channel.read(IoatRegister.CHANCNT, 1),
		channel.read(IoatRegister.XFERCAP, 1),
		channel.read(IoatRegister.CBVER, 1),
		channel.read(IoatRegister.DMACAPABILITY, 4),
		channel.state,
	]).toEqual([1n, 14n, 0x33n, 0x40n, State.HALTED]);
});

test("a chain is worked through to the count, and the last descriptor's address is told", () => {
	const channel = new Channel();
	channel.port.memory.set([1, 2, 3, 4, 5, 6, 7, 8], 0x8000);
	channel.chain([
		{ source: 0x8000n, destination: 0x9000n },
		{ source: 0x9000n, destination: 0x9004n },
		{ source: 0x8000n, destination: 0xa000n },
	]);
	channel.start(2);
	channel.settle();
	expect([...channel.port.memory.subarray(0x9000, 0x900c)]).toEqual([1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8]);
	expect(channel.read(ChannelRegister.CHANSTS)).toBe(BigInt(CHAIN + 64) | State.DONE);
	expect([channel.read(ChannelRegister.CDAR), channel.port.memory[0xa000]]).toEqual([BigInt(CHAIN + 128), 0]);
	// The count is of all of them: one more goes on where it was.
	channel.write(ChannelRegister.DMACOUNT, 2, 3n);
	expect(channel.state).toBe(State.ACTIVE);
	channel.settle();
	expect([channel.state, channel.port.memory[0xa000]]).toEqual([State.DONE, 1]);
});

test("one descriptor that leads to itself can be done many times", () => {
	const channel = new Channel();
	channel.port.memory.set([7], 0x8000);
	channel.chain([{ size: 1, source: 0x8000n, destination: 0x9000n, next: BigInt(CHAIN) }]);
	channel.start(65535);
	channel.settle();
	expect([channel.state, channel.port.memory[0x9000]]).toEqual([State.DONE, 7]);
	channel.write(ChannelRegister.CHANCMD, 1, Chancmd.SUSPEND);
	expect(channel.state).toBe(State.SUSPENDED);
	channel.start(1);
	channel.settle();
	expect(channel.state).toBe(State.DONE);
});

test("a suspended channel keeps its place, and a reset one forgets it", () => {
	const channel = new Channel(20);
	channel.chain([{ size: 4096, source: 0x8000n, destination: 0x20000n, next: BigInt(CHAIN) }]);
	channel.start(100);
	channel.ioat.work();
	channel.write(ChannelRegister.CHANCMD, 1, Chancmd.SUSPEND);
	channel.settle();
	expect(channel.state).toBe(State.SUSPENDED);
	channel.write(ChannelRegister.DMACOUNT, 2, 100n);
	channel.settle();
	expect(channel.state).toBe(State.DONE);
	channel.start(100);
	channel.ioat.work();
	channel.write(ChannelRegister.CHANCMD, 1, Chancmd.RESET);
	channel.settle();
	expect([channel.read(ChannelRegister.CHANSTS), channel.read(ChannelRegister.DMACOUNT, 2)]).toEqual([
		State.HALTED,
		0n,
	]);
});

test("copies and fills do to memory what a loop over its bytes does", () => {
	const SIZE = 0x40000;
	const address = fc.integer({ min: 0x8000, max: SIZE - 70000 });
	const descriptor = fc.record({
		operation: fc.constantFrom(Operation.COPY, Operation.FILL),
		isNull: fc.boolean(),
		size: fc.oneof(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 65536 })),
		source: address,
		destination: address,
		pattern: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
	});
	fc.assert(
		fc.property(fc.array(descriptor, { minLength: 1, maxLength: 8 }), (descriptors) => {
			const channel = new Channel();
			for (let i = 0x8000; i < SIZE; i++) channel.port.memory[i] = (i * 31) >> 3;
			const naive = channel.port.memory.slice(0, SIZE);
			for (const { operation, isNull, size, source, destination, pattern } of descriptors) {
				if (operation === Operation.COPY) {
					if (!isNull) naive.copyWithin(destination, source, source + size);
				} else for (let i = 0; i < size; i++) naive[destination + i] = Number((pattern >> BigInt(8 * (i % 8))) & 0xffn);
			}
			channel.run(
				descriptors.map(({ operation, isNull, size, source, destination, pattern }) => ({
					operation,
					control: isNull && operation === Operation.COPY ? CONTROL.NULL : 0,
					size,
					source: operation === Operation.FILL ? pattern : BigInt(source),
					destination: BigInt(destination),
				})),
			);
			expect(channel.state).toBe(State.DONE);
			expect(Buffer.compare(channel.port.memory.subarray(0x8000, SIZE), naive.subarray(0x8000))).toBe(0);
		}),
		{ numRuns: 60 },
	);
});

test.each<[string, Descriptor, bigint]>([
	["a source that can't be read", { source: NOWHERE }, Chanerr.SOURCE_ADDRESS],
	["a destination that can't be written", { destination: NOWHERE }, Chanerr.DESTINATION_ADDRESS],
	["an unknown operation", { operation: 0x87 }, Chanerr.DESCRIPTOR_CONTROL],
	["reserved bits", { control: 1 << 12 }, Chanerr.DESCRIPTOR_CONTROL],
	["a size of 0", { size: 0 }, Chanerr.DESCRIPTOR_LENGTH],
	["a size beyond XFERCAP", { size: 65537 }, Chanerr.DESCRIPTOR_LENGTH],
])("%s halts the channel until CHANERR is cleared", (_, descriptor, error) => {
	const channel = new Channel();
	channel.run([
		{ source: 0x8000n, destination: 0x9000n, control: 0 },
		{ source: 0x8000n, destination: 0x9000n, ...descriptor },
	]);
	expect([channel.state, channel.error, channel.read(ChannelRegister.CHANSTS) & ~7n]).toEqual([
		State.HALTED,
		error,
		BigInt(CHAIN),
	]);
	channel.chain([{ source: 0x8000n, destination: 0x9000n }]);
	channel.start(1);
	expect(channel.state).toBe(State.HALTED);
	channel.write(ChannelRegister.CHANERR, 4, error);
	expect(channel.error).toBe(0n);
	channel.start(1);
	channel.settle();
	expect(channel.state).toBe(State.DONE);
});

test("chains that can't be followed: a first address that is wrong, and a next one", () => {
	const errorOf = (start: bigint, next: bigint) => {
		const channel = new Channel();
		channel.chain([{ source: 0x8000n, destination: 0x9000n, next }]);
		channel.start(2, start);
		channel.settle();
		return channel.error;
	};
	expect([
		errorOf(BigInt(CHAIN + 8), 0n),
		errorOf(NOWHERE, 0n),
		errorOf(BigInt(CHAIN), BigInt(CHAIN + 32)),
		errorOf(BigInt(CHAIN), NOWHERE),
	]).toEqual([Chanerr.CHAIN_ADDRESS, Chanerr.CHAIN_ADDRESS, Chanerr.DESCRIPTOR, Chanerr.NEXT_DESCRIPTOR_ADDRESS]);
});

test("two commands at once, and unknown ones, are an error", () => {
	const channel = new Channel();
	channel.write(ChannelRegister.CHANCMD, 1, Chancmd.RESET | Chancmd.SUSPEND);
	expect([channel.error, channel.state]).toEqual([Chanerr.CHANCMD, State.HALTED]);
});

test("the status is written where CHANCMP says, and an address that doesn't do is an error", () => {
	const channel = new Channel();
	const descriptor = { source: 0x8000n, destination: 0x9000n, control: CONTROL.COMPL_WRITE };
	channel.write(ChannelRegister.CHANCMP, 4, 0xa000n);
	channel.write(ChannelRegister.CHANCMP + 4, 4, 0n);
	channel.run([descriptor, descriptor]);
	expect(channel.port.view.getBigUint64(0xa000, true)).toBe(BigInt(CHAIN + 64) | State.DONE);
	for (const address of [0xa004n, NOWHERE]) {
		channel.write(ChannelRegister.CHANCMP, 8, address);
		channel.run([descriptor]);
		expect([channel.state, channel.error]).toEqual([State.HALTED, Chanerr.COMPLETION_ADDRESS]);
		channel.write(ChannelRegister.CHANERR, 4, Chanerr.COMPLETION_ADDRESS);
	}
});

test("with MSI-X a descriptor's interrupt is sent once, until the channel is armed again", () => {
	const channel = new Channel();
	channel.write(IoatRegister.INTRCTRL, 1, Intrctrl.MSIX_VECTOR_CONTROL);
	const descriptor = { source: 0x8000n, destination: 0x9000n, control: CONTROL.INT_EN };
	channel.run([descriptor, descriptor]);
	expect(channel.port.interrupts).toEqual([0]);
	expect(channel.read(ChannelRegister.CHANCTRL, 2) & Chanctrl.INTP_DIS).toBe(Chanctrl.INTP_DIS);
	channel.run([descriptor]);
	expect(channel.port.interrupts).toEqual([0, 0]);
	channel.run([{ ...descriptor, control: 0 }]);
	expect(channel.port.interrupts).toEqual([0, 0]);
});

test("without MSI-X the pin is asserted until the attention is read", () => {
	const channel = new Channel();
	const descriptor = { source: 0x8000n, destination: 0x9000n, control: CONTROL.INT_EN };
	channel.run([descriptor]);
	expect(channel.port.isAsserted).toBe(false);
	channel.write(IoatRegister.INTRCTRL, 1, Intrctrl.MASTER_INT_EN);
	expect(channel.port.isAsserted).toBe(true);
	expect(channel.read(IoatRegister.INTRCTRL, 1)).toBe(Intrctrl.MASTER_INT_EN | Intrctrl.INT_STATUS | Intrctrl.INT);
	// Reading it has switched interrupts off.
	expect([channel.port.isAsserted, channel.read(IoatRegister.INTRCTRL, 1)]).toEqual([false, Intrctrl.INT_STATUS]);
	expect([channel.read(IoatRegister.ATTNSTATUS, 4), channel.read(IoatRegister.ATTNSTATUS, 4)]).toEqual([1n, 0n]);
});

test("errors interrupt and write the status only where CHANCTRL says so", () => {
	const channel = new Channel();
	channel.write(IoatRegister.INTRCTRL, 1, Intrctrl.MSIX_VECTOR_CONTROL);
	channel.write(ChannelRegister.CHANCMP, 8, 0xa000n);
	channel.run([{ source: NOWHERE }]);
	expect([channel.port.interrupts, channel.port.view.getBigUint64(0xa000, true)]).toEqual([[], 0n]);
	channel.write(ChannelRegister.CHANERR, 4, 0xffff_ffffn);
	channel.write(ChannelRegister.CHAINADDR, 8, BigInt(CHAIN));
	channel.write(ChannelRegister.CHANCTRL, 2, Chanctrl.INTP_DIS | Chanctrl.ERR_INT_EN | Chanctrl.ERR_CMP_EN);
	channel.write(ChannelRegister.DMACOUNT, 2, 1n);
	channel.settle();
	expect([channel.port.interrupts, channel.port.view.getBigUint64(0xa000, true)]).toEqual([[0], State.HALTED]);
});

test("the channel is taken by reading that it is free", () => {
	const channel = new Channel();
	const inUse = () => channel.read(ChannelRegister.CHANCTRL, 2) & Chanctrl.IN_USE;
	expect([inUse(), inUse()]).toEqual([0n, Chanctrl.IN_USE]);
	channel.write(ChannelRegister.CHANCTRL, 2, 0n);
	expect(inUse()).toBe(0n);
});

test("a reset of the function forgets everything", () => {
	const channel = new Channel();
	channel.write(ChannelRegister.CHANCMP, 8, 0xa000n);
	channel.write(ChannelRegister.CHANERRMSK, 4, 1n);
	channel.write(ChannelRegister.DCACTRL, 4, 1n);
	channel.run([{ source: NOWHERE }]);
	channel.ioat.reset();
	const { CHANCMP, CHANERRMSK, CHANERR, CHANSTS, DCACTRL } = ChannelRegister;
	expect([
		channel.read(CHANCMP),
		channel.read(CHANERRMSK, 4),
		channel.read(CHANERR, 4),
		channel.read(DCACTRL, 4),
	]).toEqual([0n, 0n, 0n, 0n]);
	expect(channel.read(CHANSTS)).toBe(State.HALTED);
});

test("no access and no descriptor makes it fail", () => {
	const access = fc.record({
		isWrite: fc.boolean(),
		bar: fc.constantFrom(0, 0, 0, 2),
		offset: fc.oneof(fc.integer({ min: 0, max: 0x3fff }), fc.constantFrom(0x80, 0x84, 0x86, 0x86, 0x90, 0x98)),
		size: fc.constantFrom(1, 2, 4, 8),
		value: fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.constantFrom(0x1000n, 0x20n, 4n, 100n)),
	});
	fc.assert(
		fc.property(fc.array(access, { maxLength: 100 }), fc.array(fc.nat(255), { maxLength: 512 }), (accesses, bytes) => {
			const channel = new Channel(20);
			channel.port.memory.set(bytes, CHAIN);
			for (const { isWrite, bar, offset, size, value } of accesses) {
				const at = offset - (offset % size);
				if (isWrite) channel.ioat.writeRegister(bar, at, size, BigInt.asUintN(8 * size, value));
				else expect(channel.ioat.readRegister(bar, at, size)).toBeGreaterThanOrEqual(0n);
				for (let i = 0; i < 3 && channel.ioat.work(); i++);
			}
		}),
	);
});

test("how much a descriptor moves can be chosen, as a number or as text", () => {
	expect([v.parse(ioat.options, {}), v.parse(ioat.options, { xfercap: "14" })]).toEqual([
		{ xfercap: 20 },
		{ xfercap: 14 },
	]);
	expect(() => v.parse(ioat.options, { xfercap: "21" })).toThrow("no number from 12 to 20");
	expect(() => v.parse(ioat.options, { xfercap: "many" })).toThrow("no number from 12 to 20");
});
