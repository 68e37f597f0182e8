// A machine: its physical memory, its IOMMUs, and the files that its devices show.

import { SelftestIommu } from "../iommu/drivers/selftest.js";
import type { OpenFile } from "../iommufd/caller.js";
import { IommufdFile } from "../iommufd/ioctls.js";
import type { Platform } from "../iommufd/platform.js";
import { Frames } from "../memory/frames.js";
import { Memlock } from "../memory/memlock.js";
import { TableMemory } from "../pagetable/table-memory.js";
import type { MachineDescription } from "./description.js";

export class Machine {
	readonly name: string;
	readonly frames: Frames;
	readonly tables = new TableMemory();
	readonly #platform: Platform;
	readonly #open = new Set<IommufdFile>();
	/** What the platform calls to have closed files released; the host sets it. */
	settle: () => void = () => {};

	constructor(description: MachineDescription) {
		this.name = description.name;
		this.frames = new Frames(description.memory?.contiguity);
		this.#platform = {
			frames: this.frames,
			memlock: new Memlock(),
			selftest: description.selftest ? new SelftestIommu(this.tables) : undefined,
			settle: () => this.settle(),
		};
	}

	/** The paths that open() serves. */
	get paths(): readonly string[] {
		return PATHS;
	}

	/** A new open file for a path that is served, undefined for any other. */
	open(path: string): OpenFile | undefined {
		if (!PATHS.includes(path)) return undefined;
		return new MachineFile(this.#platform, path, this.#open);
	}

	/** What is still allocated: a line for each context, and for memory that nothing should hold any more. */
	leftovers(): string[] {
		const lines: string[] = [];
		for (const file of this.#open) {
			const kinds = new Map<string, number>();
			for (const object of file.context.objects) kinds.set(object.kind, (kinds.get(object.kind) ?? 0) + 1);
			const objects = [...kinds].map(([kind, count]) => `${count} ${kind}`).join(", ");
			lines.push(`${file.path} is open${objects === "" ? "" : ` with ${objects}`}`);
		}
		if (this.frames.pinned > 0) lines.push(`${this.frames.pinned} pages are pinned`);
		if (this.tables.tablesInUse > 0) lines.push(`${this.tables.tablesInUse} page table pages are in use`);
		return lines;
	}
}

const PATHS: readonly string[] = ["/dev/iommu", "/dev/vfio/vfio"];

/** Knows when it is released, so that the machine can say what was left open. */
class MachineFile extends IommufdFile {
	readonly #open: Set<IommufdFile>;

	constructor(platform: Platform, path: string, open: Set<IommufdFile>) {
		super(platform, path);
		this.#open = open;
		open.add(this);
	}

	override release(): void {
		super.release();
		this.#open.delete(this);
	}
}
