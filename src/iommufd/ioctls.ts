// /dev/iommu as a file: which handler answers which ioctl. iommufd_fops in drivers/iommu/iommufd/main.c.

import { Errno } from "../uapi/errno.js";
import {
	Destroy,
	GetHwInfo,
	HwptAlloc,
	HwptGetDirtyBitmap,
	HwptInvalidate,
	HwptSetDirtyTracking,
	IoasAlloc,
	IoasAllowIovas,
	IoasChangeProcess,
	IoasCopy,
	IoasIovaRanges,
	IoasMap,
	IoasMapFile,
	IoasUnmap,
	iommufdCommands,
	Option,
	VfioIoas,
} from "../uapi/iommufd.js";
import { TestCommand } from "../uapi/iommufd-test.js";
import { checkFields, readCommand, readSize } from "../uapi/rules.js";
import type { AnyCommand, Args } from "../uapi/struct.js";
import { Call } from "./call.js";
import type { Caller, OpenFile } from "./caller.js";
import { ioasChangeProcess } from "./change-process.js";
import { Context } from "./context.js";
import { hwptGetDirtyBitmap, hwptSetDirtyTracking } from "./dirty.js";
import { getHwInfo } from "./hw-info.js";
import { hwptAlloc } from "./hwpt-alloc.js";
import { hwptInvalidate } from "./hwpt-invalidate.js";
import { ioasAlloc, ioasAllowIovas, ioasCopy, ioasIovaRanges, ioasMap, ioasMapFile, ioasUnmap } from "./ioas.js";
import { option } from "./option.js";
import type { Platform } from "./platform.js";
import { testCommand } from "./selftest.js";
import { vfioIoas } from "./vfio-compat.js";

const FIRST = 0x80;

interface Entry {
	readonly command: AnyCommand;
	readonly handle: (call: Call) => void;
}

/** Ties a command to its handler, which gets the command's one view. */
function on<C extends AnyCommand>(command: C, handler: (call: Call, args: Args<C>) => void): Entry {
	const { view } = command;
	return { command, handle: (call) => handler(call, view as Args<C>) };
}

const served: readonly Entry[] = [
	on(Destroy, destroy),
	on(IoasAlloc, ioasAlloc),
	on(IoasAllowIovas, ioasAllowIovas),
	on(IoasCopy, ioasCopy),
	on(IoasIovaRanges, ioasIovaRanges),
	on(IoasMap, ioasMap),
	on(IoasUnmap, ioasUnmap),
	on(Option, option),
	on(VfioIoas, vfioIoas),
	on(HwptAlloc, hwptAlloc),
	on(GetHwInfo, getHwInfo),
	on(HwptSetDirtyTracking, hwptSetDirtyTracking),
	on(HwptGetDirtyBitmap, hwptGetDirtyBitmap),
	on(HwptInvalidate, hwptInvalidate),
	on(IoasMapFile, ioasMapFile),
	on(IoasChangeProcess, ioasChangeProcess),
];

/** By number - FIRST, so that finding one is a load. Its length is the range of numbers that are iommufd's. */
function tableOf(entries: readonly Entry[], lastNumber: number): readonly (Entry | undefined)[] {
	const table = new Array<Entry | undefined>(lastNumber - FIRST + 1).fill(undefined);
	for (const entry of entries) table[(entry.command.number & 0xff) - FIRST] = entry;
	return table;
}

const notServed = iommufdCommands
	.filter((command) => served.every((entry) => entry.command !== command))
	.map((command) => on(command, () => refuse(command)));
const commands = tableOf([...served, ...notServed], 0x95);
const commandsWithTests = tableOf([...served, ...notServed, on(TestCommand, testCommand)], 0xa0);

export class IommufdFile implements OpenFile {
	readonly path: string;
	readonly context: Context;
	readonly #call: Call;
	readonly #table: readonly (Entry | undefined)[];

	/** @param path "/dev/iommu", or "/dev/vfio/vfio", which counts memory as VFIO does */
	constructor(platform: Platform, path = "/dev/iommu") {
		this.path = path;
		this.context = new Context(platform, path === "/dev/vfio/vfio");
		this.#call = new Call(this.context);
		this.#table = platform.selftest === undefined ? commands : commandsWithTests;
	}

	ioctl(caller: Caller, command: number, argument: number): number {
		const index = (command & 0xff) - FIRST;
		if (index < 0 || index >= this.#table.length) throw unknown(command);
		const entry = this.#table[index];
		if (entry === undefined || entry.command.number !== command) {
			readSize(caller.memory, argument);
			throw unknown(command);
		}
		const callerSize = readCommand(caller.memory, argument, entry.command);
		checkFields(entry.command);
		this.#call.begin(caller, entry.command, argument, callerSize);
		entry.handle(this.#call);
		return 0;
	}

	release(): void {
		this.context.objects.removeAll();
	}
}

/** IOMMU_DESTROY */
function destroy(call: Call, args: Args<typeof Destroy>): void {
	const { objects } = call.context;
	objects.remove(objects.any(args.id, "id"));
}

function refuse(command: AnyCommand): never {
	throw new Errno("EOPNOTSUPP", `${command.name} is not part of Ioasis yet: docs/fidelity.md says what is`);
}

function unknown(command: number): Errno {
	return new Errno("ENOTTY", `0x${command.toString(16)} is not an ioctl of /dev/iommu`);
}
