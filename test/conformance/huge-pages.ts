// Some of the tests map huge pages, of which a machine has none until its administrator reserves them.
// Documentation/admin-guide/mm/hugetlbpage.rst

import { readFileSync, writeFileSync } from "node:fs";

const RESERVED = "/proc/sys/vm/nr_hugepages";
/** The largest test maps 128 MiB in pages of 2 MiB. */
const NEEDED = 64;

export interface HugePages {
	readonly available: boolean;
	/** Why not. */
	readonly reason?: string;
	/** Gives back what was reserved; may be called twice. */
	release(): void;
}

/** Reserves the huge pages that the tests need, where this process may. */
export function reserveHugePages(): HugePages {
	let before: number;
	try {
		before = reserved();
		// More on top of what is there, so that two runs at once don't take each other's.
		writeFileSync(RESERVED, String(before + NEEDED));
	} catch (error) {
		if (free() >= NEEDED) return { available: true, release() {} };
		return { available: false, reason: `${RESERVED}: ${(error as Error).message}`, release() {} };
	}
	let added = reserved() - before;
	const release = () => {
		if (added > 0) writeFileSync(RESERVED, String(Math.max(0, reserved() - added)));
		added = 0;
	};
	if (free() >= NEEDED) return { available: true, release };
	const reason = `the kernel could reserve only ${added} of ${NEEDED}`;
	release();
	return { available: false, reason, release };
}

function reserved(): number {
	return Number(readFileSync(RESERVED, "utf8"));
}

function free(): number {
	return Number(/^HugePages_Free:\s*(\d+)/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1] ?? 0);
}
