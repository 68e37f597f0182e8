// A process that makes random and malformed calls: any command number, any bytes, any pointer. Most are nearly right, because
// what is refused at the door tests only the door.

import type { Caller, CallerFile, Capability } from "../../src/files/caller.js";
import type { EventFd } from "../../src/files/event-fd.js";
import type { MappableFile, Mapping, OpenFile, PositionedFile, ReadableFile } from "../../src/files/open-file.js";
import { IommufdFile } from "../../src/iommufd/ioctls.js";
import type { ObjectKind } from "../../src/iommufd/object.js";
import type { Machine } from "../../src/machine/machine.js";
import { PAGE_SIZE } from "../../src/memory/address-space.js";
import { ArrayBacking, ArraySpace } from "../../src/memory/array-space.js";
import { commandOf } from "../../src/trace/commands.js";
import { Errno } from "../../src/uapi/errno.js";
import { iommufdCommands } from "../../src/uapi/iommufd.js";
import { TestCommand, TestOp, testVariants } from "../../src/uapi/iommufd-test.js";
import type { AnyCommand, AnyStruct, PlainCommand } from "../../src/uapi/struct.js";
import { vfioContainerCommands, vfioDeviceCommands } from "../../src/uapi/vfio.js";
import { type PlacedField, readField, writeField } from "../../src/uapi/view.js";
import { setUp } from "./prelude.js";
import type { Random } from "./random.js";

const ARGUMENT = 0x1000_0000;
const BUFFER = 0x2000_0000;
const READ_ONLY = 0x3000_0000;
const HOLE = 0x4000_0000;
const PAGES = 64;

/** What may well be the border of something. */
const CRITICAL: readonly bigint[] = [
	0n,
	1n,
	7n,
	8n,
	0x7ffn,
	0x800n,
	0xfffn,
	0x1000n,
	0x2000n,
	0x10000n,
	0x200000n,
	0x40000000n,
	0x7fffffffn,
	0x80000000n,
	0xffffffffn,
	0x100000000n,
	1n << 47n,
	(1n << 47n) - 0x1000n,
	1n << 48n,
	1n << 52n,
	1n << 53n,
	(1n << 63n) - 1n,
	1n << 63n,
	(1n << 64n) - 0x1000n,
	(1n << 64n) - 2n,
	(1n << 64n) - 1n,
];

const COMMANDS: readonly (AnyCommand | PlainCommand)[] = [
	...iommufdCommands,
	...iommufdCommands,
	...iommufdCommands,
	...Object.keys(testVariants).map(() => TestCommand),
	...vfioContainerCommands,
];

const HWPT = ["HWPT_PAGING", "HWPT_NESTED"] as const;

/** Which objects a field is for. */
const KINDS: readonly (readonly [field: RegExp, kinds: readonly ObjectKind[]])[] = [
	[/ioas|object/i, ["IOAS"]],
	[/^dev/, ["DEVICE"]],
	[/^pt/, ["IOAS", ...HWPT, "VIOMMU"]],
	[/^hwpt/, HWPT],
	[/fault/, ["FAULT"]],
	[/viommu/, ["VIOMMU"]],
];

/** The same for the field `id` of IOMMU_TEST_CMD, by its op. */
const KINDS_OF_OPS: readonly (readonly [op: RegExp, kinds: readonly ObjectKind[]])[] = [
	[/MOCK_DOMAIN_REPLACE|PASID/, ["SELFTEST"]],
	[/MOCK_DOMAIN/, ["IOAS", "IOAS", ...HWPT]],
	[/RESERVED|CREATE_ACCESS/, ["IOAS"]],
	[/CHECK_MAP|IOTLB|DIRTY/, HWPT],
	[/CACHE/, ["DEVICE"]],
];
const ACCESS = "anon_inode:[iommufd_test_staccess]";

/** A call that went as no call may go. */
export class Trouble extends Error {}

/** One call, for whoever has to find out what went wrong. */
export interface Call {
	readonly path: string;
	readonly what: string;
	readonly errno: string;
}

