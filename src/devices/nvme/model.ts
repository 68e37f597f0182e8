// NVMe as a kind of function that a machine can have: what can be chosen, and how it shows itself. docs/nvme.md.
// NVM Express Base Specification 1.4, 2 "System Bus (PCI Express) Registers"; the identity is that of QEMU's controller.

import * as v from "valibot";
import { type BlockStore, MemoryStore } from "../block-store.js";
import type { PageBehaviour } from "../endpoint.js";
import type { DeviceModel, FunctionIdentity } from "../model.js";
import { byteCount, flag, integer, list } from "../options.js";
import { Controller } from "./controller.js";
import { LBA_SHIFTS, Namespace } from "./namespace.js";
import { FIRST_DOORBELL } from "./registers.js";

export const NVME_VENDOR_ID = 0x1b36;
export const NVME_DEVICE_ID = 0x0010;

const PAGE = 4096;
const MSIX_ENTRY = 16;
const DEFAULT_SIZE = 64 * 1024 * 1024;
const MOST_QUEUES = 1024;
/** CAP.DSTRD has four bits, and doorbells of a page or more each are of no use to anybody. */
const MOST_STRIDE = 1024;
const SERIAL_LENGTH = 20;
const BUFFER_BAR = 2;
const MOST_NAMESPACES = 64;
const MOST_BUFFER = 1024 * 1024 * 1024;

const powerOfTwo = (value: number) => Number.isInteger(Math.log2(value));

const fields = v.strictObject({
	file: v.optional(
		list(
			v.pipe(v.string("a file's path is expected here"), v.nonEmpty("a file's path is expected here")),
			MOST_NAMESPACES,
		),
	),
	size: v.optional(list(byteCount, MOST_NAMESPACES)),
	readonly: v.optional(flag, false),
	lba: v.optional(v.pipe(integer(512, 4096), v.check(isBlockSize, "blocks have 512 or 4096 bytes")), 512),
	serial: v.optional(
		v.pipe(
			v.string("a serial number is expected here"),
			v.regex(/^[\x20-\x7e]{1,20}$/, `a serial number has 1 to ${SERIAL_LENGTH} characters of ASCII`),
		),
	),
	queues: v.optional(integer(1, MOST_QUEUES), 64),
	stride: v.optional(
		v.pipe(integer(4, MOST_STRIDE), v.check(powerOfTwo, "a doorbell's stride is a power of two from 4 on")),
		4,
	),
	cmb: v.optional(
		v.pipe(
			byteCount,
			v.check(
				(size) => size === 0 || (size >= PAGE && size <= MOST_BUFFER && powerOfTwo(size)),
				"the Controller Memory Buffer has a power of two of bytes, from 4K to 1G, or 0",
			),
		),
		0,
	),
});

const schema = v.pipe(
	fields,
	v.forward(
		v.check(({ file, size }) => file === undefined || size === undefined, "a disk has a file or a size, not both"),
		["size"],
	),
	v.forward(
		v.check(
			({ file, readonly }) => !readonly || file !== undefined,
			"only a file can be read-only: memory would be all zeroes",
		),
		["readonly"],
	),
);

export type NvmeOptions = v.InferOutput<typeof fields>;

export const nvme: DeviceModel<NvmeOptions> = {
	name: "nvme",
	summary:
		"an NVMe 1.4 controller: file=DISK.IMG[:...] or size=1G[:...], readonly, lba=4096, serial=, queues=, stride=, cmb=",
	options: schema,

	identity(options) {
		const { size, tableOffset, pendingOffset, vectors } = layoutOf(options);
		const bars: FunctionIdentity["bars"][number][] = [{ index: 0, size, space: "memory64" }];
		if (options.cmb > 0) bars.push({ index: BUFFER_BAR, size: options.cmb, space: "memory64", prefetchable: true });
		return {
			vendor: NVME_VENDOR_ID,
			device: NVME_DEVICE_ID,
			subsystemVendor: 0x1af4,
			subsystem: 0x1100,
			revision: 2,
			class: 0x010802,
			bars,
			interruptPin: 1,
			msix: { vectors, bar: 0, tableOffset, pendingOffset },
			express: true,
		};
	},

	pages(options) {
		const { endOfDoorbells } = layoutOf(options);
		const doorbells = {
			bar: 0,
			offset: FIRST_DOORBELL,
			length: endOfDoorbells - FIRST_DOORBELL,
			kind: "doorbell",
		} as const;
		if (options.cmb === 0) return [doorbells];
		return [doorbells, { bar: BUFFER_BAR, offset: 0, length: options.cmb, kind: "memory" } satisfies PageBehaviour];
	},

	check({ file = [], readonly, lba }, host) {
		for (const [index, path] of file.entries()) {
			const store = host.openBlocks(path, readonly);
			try {
				namespaceOf(store, index, lba, file);
			} finally {
				store.close();
			}
		}
	},

	create(port, options, host) {
		const {
			file,
			readonly,
			size = [DEFAULT_SIZE],
			lba,
			cmb,
			queues,
			stride,
			serial = `IOASIS-${host.address}`,
		} = options;
		const stores: BlockStore[] = [];
		try {
			for (const path of file ?? []) stores.push(host.openBlocks(path, readonly));
			if (file === undefined) stores.push(...size.map((bytes) => new MemoryStore(bytes)));
			const namespaces = stores.map((store, index) => namespaceOf(store, index, lba, file));
			return new Controller({
				port,
				identity: nvme.identity(options),
				namespaces,
				serial,
				queues,
				stride,
				buffer: cmb > 0 ? port.memoryOf(BUFFER_BAR, 0).subarray(0, cmb) : new Uint8Array(0),
				endOfDoorbells: layoutOf(options).endOfDoorbells,
				clock: () => host.now(),
			});
		} catch (error) {
			for (const store of stores) store.close();
			throw error;
		}
	},
};

function isBlockSize(bytes: number): boolean {
	return LBA_SHIFTS.some((shift) => bytes === 1 << shift);
}

/** @throws Error when there isn't room for one block */
function namespaceOf(store: BlockStore, index: number, lba: number, file: readonly string[] | undefined): Namespace {
	const namespace = new Namespace(index + 1, store, LBA_SHIFTS.indexOf(Math.log2(lba) as (typeof LBA_SHIFTS)[number]));
	if (namespace.blocks > 0) return namespace;
	const what = file === undefined ? "size" : `file ${file[index]}`;
	throw new Error(`${what}: ${store.size} bytes are less than a block, which has ${lba}`);
}

/** How BAR 0 is laid out: registers, doorbells, MSI-X's table and its pending bits, each from a page's start on. */
function layoutOf({ queues, stride }: NvmeOptions) {
	const vectors = queues + 1;
	const endOfDoorbells = FIRST_DOORBELL + roundUp(2 * (queues + 1) * stride);
	const pendingOffset = endOfDoorbells + roundUp(vectors * MSIX_ENTRY);
	const size = 2 ** Math.ceil(Math.log2(pendingOffset + PAGE));
	return { vectors, endOfDoorbells, tableOffset: endOfDoorbells, pendingOffset, size };
}

function roundUp(bytes: number): number {
	return Math.ceil(bytes / PAGE) * PAGE;
}
