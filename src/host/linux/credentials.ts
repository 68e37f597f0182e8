// Whose rights a thread has, and how ours are put aside for somebody's: the supervisor of a root run looks files up for programs that
// have given up their privileges. credentials(7), capabilities(7)
//
// All of it is of the calling thread alone: the C library's setgroups(3) and setuid(3) would change all threads.

import { capget, capset, close, NativeMemory, setfsgid, setfsuid, setgroups } from "./libc.js";
import { inodeOf, openDirectory, readFileAt } from "./proc.js";
import { AT_FDCWD } from "./stat.js";

export interface Credentials {
	/** Those by which files are looked up: fsuid and fsgid. */
	readonly user: number;
	readonly group: number;
	readonly groups: readonly number[];
	/** Whom access(2) asks for. */
	readonly real: { readonly user: number; readonly group: number };
	/** Effective ones, both halves of 64 bits; none where they are those of another user namespace than ours. */
	readonly capabilities: readonly [low: number, high: number];
}

/** _LINUX_CAPABILITY_VERSION_3 */
const CAPABILITY_VERSION = 0x20080522;
const MOST_GROUPS = 65536;

/** struct __user_cap_header_struct: version, pid. */
const header = new NativeMemory(8);
header.words[0] = CAPABILITY_VERSION;
/** Two struct __user_cap_data_struct: effective, permitted, inheritable; the low half and the high one. */
const sets = new NativeMemory(24);
let groupList = new NativeMemory(64 * 4);

/** @param thread ours or another's @returns undefined when it is gone */
export function credentialsOf(thread: number | "self"): Credentials | undefined {
	const directory = openDirectory(thread === "self" ? "/proc/thread-self" : `/proc/${thread}`);
	const text = readFileAt(directory, "status");
	const isOfOurNamespace =
		thread === "self" || inodeOf(directory, "ns/user") === inodeOf(AT_FDCWD, "/proc/self/ns/user");
	close(directory);
	if (text === undefined) return undefined;
	const numbers = (field: string) =>
		text
			.match(new RegExp(`^${field}:\\s*(.*)$`, "m"))?.[1]
			.trim()
			.split(/\s+/) ?? [];
	const [effective = "0"] = numbers("CapEff");
	const half = (from: number, to?: number) => Number.parseInt(effective.padStart(16, "0").slice(from, to), 16);
	return {
		user: Number(numbers("Uid")[3]),
		group: Number(numbers("Gid")[3]),
		real: { user: Number(numbers("Uid")[0]), group: Number(numbers("Gid")[0]) },
		groups: numbers("Groups").flatMap((group) => (group === "" ? [] : Number(group))),
		capabilities: isOfOurNamespace ? [half(8), half(0, 8)] : [0, 0],
	};
}

/** Whether those of a thread can be others than ours: only who may take on any can start what has others. */
export function mayDiffer(): boolean {
	return process.geteuid?.() === 0;
}

/**
 * Does something with a thread's rights instead of ours.
 * @returns undefined when the thread is gone, or we can't take its rights on
 */
export function withRightsOf<T>(thread: number, action: () => T): T | undefined {
	if (!mayDiffer()) return action();
	const theirs = credentialsOf(thread);
	return theirs && withCredentials(theirs, action);
}

/** The same with rights that somebody had. */
export function withCredentials<T>(theirs: Credentials, action: () => T): T | undefined {
	if (!mayDiffer()) return action();
	const ours = credentialsOf("self");
	if (ours === undefined) return undefined;
	if (isSame(ours, theirs)) return action();
	try {
		return takeOn(theirs, ours) ? action() : undefined;
	} finally {
		takeBack(ours);
	}
}

function isSame(one: Credentials, other: Credentials): boolean {
	const all = ({ user, group, groups, capabilities }: Credentials) => [user, group, ...groups, ...capabilities].join();
	return all(one) === all(other);
}

/** @returns whether it worked: a user of another namespace has no number here */
function takeOn({ user, group, groups, capabilities }: Credentials, ours: Credentials): boolean {
	if (setGroups(groups) === -1) return false;
	setfsgid(group);
	setfsuid(user);
	// The second time they say what the first has done.
	if (setfsgid(group) !== group || setfsuid(user) !== user) return false;
	return setEffective([ours.capabilities[0] & capabilities[0], ours.capabilities[1] & capabilities[1]]);
}

function takeBack({ user, group, groups, capabilities }: Credentials): void {
	// First what it takes to set the rest. The last time because setfsuid() has changed them.
	setEffective(capabilities);
	setfsuid(user);
	setfsgid(group);
	setGroups(groups);
	setEffective(capabilities);
}

function setGroups(groups: readonly number[]): number {
	if (groups.length > MOST_GROUPS) return -1;
	if (groupList.words.length < groups.length) groupList = new NativeMemory(groups.length * 4);
	groupList.words.set(groups);
	return setgroups(groups.length, groupList.address);
}

function setEffective([low, high]: readonly [number, number]): boolean {
	if (capget(header.address, sets.address) === -1) return false;
	sets.words[0] = low;
	sets.words[3] = high;
	return capset(header.address, sets.address) === 0;
}
