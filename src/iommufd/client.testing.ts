// A client of the engine without a process: for tests.

import { allocation } from "../faults/faults.js";
import { MemoryBudget } from "../faults/memory-budget.js";
import type { Caller, CallerFile, Capability } from "../files/caller.js";
import type { OpenFile, ReadableFile } from "../files/open-file.js";
import { MappingHistory } from "../iommu/dma/mapping-history.js";
import { SelftestIommu } from "../iommu/drivers/selftest.js";
import { ArrayBacking, ArraySpace } from "../memory/array-space.js";
import { Frames } from "../memory/frames.js";
import { Memlock, type MemoryOwner } from "../memory/memlock.js";
import { TableMemory, type TableMemoryOptions } from "../pagetable/table-memory.js";
import type { FieldTable } from "../uapi/field.js";
import { type TestArgs, TestCommand, TestOp, type TestOpName, testVariants } from "../uapi/iommufd-test.js";
import { type Command, encode, type Struct } from "../uapi/struct.js";
import type { Values, WritableView } from "../uapi/view.js";
import { type HwptPolicy, mainline } from "./hwpt-policy.js";
import { IommufdFile } from "./ioctls.js";
import type { Platform } from "./platform.js";

/** Where the client keeps the struct of the call that it makes, and its arrays. */
const ARGUMENT = 0x1000_0000;
/** Sixteen pages of memory to map. */
export const BUFFER = 0x2000_0000;
export const BUFFER_PAGES = 16;

/** A machine of the engine alone, with the mock IOMMU. */
export class TestPlatform implements Platform {
	readonly budget: MemoryBudget;
	readonly frames: Frames;
	readonly memlock = new Memlock();
	readonly tables: TableMemory;
	readonly selftest: SelftestIommu;
	readonly history = new MappingHistory();
	policy: HwptPolicy = mainline;

	constructor(options: TableMemoryOptions = {}, budget = new MemoryBudget()) {
		this.budget = budget;
		this.frames = new Frames("as-addresses", budget.pins);
		this.tables = new TableMemory({ budget: budget.pageTables, ...options });
		this.selftest = new SelftestIommu(this.tables);
	}

	/** What has been closed, and not looked after yet. */
	readonly closed: { release(): void }[] = [];

	/** What was said of calls. */
	readonly remarks: string[] = [];

	remark(text: string): void {
		this.remarks.push(text);
	}

	settle(): void {
		for (const file of this.closed.splice(0)) file.release();
	}
}

/** A process that has /dev/iommu open. */
export class TestClient implements Caller {
	readonly thread = 1;
	readonly memory = new ArraySpace("test client");
	readonly owner: MemoryOwner;
	readonly platform: TestPlatform;
	readonly fd: IommufdFile;
	/** Bytes. */
	memlockLimit = Number.POSITIVE_INFINITY;
	readonly capabilities = new Set<Capability>(["CAP_IPC_LOCK", "CAP_SYS_RESOURCE"]);
	readonly files = new Map<number, CallerFile>();
	/** What is behind BUFFER. */
	readonly backing = new ArrayBacking("buffer", new Uint8Array(BUFFER_PAGES * 4096));

	/** @param fd a file that another client has opened, and passed on */
	constructor(platform?: TestPlatform, options: TableMemoryOptions = {}, fd?: IommufdFile, uid = 1000) {
		this.platform = platform ?? new TestPlatform(options);
		this.fd = fd ?? new IommufdFile(this.platform);
		this.owner = { uid, memlockLimit: () => this.memlockLimit };
		this.memory.map(ARGUMENT, 0x10000);
		this.memory.map(BUFFER, BUFFER_PAGES * 4096, { backing: this.backing });
	}

	capable(capability: Capability): boolean {
		return this.capabilities.has(capability);
	}

	file(fd: number): CallerFile | undefined {
		return this.files.get(fd);
	}

	install(file: OpenFile): number {
		try {
			allocation("an fd");
		} catch (error) {
			file.release();
			throw error;
		}
		return this.#addFile({ kind: "ours", file });
	}

	/** Adds a memfd; returns its number. */
	addMemfd(backing: ArrayBacking): number {
		return this.#addFile({ kind: "shared-memory", backing, size: () => backing.bytes.length });
	}

	#addFile(file: CallerFile): number {
		let fd = 3;
		while (this.files.has(fd)) fd++;
		this.files.set(fd, file);
		return fd;
	}

	/** close(2) of an fd that the engine handed out: its only one. */
	close(fd: number): void {
		const found = this.files.get(fd);
		this.files.delete(fd);
		if (found?.kind === "ours") found.file.release();
	}

	/** The queue behind an fd that the engine handed out. */
	queue(fd: number): ReadableFile {
		const found = this.files.get(fd);
		if (found?.kind !== "ours") throw new Error(`fd ${fd} is not a file of ours`);
		return found.file as ReadableFile;
	}

	/** Makes an ioctl; returns its struct as it is afterwards. @throws Errno */
	call<F extends FieldTable>(command: Command<F>, values: Partial<Values<F>>): WritableView<F> {
		return this.#send(command, command.number, encode(command, values));
	}

	/** The struct of the last call, also of one that failed. */
	lastAnswer<F extends FieldTable>(command: Command<F>): WritableView<F> {
		const view = command.newView();
		this.memory.read(ARGUMENT, view.bytes);
		return view;
	}

	/** Makes an IOMMU_TEST_CMD. @throws Errno */
	test<Op extends TestOpName>(
		op: Op,
		values: { readonly [Field in keyof TestArgs<Op>]?: TestArgs<Op>[Field] },
	): TestArgs<Op> {
		const variant = testVariants[op] as unknown as Struct<FieldTable>;
		const bytes = encode(variant, { ...values, size: TestCommand.size, op: TestOp[op] });
		return this.#send(variant, TestCommand.number, bytes) as unknown as TestArgs<Op>;
	}

	#send<F extends FieldTable>(struct: Struct<F>, number: number, bytes: Uint8Array): WritableView<F> {
		this.memory.write(ARGUMENT, bytes);
		try {
			this.fd.ioctl(this, number, ARGUMENT);
		} finally {
			this.memory.read(ARGUMENT, bytes);
		}
		const view = struct.newView();
		view.bytes.set(bytes);
		return view;
	}
}
