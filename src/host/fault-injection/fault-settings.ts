// debugfs's directories of fault injection: failslab, fail_page_alloc and fail_iommufd. fault_create_debugfs_attr() in
// lib/fault-inject.c; mm/failslab.c, mm/fail_page_alloc.c; drivers/iommu/iommufd/selftest.c.
//
// They are real files in a directory of our own, made when somebody first looks for them. So all of open(2), readdir(3) and
// read(2) is the kernel's, and programs write at full speed; we are told of it, and look at what is there by now.

import { constants, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FaultAttr } from "../../faults/fault-attr.js";
import type { FaultKind } from "../../faults/faults.js";
import { Errno } from "../../uapi/errno.js";
import { OwnDirectory } from "../files/own-directory.js";
import { O_ACCMODE, O_CLOEXEC, O_RDONLY, O_WRONLY } from "../linux/flags.js";
import { parseBoolean, parseNumber } from "../linux/kernel-numbers.js";
import { close, inotifyAddWatch, inotifyInit, NativeMemory, open, read, succeed } from "../linux/libc.js";

export const DEBUGFS = "/sys/kernel/debug";

const { O_CREAT, O_EXCL, O_TRUNC } = constants;
const IN_NONBLOCK = 0o4000;
const IN_CLOEXEC = 0o2000000;
const IN_MODIFY = 2;

/** A number of an attribute, and the file that has it. */
interface Setting {
	readonly file: string;
	print(attr: FaultAttr): string;
	/** Takes over what is written. What means nothing is not taken over. */
	parse(attr: FaultAttr, text: string): void;
}

type NumberOf = { [Key in keyof FaultAttr]: FaultAttr[Key] extends number ? Key : never }[keyof FaultAttr];
type BooleanOf = { [Key in keyof FaultAttr]: FaultAttr[Key] extends boolean ? Key : never }[keyof FaultAttr];

function number(file: string, key: NumberOf, least = 0): Setting {
	return {
		file,
		print: (attr) => `${attr[key]}\n`,
		parse: (attr, text) => {
			const value = parseNumber(text);
			if (value !== undefined && value >= least) attr[key] = value;
		},
	};
}

function boolean(file: string, key: BooleanOf): Setting {
	return {
		file,
		print: (attr) => (attr[key] ? "Y\n" : "N\n"),
		parse: (attr, text) => {
			attr[key] = parseBoolean(text) ?? attr[key];
		},
	};
}

const ofAll = [
	number("probability", "probability"),
	number("interval", "interval"),
	number("times", "times", -1),
	number("space", "space"),
	number("verbose", "verbose"),
	number("verbose_ratelimit_interval_ms", "verboseRatelimitInterval"),
	number("verbose_ratelimit_burst", "verboseRatelimitBurst"),
	boolean("task-filter", "taskFilter"),
];
const ignoreGfpWait = boolean("ignore-gfp-wait", "ignoreGfpWait");
const settingsOf: { readonly [kind in FaultKind]: readonly Setting[] } = {
	failslab: [...ofAll, ignoreGfpWait],
	fail_page_alloc: [
		...ofAll,
		ignoreGfpWait,
		boolean("ignore-gfp-highmem", "ignoreGfpHighmem"),
		number("min-order", "minOrder"),
	],
	fail_iommufd: ofAll,
};

const path = new NativeMemory(4096);
const events = new NativeMemory(4096);

export class FaultSettings {
	readonly attrs: ReadonlyMap<FaultKind, FaultAttr>;
	/** Where the files are, once there are any. */
	readonly #directory: OwnDirectory;
	#inotify = -1;

	/**
	 * @param kinds those that the kernel has
	 * @param directory see OwnDirectory
	 */
	constructor(kinds: readonly FaultKind[], directory: string) {
		this.#directory = new OwnDirectory(directory);
		this.attrs = new Map(kinds.map((kind) => [kind, new FaultAttr(kind)]));
	}

	/** Whether somebody may have changed something. */
	get isMade(): boolean {
		return this.#directory.isMade;
	}

	/** Whether a path without links is one of ours: by the name that programs know, or by its own. */
	has(path: string): boolean {
		return this.#realPath(path) !== undefined;
	}

	/**
	 * Opens one of ours.
	 * @returns an fd, or -1
	 * @throws EIO where there is no room for the files
	 */
	open(given: string, flags: number): number {
		this.#make();
		this.update();
		const real = this.#realPath(given)!;
		const mode = flags & O_ACCMODE;
		// What is written to such a file takes the place of what is there, however short it is; who only reads leaves it alone.
		const replaces = mode === O_WRONLY ? O_TRUNC : mode === O_RDONLY ? 0 : flags & O_TRUNC;
		return open(path.setString(real), (flags & ~(O_CREAT | O_EXCL | O_TRUNC)) | replaces | O_CLOEXEC);
	}

	/**
	 * Takes over what has been written since the last time. What we have written ourselves is looked at once more then: who could
	 * tell it from what a program has written at the same time?
	 */
	update(): void {
		if (!this.isMade || read(this.#inotify, events.address, events.bytes.length) <= 0) return;
		while (read(this.#inotify, events.address, events.bytes.length) > 0);
		for (const [kind, attr] of this.attrs)
			for (const { file, parse, print } of settingsOf[kind]) {
				const real = join(this.#directory.path, kind, file);
				const text = readFileSync(real, "latin1").replaceAll("\0", "");
				if (text !== "") parse(attr, text);
				if (text !== "" && text !== print(attr)) writeFileSync(real, print(attr));
			}
	}

	/** Shows numbers that have counted down. */
	show(): void {
		if (!this.isMade) return;
		for (const [kind, attr] of this.attrs)
			for (const { file, print } of settingsOf[kind])
				if (file === "times" || file === "space") writeFileSync(join(this.#directory.path, kind, file), print(attr));
	}

	remove(): void {
		this.#directory.remove();
		if (this.#inotify !== -1) close(this.#inotify);
		this.#inotify = -1;
	}

	/** @throws EIO */
	#make(): void {
		if (this.isMade) return;
		try {
			this.#fill();
		} catch (error) {
			const { path } = this.#directory;
			throw new Errno("EIO", `debugfs's files can't be put into ${path}: ${(error as Error).message}`);
		}
	}

	/** @throws Error */
	#fill(): void {
		if (this.#inotify === -1) this.#inotify = succeed(inotifyInit(IN_NONBLOCK | IN_CLOEXEC), "inotify_init1");
		this.#directory.make(() => {
			for (const [kind, attr] of this.attrs) {
				const directory = join(this.#directory.path, kind);
				mkdirSync(directory);
				for (const { file, print } of settingsOf[kind]) writeFileSync(join(directory, file), print(attr));
				succeed(inotifyAddWatch(this.#inotify, path.setString(directory), IN_MODIFY), "inotify_add_watch");
			}
		});
	}

	#realPath(given: string): string | undefined {
		const root = this.isMade ? this.#directory.path : DEBUGFS;
		if (given === DEBUGFS || given === root) return root;
		for (const [kind] of this.attrs)
			for (const base of [DEBUGFS, root]) {
				const directory = `${base}/${kind}`;
				if (given === directory || given.startsWith(`${directory}/`)) return root + given.slice(base.length);
			}
		return undefined;
	}
}
