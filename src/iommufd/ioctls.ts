// /dev/iommu as a file: which handler answers which ioctl. iommufd_fops in drivers/iommu/iommufd/main.c.

import type { Caller } from "../files/caller.js";
import type { MappableFile, Mapping } from "../files/open-file.js";
import type { MovableMemory } from "../memory/movable-memory.js";
import { Errno } from "../uapi/errno.js";
import { strayIoctl } from "../uapi/ioctl-names.js";
import {
	Destroy,
	FaultQueueAlloc,
	GetHwInfo,
	HwptAlloc,
	HwptGetDirtyBitmap,
	HwptInvalidate,
	HwptSetDirtyTracking,
	HwQueueAlloc,
	IoasAlloc,
	IoasAllowIovas,
	IoasChangeProcess,
	IoasCopy,
	IoasIovaRanges,
	IoasMap,
	IoasMapFile,
	IoasNoiommuGetPa,
	IoasUnmap,
	Option,
	VdeviceAlloc,
	VeventqAlloc,
	VfioIoas,
	ViommuAlloc,
} from "../uapi/iommufd.js";
import { IoasCopyOfTests, TestCommand } from "../uapi/iommufd-test.js";
import { checkFields, readCommand, readSize } from "../uapi/rules.js";
import type { AnyCommand, Args } from "../uapi/struct.js";
import { Turns, whenFree } from "../uapi/turns.js";
import { Call } from "./call.js";
import { ioasChangeProcess } from "./change-process.js";
import { Context } from "./context.js";
import { hwptGetDirtyBitmap, hwptSetDirtyTracking } from "./dirty.js";
import { faultQueueAlloc } from "./fault-queue.js";
import { getHwInfo } from "./hw-info.js";
import { hwQueueAlloc } from "./hw-queue.js";
import { hwptAlloc } from "./hwpt-alloc.js";
import { hwptInvalidate } from "./hwpt-invalidate.js";
import { ioasAlloc, ioasAllowIovas, ioasCopy, ioasIovaRanges, ioasMap, ioasMapFile, ioasUnmap } from "./ioas.js";
import { noiommuGetPa } from "./noiommu.js";
import { option } from "./option.js";
import type { Platform } from "./platform.js";
import { ioasCopyOfTests } from "./selftest/nth-area.js";
import { testCommand } from "./selftest/selftest.js";
import { vdeviceAlloc } from "./vdevice.js";
import { veventqAlloc } from "./veventq.js";
import { containerIoctl, vfioIoas } from "./vfio-compat/vfio-compat.js";
import { viommuAlloc } from "./viommu.js";

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
	on(FaultQueueAlloc, faultQueueAlloc),
	on(IoasMapFile, ioasMapFile),
	on(ViommuAlloc, viommuAlloc),
	on(VdeviceAlloc, vdeviceAlloc),
	on(IoasChangeProcess, ioasChangeProcess),
	on(VeventqAlloc, veventqAlloc),
	on(HwQueueAlloc, hwQueueAlloc),
	on(IoasNoiommuGetPa, noiommuGetPa),
];

/** By number - FIRST, so that finding one is a load. Its length is the range of numbers that are iommufd's. */
function tableOf(entries: readonly Entry[], lastNumber: number): readonly (Entry | undefined)[] {
	const table = new Array<Entry | undefined>(lastNumber - FIRST + 1).fill(undefined);
	for (const entry of entries) table[(entry.command.number & 0xff) - FIRST] = entry;
	return table;
}

const commands = tableOf(served, 0x95);
const commandsWithTests = tableOf(
	[...served, on(IoasCopyOfTests, ioasCopyOfTests), on(TestCommand, testCommand)],
	0xa0,
);

export class IommufdFile implements MappableFile {
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

	/** As Linux's fdget(), a call keeps the file: another thread may close it meanwhile, which counts after the call. */
	ioctl(caller: Caller, command: number, argument: number): number {
		const { turn, platform, hasHolders } = this.context;
		// What was closed before this call is gone for it: a device's id is free again, for one.
		if (hasHolders) platform.settle();
		turn.take();
		try {
			return this.#serve(caller, command, argument);
		} finally {
			turn.give();
		}
	}

	#serve(caller: Caller, command: number, argument: number): number {
		const index = (command & 0xff) - FIRST;
		if (command === TestCommand.number && this.context.platform.selftest === undefined)
			throw new Errno(
				"ENOTTY",
				"IOMMU_TEST_CMD drives the mock IOMMU, and this machine has none: `selftest` is one that has",
				"machine",
			);
		if (index < 0 || index >= this.#table.length) return containerIoctl(this.#call, caller, command, argument);
		const entry = this.#table[index];
		if (entry === undefined || entry.command.number !== command) {
			readSize(caller.memory, argument);
			throw strayIoctl("ENOTTY", command, "/dev/iommu", ["iommufd", "container"]);
		}
		const callerSize = readCommand(caller.memory, argument, entry.command);
		checkFields(entry.command);
		this.#call.begin(caller, entry.command, argument, callerSize);
		entry.handle(this.#call);
		return this.#call.result;
	}

	mmap(offset: number, length: number): Mapping<MovableMemory> {
		using _ = Turns.take(this.context.turn);
		return this.context.mmapRegions.map(offset, length);
	}

	release(): void {
		const { context } = this;
		whenFree([() => context.turn], () => context.drop());
	}
}

/** IOMMU_DESTROY */
function destroy(call: Call, args: Args<typeof Destroy>): void {
	const { objects, platform, mmapRegions } = call.context;
	const object = objects.existing(args.id, "id");
	// What is closed or unmapped already may still count as a user: of an IOAS that it accesses, of its queue, of registers.
	if (object.users > 1) platform.settle(mmapRegions.isMapped(object));
	objects.remove(objects.existing(args.id, "id"));
}
