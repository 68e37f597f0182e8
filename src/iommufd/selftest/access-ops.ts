// IOMMU_TEST_CMD's ops for accesses: what a driver would do that uses an IOAS without DMA.
// drivers/iommu/iommufd/selftest.c.

import { allocation } from "../../faults/faults.js";
import { Undo } from "../../faults/undo.js";
import type { Caller } from "../../files/caller.js";
import type { OpenFile } from "../../files/open-file.js";
import { copyIn, copyOut, PAGE_SIZE } from "../../memory/address-space.js";
import { Runs } from "../../memory/runs.js";
import { Errno, hex } from "../../uapi/errno.js";
import { AccessPagesFlags, AccessRwFlags, CreateAccessFlags, type TestArgs } from "../../uapi/iommufd-test.js";
import { whenFree } from "../../uapi/turns.js";
import { Access, type AccessOps } from "../access.js";
import type { Call } from "../call.js";
import type { Context } from "../context.js";
import { LAST_IOVA } from "../io-pagetable/iova-ranges.js";
import { Ioas } from "../ioas.js";
import { iovaOfNthArea } from "./nth-area.js";
import { on, pageOf } from "./test-op.js";

/** Bytes that one op can be about. */
const MAX_LENGTH = 16n << 20n;

/** A range that ACCESS_PAGES has pinned, until DESTROY_ACCESS_PAGES or an unmap. */
interface PinnedRange {
	readonly id: number;
	readonly iova: bigint;
	readonly length: bigint;
}

/** The fd that CREATE_ACCESS hands out: an access, and what has been pinned with it. */
class AccessFile implements OpenFile, AccessOps {
	readonly path = "anon_inode:[iommufd_test_staccess]";
	readonly needsPinPages: boolean;
	readonly access: Access;
	readonly #context: Context;
	#pinned: PinnedRange[] = [];
	#nextId = 0;

	constructor(context: Context, needsPinPages: boolean) {
		allocation("an access of a test");
		this.needsPinPages = needsPinPages;
		this.#context = context;
		this.access = Access.create(context, this);
	}

	add(iova: bigint, length: bigint): number {
		const id = this.#nextId++;
		this.#pinned.push({ id, iova, length });
		return id;
	}

	/** @throws ENOENT when there is no such range */
	remove(id: number): void {
		const range = this.#pinned.find((candidate) => candidate.id === id);
		if (range === undefined) throw new Errno("ENOENT", `access_pages_id is ${id}, and nothing is pinned by that id`);
		this.#unpin([range]);
	}

	unmap(first: bigint, last: bigint): void {
		this.#unpin(this.#pinned.filter(({ iova, length }) => first <= iova + length - 1n && last >= iova));
	}

	#unpin(ranges: readonly PinnedRange[]): void {
		this.#pinned = this.#pinned.filter((range) => !ranges.includes(range));
		for (const { iova, length } of ranges) this.access.unpin(iova, length);
	}

	ioctl(): number {
		throw new Errno("ENOTTY", "an access has no ioctls: it is named in IOMMU_TEST_CMD on /dev/iommu");
	}

	release(): void {
		const context = this.#context;
		whenFree([() => context.turn], () => {
			this.unmap(0n, LAST_IOVA);
			context.objects.destroyUser(this.access);
		});
	}
}

function accessFile(caller: Caller, fd: number): AccessFile {
	const found = caller.file(fd);
	if (found?.kind === "ours" && found.file instanceof AccessFile) return found.file;
	throw new Errno("EBADFD", `fd ${fd} is not one that CREATE_ACCESS made`);
}

function createAccess(call: Call, args: TestArgs<"CREATE_ACCESS">): void {
	const { context, caller } = call;
	if (args.flags & ~CreateAccessFlags.NEEDS_PIN_PAGES)
		throw new Errno("EOPNOTSUPP", `flags is ${hex(args.flags)}, and only NEEDS_PIN_PAGES is known`);
	using undo = new Undo();
	const file = new AccessFile(context, (args.flags & CreateAccessFlags.NEEDS_PIN_PAGES) !== 0);
	undo.push(() => file.release());
	file.access.attach(context.objects.get(args.id, Ioas, "id"));
	allocation("the file of an access");
	call.checkRespond();
	undo.keep();
	args.outAccessFd = caller.install(file);
	call.respond();
}