export class RandomClient implements Caller {
	readonly thread: number;
	readonly memory: ArraySpace;
	readonly owner: { uid: number; memlockLimit: () => number };
	/** How often each call was answered with each errno: "IOMMU_IOAS_MAP EINVAL". */
	readonly answers = new Map<string, number>();
	slowest = { milliseconds: 0, what: "" };
	readonly #random: Random;
	readonly #machine: Machine;
	readonly #files = new Map<number, CallerFile>();
	readonly #mappings: Mapping[] = [];
	readonly #buffer: Uint8Array;
	/** IOVAs that were answered: there may be something. */
	readonly #seen: bigint[] = [0n];
	#limit = Number.POSITIVE_INFINITY;
	#isCapable = true;

	constructor(id: number, machine: Machine, random: Random) {
		this.thread = id;
		this.#machine = machine;
		this.#random = random;
		this.memory = new ArraySpace(`memory of client ${id}`);
		this.owner = { uid: id, memlockLimit: () => this.#limit };
		this.memory.map(ARGUMENT, PAGE_SIZE);
		this.#buffer = this.memory.map(BUFFER, PAGES * PAGE_SIZE);
		this.memory.map(READ_ONLY, PAGE_SIZE, { writable: false });
	}

	capable(_capability: Capability): boolean {
		return this.#isCapable;
	}

	file(fd: number): CallerFile | undefined {
		return this.#files.get(fd);
	}

	install(file: OpenFile): number {
		if (this.#files.size < 60 && !this.#random.oneIn(50)) return this.#add({ kind: "ours", file });
		file.release();
		throw new Errno("EMFILE", "no fd is free");
	}

	/** Makes a call, any call. @throws Trouble */
	step(): void {
		const random = this.#random;
		const kind = random.below(200);
		if (this.#files.size < 3 || (kind < 2 && random.oneIn(4))) this.#open();
		else if (kind < 3 && random.oneIn(2)) this.#close(random.pick([...this.#files.keys()]));
		else if (kind < 4) this.#change();
		else if (kind < 10) this.#transfer();
		else if (kind < 12) this.#mmap();
		else if (kind < 30) this.#access();
		else this.#ioctl();
	}

	/** Its end: all that it has is closed. */
	exit(): void {
		for (const fd of [...this.#files.keys()]) this.#close(fd);
		for (const mapping of this.#mappings.splice(0)) mapping.release();
		this.memory.alive = false;
	}

	#open(): void {
		const contexts = this.#ours().filter(({ path }) => path === "/dev/iommu").length;
		const path = contexts === 0 || this.#random.oneIn(8) ? "/dev/iommu" : this.#random.pick(this.#machine.paths);
		this.#answer(path, "open", () => {
			const file = this.#machine.open(path);
			if (file === undefined) return 0;
			const fd = this.#add({ kind: "ours", file });
			if (file instanceof IommufdFile && !this.#random.oneIn(8)) this.#setUp(fd);
			return 0;
		});
		if (this.#random.oneIn(8)) this.#add({ kind: "other" });
		if (this.#random.oneIn(8)) this.#add({ kind: "eventfd", open: () => new CountingEventFd() });
		if (this.#random.oneIn(8)) {
			const backing = new ArrayBacking("a memfd", new Uint8Array(8 * PAGE_SIZE));
			this.#add({ kind: "shared-memory", backing, size: () => backing.bytes.length });
		}
	}

	#setUp(fd: number): void {
		const path = this.#random.pick(this.#machine.paths.filter((path) => path.startsWith("/dev/vfio/devices/")));
		const device = path === undefined ? undefined : this.#machine.open(path);
		if (device !== undefined) this.#add({ kind: "ours", file: device });
		setUp(this, fd, device, { argument: ARGUMENT, buffer: BUFFER });
		this.#seen.push(...[0, 1, 2].map((page) => 0x1000000n + BigInt(page * PAGE_SIZE)));
	}

	#add(file: CallerFile): number {
		let fd = 3;
		while (this.#files.has(fd)) fd++;
		this.#files.set(fd, file);
		return fd;
	}

	#close(fd: number): void {
		const found = this.#files.get(fd);
		this.#files.delete(fd);
		if (found?.kind === "ours") found.file.release();
	}

	#change(): void {
		this.#limit = this.#random.pick([0, 4 * PAGE_SIZE, 40 * PAGE_SIZE, Number.POSITIVE_INFINITY]);
		this.#isCapable = !this.#random.oneIn(3);
	}

	#transfer(): void {
		const queues = this.#ours().filter((file): file is ReadableFile => "readable" in file);
		if (queues.length === 0) return;
		const queue = this.#random.pick(queues);
		const kind = this.#random.pick(["read", "write"] as const);
		const length = this.#random.pick([0, 7, 8, 16, 40, 64, 128, 400]);
		if (this.#random.oneIn(2)) this.#randomBuffer();
		this.#answer(queue.path, kind, () => queue[kind](this.memory, this.#pointer(), length));
	}

	/** A register of a device, or a piece of its configuration space. */
	#access(): void {
		const random = this.#random;
		const devices = this.#ours().filter((file): file is PositionedFile => "readAt" in file);
		if (devices.length === 0) return;
		const device = random.pick(devices);
		const region = random.oneIn(10) ? random.below(12) : random.pick([0, 7]);
		const offset = random.oneIn(10) ? Number(random.pick(CRITICAL)) : random.below(256);
		const aligned = random.oneIn(6) ? offset : offset - (offset % 4);
		const length = random.pick([0, 1, 2, 3, 4, 4, 4, 8, 8, 8, 64, 256, PAGE_SIZE, 2 * PAGE_SIZE]);
		const call = random.pick(["readAt", "writeAt"] as const);
		const address = random.oneIn(25) ? this.#pointer() : ARGUMENT;
		if (random.oneIn(2))
			this.memory.write(ARGUMENT, Uint8Array.of(random.below(256), random.below(4), 0, 0, 0, 0, 0, 0));
		const position = region * 2 ** 40 + aligned;
		this.#answer(device.path, call, () => device[call](this.memory, address, length, position));
		const place = device.placeAt(position);
		if (/undefined|NaN/.test(place)) throw new Trouble(`${device.path}: position ${position} is called ${place}`);
	}

	#mmap(): void {
		if (this.#mappings.length > 0 && this.#random.oneIn(2)) {
			const at = this.#random.below(this.#mappings.length);
			for (const mapping of this.#mappings.splice(at, 1)) mapping.release();
			return;
		}
		const mappable = this.#ours().filter((file): file is MappableFile => "mmap" in file);
		if (mappable.length === 0) return;
		const file = this.#random.pick(mappable);
		const [offset, length] = [this.#random.below(20) * PAGE_SIZE, this.#random.pick([1, PAGE_SIZE, 2 * PAGE_SIZE])];
		this.#answer(file.path, "mmap", () => {
			this.#mappings.push(file.mmap(offset, length));
			return 0;
		});
	}

	#ours(): OpenFile[] {
		return [...this.#files.values()].flatMap((found) => (found.kind === "ours" ? [found.file] : []));
	}

	#ioctl(): void {
		const random = this.#random;
		const files = this.#ours();
		if (files.length === 0) return;
		// What was made from a context has no ioctls, so a call to it is soon told.
		const opened = files.filter(({ path }) => path.startsWith("/dev/"));
		const file = random.pick(random.oneIn(20) || opened.length === 0 ? files : opened);
		const forDevice = file.path.startsWith("/dev/vfio/devices/");
		const command = random.pick(forDevice ? vfioDeviceCommands : COMMANDS);
		const number = random.oneIn(30) ? random.pick([random.u32(), 0x3b00 | random.below(256)]) : command.number;
		const bytes = "size" in command ? this.#struct(command, file) : new Uint8Array(8);
		const argument = random.oneIn(25) ? this.#pointer() : ARGUMENT + (random.oneIn(20) ? PAGE_SIZE - 16 : 0);
		if (random.oneIn(40)) random.fill(bytes);
		this.memory.write(ARGUMENT, bytes);
		// What follows a struct of VFIO's: the fds of SET_IRQS.
		this.memory.write(ARGUMENT + bytes.length, Uint8Array.of(random.pick([...this.#files.keys(), 0, 255]), 0, 0, 0));
		if (argument !== ARGUMENT) this.memory.write(argument, bytes);
		if (random.oneIn(3)) this.#randomBuffer();
		const name = commandOf(file.path, number)?.name ?? "any other ioctl";
		const op = name === TestCommand.name ? ` (${testOpName(bytes[4])})` : "";
		const answer = this.#answer(file.path, `${name}${op}`, () => file.ioctl(this, number, argument));
		if (answer === "ok" && "size" in command) this.#remember(command, argument);
	}

	/** A struct of the command with plausible values. */
	#struct(command: AnyCommand, file: OpenFile): Uint8Array {
		const op = this.#random.pick(Object.values(TestOp));
		const variant: AnyStruct = command.variantOf?.(op) ?? command;
		const view = variant.newView();
		for (const field of variant.fields) {
			if (field.forbids === "any bit" && !this.#random.oneIn(40)) continue;
			if (field.count === undefined)
				writeField(view, field, this.#value(field, file, command === TestCommand ? testOpName(op) : ""));
			else if (this.#random.oneIn(40)) this.#random.fill(view.bytes.subarray(field.offset, field.offset + field.size));
		}
		const words = new Uint32Array(view.bytes.buffer);
		words[0] = this.#size(command);
		if (command === TestCommand) words[1] = this.#random.oneIn(40) ? this.#random.u32() : op;
		return view.bytes;
	}

	#size({ size, minimumSize }: AnyCommand): number {
		if (!this.#random.oneIn(20)) return size;
		return this.#random.pick([0, 3, minimumSize - 1, minimumSize, size + 1, size + 8, 5000, this.#random.u32()]);
	}

	/** @param op of an IOMMU_TEST_CMD, "" for other commands */
	#value(field: PlacedField, file: OpenFile, op: string): number | bigint {
		const random = this.#random;
		const names = Object.values(field.names);
		if (field.scalar === "u32" && /[iI]d$/.test(field.name) && !random.oneIn(8)) {
			const id = this.#id(field.name, file, op);
			if (id !== undefined) return id;
		}
		if (field.forbids === "unknown bits" && names.length === 0 && !random.oneIn(30)) return 0;
		if (field.scalar === "pointer") return this.#pointer();
		if (field.scalar === "u64") return this.#u64(field.name);
		if (names.length > 0 && !random.oneIn(30))
			return field.print === "flags"
				? names.reduce((all, bit) => (random.oneIn(5) ? all | bit : all), 0)
				: /dataType/i.test(field.name) && random.oneIn(2)
					? names[0]
					: random.pick(names);
		if ((field.scalar === "s32" || /Fd$/.test(field.name)) && !random.oneIn(6)) return this.#fd("/dev/iommu");
		if (random.oneIn(3)) return 0;
		// Ids are small; lengths, entries and PASIDs too.
		if (!random.oneIn(12)) return random.below(random.pick([3, 8, 24]));
		return Number(BigInt.asUintN(31, random.pick(CRITICAL)));
	}

	/** One that is open, and most often of such a file. */
	#fd(path: string): number {
		const fds = [...this.#files].filter(([, found]) => found.kind === "ours" && found.file.path === path);
		const [fd] = this.#random.pick(this.#random.oneIn(6) || fds.length === 0 ? [...this.#files] : fds);
		return fd;
	}

	/** The id of an object of the right kind, if there is one. */
	#id(name: string, file: OpenFile, op: string): number | undefined {
		if (name === "id" && /ACCESS_(PAGES|RW|REPLACE)/.test(op)) return this.#fd(ACCESS);
		const contexts = this.#ours().filter((other) => other instanceof IommufdFile);
		// A device has no objects of its own: what it is attached to is the context's.
		const context = file instanceof IommufdFile ? file : contexts[0];
		if (context === undefined) return undefined;
		const kinds = (name === "id" ? KINDS_OF_OPS : KINDS).find(([pattern]) =>
			pattern.test(name === "id" ? op : name),
		)?.[1];
		const objects = [...context.context.objects].filter(({ kind }) => kinds?.includes(kind) ?? true);
		return objects.length === 0 ? undefined : this.#random.pick(objects).id;
	}

	#u64(name: string): bigint {
		const random = this.#random;
		if (random.oneIn(8)) return random.pick(CRITICAL);
		if (random.oneIn(60)) return random.u64();
		const pages = BigInt(random.below(PAGES)) * BigInt(PAGE_SIZE);
		if (/Va$|uptr|Uptr/.test(name)) return BigInt(BUFFER) + pages;
		if (/length|size/i.test(name)) return random.oneIn(5) ? 1n << BigInt(random.below(30)) : pages;
		const near = random.oneIn(2) ? random.pick(this.#seen) : 0n;
		return BigInt.asUintN(64, near + pages + (random.oneIn(10) ? 1n : 0n));
	}

	#pointer(): number {
		const random = this.#random;
		if (random.oneIn(10))
			return random.pick([0, READ_ONLY, HOLE, HOLE - 8, Number(random.pick(CRITICAL)), random.u32()]);
		return BUFFER + random.below(PAGES) * PAGE_SIZE + (random.oneIn(3) ? random.below(PAGE_SIZE) : 0);
	}

	/** Arrays and structs that pointers lead to: small numbers, now and then large ones. */
	#randomBuffer(): void {
		const words = new Uint32Array(this.#buffer.buffer, this.#random.below(PAGES) * PAGE_SIZE, 64);
		for (let i = 0; i < words.length; i++)
			words[i] = this.#random.oneIn(6) ? this.#random.u32() : this.#random.below(4);
	}

	/** Remembers IOVAs that were answered. */
	#remember(command: AnyCommand, address: number): void {
		const view = command.newView();
		this.memory.read(address, view.bytes);
		for (const field of command.fields) {
			const value = readField(view, field);
			if (field.direction !== "in" && field.name === "iova" && typeof value === "bigint") this.#seen.push(value);
		}
		if (this.#seen.length > 16) this.#seen.shift();
	}

	#answer(path: string, what: string, call: () => number): string {
		let answer = "ok";
		const begin = performance.now();
		try {
			const result = call();
			if (!Number.isInteger(result) || result < 0) throw new Trouble(`${path}: ${what} returned ${result}`);
		} catch (error) {
			if (!(error instanceof Errno)) {
				const why = error instanceof Error ? error.stack : String(error);
				throw new Trouble(`${path}: ${what} threw what is not an Errno: ${why}`);
			}
			if (error.reason === "" || /undefined|NaN|\[object/.test(error.reason))
				throw new Trouble(`${path}: ${what} has a reason that nobody can read: ${error.message}`);
			answer = error.code;
		}
		const milliseconds = performance.now() - begin;
		if (milliseconds > this.slowest.milliseconds) this.slowest = { milliseconds, what: `${path}: ${what}` };
		const key = `${what} ${answer}`;
		this.answers.set(key, (this.answers.get(key) ?? 0) + 1);
		return answer;
	}
}

/** An eventfd in the engine's hands: released once, and not used after that. */
class CountingEventFd implements EventFd {
	#isHeld = true;

	signal(): void {
		this.#check("signalled");
	}

	onSignal(): void {
		this.#check("listened to");
	}

	release(): void {
		this.#check("released");
		this.#isHeld = false;
	}

	#check(what: string): void {
		if (!this.#isHeld) throw new Trouble(`an eventfd that was released is ${what}`);
	}
}

function testOpName(number: number): string {
	return Object.entries(TestOp).find(([, op]) => op === number)?.[0] ?? "any other op";
}
