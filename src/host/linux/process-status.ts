// What /proc/PID/status says of pinned and locked memory. What is pinned here the kernel knows nothing of, so in the lines
// VmPin and VmLck of such a process there is something of ours. proc_pid_status(5)

import { O_CLOEXEC } from "./flags.js";
import { close, memfdCreate, NativeMemory, open, write } from "./libc.js";
import { openDirectory, readFileAt } from "./proc.js";
import { AT_FDCWD } from "./stat.js";

const MFD_CLOEXEC = 1;
const KIB_PER_PAGE = 4;

/** In pages, as Memlock counts them. */
export interface MemoryCounts {
	readonly pinned: number;
	readonly locked: number;
}

const name = new NativeMemory(64);

/**
 * Makes a file that reads as the status of a process does, with what is counted here added.
 * @returns an fd that is open for reading, or -1
 */
export function openStatus(process: number, counts: MemoryCounts): number {
	const directory = openDirectory(`/proc/${process}`);
	if (directory === -1) return -1;
	const text = readFileAt(directory, "status");
	close(directory);
	if (text === undefined) return -1;
	const bytes = Buffer.from(statusWith(text, counts), "latin1");
	const memory = new NativeMemory((bytes.length + 3) & ~3);
	memory.bytes.set(bytes);
	const writable = memfdCreate(name.setString("status"), MFD_CLOEXEC);
	if (writable === -1) return -1;
	write(writable, memory.address, bytes.length);
	const readable = open(name.setString(`/proc/self/fd/${writable}`), O_CLOEXEC);
	close(writable);
	return readable;
}

/** How many pages a process has locked itself: VmLck; undefined where that can't be found out. @param thread one of its threads */
export function lockedPagesOf(thread: number): number | undefined {
	const kib = readFileAt(AT_FDCWD, `/proc/${thread}/status`)?.match(/^VmLck:\s*(\d+) kB$/m)?.[1];
	return kib === undefined ? undefined : Number(kib) / KIB_PER_PAGE;
}

/** The text of a status file with some pages added to what the kernel says is locked and pinned. */
export function statusWith(text: string, { pinned, locked }: MemoryCounts): string {
	return add(add(text, "VmLck", locked), "VmPin", pinned);
}

function add(text: string, field: string, pages: number): string {
	const line = new RegExp(`^(${field}:\\s*)(\\d+)( kB)$`, "m");
	return text.replace(line, (_, label: string, kib: string, unit: string) => {
		const sum = String(Number(kib) + pages * KIB_PER_PAGE);
		// The number grows to the left, as the kernel right-aligns it.
		return label.slice(0, Math.max(`${field}:\t`.length, label.length + kib.length - sum.length)) + sum + unit;
	});
}