function replaceIoas(call: Call, args: TestArgs<"ACCESS_REPLACE_IOAS">): void {
	const { access } = accessFile(call.caller, args.id);
	access.attach(call.context.objects.get(args.ioasId, Ioas, "ioas_id"));
}

/** Pins, and checks that what has been pinned is what the caller has at `uptr`. */
function pinPages(call: Call, args: TestArgs<"ACCESS_PAGES">): void {
	const { length, uptr, flags } = args;
	checkLength(length);
	const known = AccessPagesFlags.WRITE | AccessPagesFlags.SYZ;
	if (flags & ~known)
		throw new Errno("EOPNOTSUPP", `flags has ${hex(flags & ~known)}, and only WRITE and SYZ are known`);
	const file = accessFile(call.caller, args.id);
	const { access } = file;
	if (!file.needsPinPages) throw new Errno("EOPNOTSUPP", `${access} was made without NEEDS_PIN_PAGES`);
	const iova = flags & AccessPagesFlags.SYZ ? decodeIova(access, args.iova) : args.iova;
	allocation("a list of pages to compare");
	const pinned = new Runs(Number(MAX_LENGTH) / PAGE_SIZE + 1);
	using undo = new Undo();
	access.pin(iova, length, (flags & AccessPagesFlags.WRITE) !== 0, pinned);
	undo.push(() => access.unpin(iova, length));
	if (uptr !== 0) comparePages(call, uptr - Number(iova % BigInt(PAGE_SIZE)), pinned);
	allocation("what a test has pinned");
	const id = file.add(iova, length);
	undo.keep();
	undo.push(() => file.remove(id));
	args.outAccessPagesId = id;
	call.respond();
	undo.keep();
}

/** @throws EBADE when the caller has another page there than the one that is pinned, EFAULT when it has none */
function comparePages(call: Call, address: number, pinned: Runs): void {
	const { frames } = call.context.platform;
	let at = address;
	for (let i = 0; i < pinned.length; i++) {
		for (let n = 0; n < pinned.count[i]; n++, at += PAGE_SIZE) {
			const { backing, page } = pageOf(call.caller.memory, at);
			if (frames.frameOf(backing, page) !== pinned.frame[i] + n)
				throw new Errno("EBADE", `the memory at ${hex(at)} is not the page that has been pinned`);
		}
	}
}

function unpinPages(call: Call, args: TestArgs<"DESTROY_ACCESS_PAGES">): void {
	accessFile(call.caller, args.id).remove(args.accessPagesId);
}

function readWrite(call: Call, args: TestArgs<"ACCESS_RW">): void {
	const { caller } = call;
	const { length, uptr, flags } = args;
	checkLength(length);
	const known = AccessRwFlags.WRITE | AccessRwFlags.SLOW_PATH | AccessRwFlags.SYZ;
	if (flags & ~known)
		throw new Errno("EOPNOTSUPP", `flags has ${hex(flags & ~known)}, and only WRITE, SLOW_PATH and SYZ are known`);
	const { access } = accessFile(caller, args.id);
	allocation("what is copied");
	const data = new Uint8Array(Number(length));
	const write = (flags & AccessRwFlags.WRITE) !== 0;
	if (write) copyIn(caller.memory, uptr, data, "uptr");
	const iova = flags & AccessRwFlags.SYZ ? decodeIova(access, args.iova) : args.iova;
	access.rw(caller, iova, data, { write, slowPath: (flags & AccessRwFlags.SLOW_PATH) !== 0 });
	if (!write) copyOut(caller.memory, uptr, data, "uptr");
}

function checkLength(length: bigint): void {
	if (length > MAX_LENGTH) throw new Errno("ENOMEM", `length is ${hex(length)}, more than ${hex(MAX_LENGTH)}`);
}

/** What a fuzzer's "iova" stands for; 0 when it stands for nothing. */
function decodeIova(access: Access, packed: bigint): bigint {
	return access.ioas === undefined ? 0n : iovaOfNthArea(access.ioas, packed);
}

export const accessHandlers = [
	on("CREATE_ACCESS", createAccess),
	on("ACCESS_REPLACE_IOAS", replaceIoas),
	on("ACCESS_PAGES", pinPages),
	on("DESTROY_ACCESS_PAGES", unpinPages),
	on("ACCESS_RW", readWrite),
];
