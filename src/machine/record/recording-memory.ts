// Memory and its owners as a recording sees them: each answers as the real one does, and has the answer written down.

import type { CallerFile } from "../../files/caller.js";
import { type AddressSpace, type Backing, Extents } from "../../memory/address-space.js";
import type { MemoryOwner } from "../../memory/memlock.js";
import type { Extent, Name } from "../../trace/record.js";
import { Errno } from "../../uapi/errno.js";
import { failedOf } from "./noting.js";
import type { Questions } from "./questions.js";

/** One for each real thing, so that what is the same for the engine without us is the same with us. */
export class RecordingMemories {
	readonly questions: Questions;
	readonly #spaces = new WeakMap<AddressSpace, RecordingSpace>();
	readonly #backings = new WeakMap<Backing, RecordingBacking>();
	readonly #owners = new WeakMap<MemoryOwner, RecordingOwner>();

	constructor(questions: Questions) {
		this.questions = questions;
	}

	space(space: AddressSpace): RecordingSpace {
		return this.#of(this.#spaces, space, () => {
			const recording = new RecordingSpace(this, space);
			this.questions.write({ kind: "memory", id: recording.id, name: space.name });
			return recording;
		});
	}

	backing(backing: Backing): RecordingBacking {
		return this.#of(this.#backings, backing, () => {
			const recording = new RecordingBacking(this.questions, backing);
			this.questions.write({ kind: "backing", id: recording.id, name: backing.name });
			return recording;
		});
	}

	/** The same, if the engine has met it. */
	knownBacking(backing: Backing): RecordingBacking | undefined {
		return this.#backings.get(backing);
	}

	owner(owner: MemoryOwner): RecordingOwner {
		return this.#of(this.#owners, owner, () => {
			const recording = new RecordingOwner(this.questions, owner);
			this.questions.write({ kind: "owner", id: recording.id, name: `user ${owner.uid}` });
			return recording;
		});
	}

	/** What an fd that comes in as an argument refers to, if that isn't a file of ours. */
	file(file: CallerFile & { kind: "shared-memory" }): CallerFile {
		const backing = this.backing(file.backing);
		return {
			kind: "shared-memory",
			backing,
			size: () => {
				const is = file.size();
				this.questions.ask({ ask: "size", backing: backing.id, is });
				return is;
			},
			mayWrite: () => {
				const is = file.mayWrite?.() ?? true;
				if (!is) this.questions.ask({ ask: "may write", backing: backing.id, is });
				return is;
			},
		};
	}

	#of<Real extends object, Recording>(known: WeakMap<Real, Recording>, real: Real, make: () => Recording): Recording {
		const found = known.get(real);
		if (found !== undefined) return found;
		const made = make();
		known.set(real, made);
		return made;
	}
}

const found = new Extents();

export class RecordingSpace implements AddressSpace {
	readonly id: Name;
	readonly #memories: RecordingMemories;
	readonly #space: AddressSpace;
	#wasAlive = true;
	#lastLocked = 0;

	constructor(memories: RecordingMemories, space: AddressSpace) {
		this.id = memories.questions.add(this);
		this.#memories = memories;
		this.#space = space;
	}

	get name(): string {
		return this.#space.name;
	}

	get alive(): boolean {
		const is = this.#space.alive;
		if (is !== this.#wasAlive) this.#memories.questions.ask({ ask: "alive", memory: this.id, is });
		this.#wasAlive = is;
		return is;
	}

	get selfLocked(): number {
		const is = this.#space.selfLocked;
		if (is !== this.#lastLocked) this.#memories.questions.ask({ ask: "locked", memory: this.id, is });
		this.#lastLocked = is;
		return is;
	}

	read(address: number, into: Uint8Array): number {
		const done = this.#space.read(address, into);
		const { struct } = this.#memories.questions;
		if (struct.isIn(this) && struct.read(this.#space, address, into, done)) return done;
		const question = { ask: "read", memory: this.id, at: address, length: into.length } as const;
		this.#memories.questions.ask({ ...question, bytes: into.slice(0, done) });
		return done;
	}

	write(address: number, from: Uint8Array): number {
		const done = this.#space.write(address, from);
		const { struct } = this.#memories.questions;
		if (struct.isIn(this) && struct.write(this.#space, address, from, done)) return done;
		const question = { ask: "write", memory: this.id, at: address, bytes: from.slice() } as const;
		this.#memories.questions.ask(done < from.length ? { ...question, done } : question);
		return done;
	}

	resolve(first: number, count: number, writable: boolean, into: Extents): void {
		const { questions } = this.#memories;
		found.clear();
		try {
			this.#space.resolve(first, count, writable, found);
		} catch (error) {
			if (error instanceof Errno)
				questions.ask({ ask: "pages", memory: this.id, page: first, count, writable, is: failedOf(error) });
			throw error;
		}
		const is: Extent[] = [];
		for (let i = 0; i < found.length; i++) {
			const backing = this.#memories.backing(found.backing[i]);
			is.push([backing.id, found.page[i], found.count[i]]);
			into.add(backing, found.page[i], found.count[i]);
		}
		questions.ask({ ask: "pages", memory: this.id, page: first, count, writable, is });
	}
}

export class RecordingBacking implements Backing {
	readonly id: Name;
	readonly #questions: Questions;
	readonly #backing: Backing;

	constructor(questions: Questions, backing: Backing) {
		this.id = questions.add(this);
		this.#questions = questions;
		this.#backing = backing;
	}

	get name(): string {
		return this.#backing.name;
	}

	read(at: number, into: Uint8Array): number {
		const done = this.#backing.read(at, into);
		const question = { ask: "dma read", backing: this.id, at, length: into.length } as const;
		this.#questions.ask({ ...question, bytes: into.slice(0, done) });
		return done;
	}

	write(at: number, from: Uint8Array): number {
		const done = this.#backing.write(at, from);
		const question = { ask: "dma write", backing: this.id, at, bytes: from.slice() } as const;
		this.#questions.ask(done < from.length ? { ...question, done } : question);
		return done;
	}

	hold(): void {
		this.#backing.hold?.();
	}

	drop(): void {
		this.#backing.drop?.();
	}
}

export class RecordingOwner implements MemoryOwner {
	readonly id: Name;
	readonly #questions: Questions;
	readonly #owner: MemoryOwner;
	#lastUid: number | undefined;

	constructor(questions: Questions, owner: MemoryOwner) {
		this.id = questions.add(this);
		this.#questions = questions;
		this.#owner = owner;
	}

	get uid(): number {
		const is = this.#owner.uid;
		if (is !== this.#lastUid) this.#questions.ask({ ask: "uid", owner: this.id, is });
		this.#lastUid = is;
		return is;
	}

	memlockLimit(): number {
		const limit = this.#owner.memlockLimit();
		const is = limit === Number.POSITIVE_INFINITY ? null : limit;
		this.#questions.ask({ ask: "limit", owner: this.id, is });
		return limit;
	}
}
