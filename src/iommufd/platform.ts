// What the contexts of one machine have in common: its physical memory, its accounts, its IOMMUs.

import type { MemoryBudget } from "../faults/memory-budget.js";
import type { MappingHistory } from "../iommu/dma/mapping-history.js";
import type { SelftestIommu } from "../iommu/drivers/selftest.js";
import type { Frames } from "../memory/frames.js";
import type { Memlock } from "../memory/memlock.js";
import type { HwptPolicy } from "./hwpt-policy.js";

export interface Platform {
	readonly frames: Frames;
	readonly memlock: Memlock;
	/** How much of our own memory clients may have us use. */
	readonly budget: MemoryBudget;
	/** Who remembers what was mapped and unmapped; absent where nobody asks. */
	readonly history?: MappingHistory | undefined;
	/** The mock IOMMU of CONFIG_IOMMUFD_TEST; absent where the kernel is built without it. */
	readonly selftest: SelftestIommu | undefined;
	/** The rule by which page tables are allocated. */
	readonly policy: HwptPolicy;
	/**
	 * Carries out releases of files that have been closed but that nobody has looked at yet. The engine calls it before it
	 * refuses something that only a file which may be closed by now stands in the way of.
	 * @param mappingsToo also releases mappings that are gone, which takes a look at every process
	 */
	settle(mappingsToo?: boolean): void;
	/** Says what the answer to the call that is under way doesn't: that it did less, or something else, than one would think. */
	remark(text: string): void;
}
