// The objects of a context, by number. drivers/iommu/iommufd/main.c.

import { allocation, iommufdFails } from "../faults/faults.js";
import { MemoryBudget, type Share } from "../faults/memory-budget.js";
import { Errno } from "../uapi/errno.js";
import { worked } from "../uapi/slices.js";

/** What an id can name. enum iommufd_object_type */
export type ObjectKind =
	| "IOAS"
	| "HWPT_PAGING"
	| "HWPT_NESTED"
	| "DEVICE"
	| "ACCESS"
	| "FAULT"
	| "VIOMMU"
	| "VDEVICE"
	| "VEVENTQ"
	| "HW_QUEUE"
	| "SELFTEST";

export abstract class IommufdObject {
	abstract readonly kind: ObjectKind;
	readonly id: number;
	/** Who needs it: the table itself, and every object and driver that holds on to it. Destroyed at one. */
	users = 1;

	constructor(id: number) {
		this.id = id;
	}

	/** Gives back what the object holds. It is out of the table by then, and nobody uses it. */
	abstract destroy(): void;

	/** The driver that made the object is done with it: has objects of user space that depend on it go first. */
	preDestroy?(): void;

	/** The objects that it needs: none of them can be destroyed before it. */
	uses(): readonly IommufdObject[] {
		return [];
	}

	/** What else than an object of the table keeps it from being destroyed, in words. */
	keptBy(): readonly string[] {
		return [];
	}

	/** For a reason: "IOAS 1". */
	toString(): string {
		return `${this.kind} ${this.id}`;
	}
}

/** A class of objects, for lookups by class. */
// biome-ignore lint/suspicious/noExplicitAny: the constructor's arguments are nobody's business here
export type ObjectClass<T extends IommufdObject> = abstract new (...args: any[]) => T;

/** Ids go up to here: they are 31 bits wide. */
const LAST_ID = 0x7fffffff;

/** What an object takes at most, in bytes, with what belongs to it: a domain, queues, what a driver keeps of it. */
const OBJECT_BYTES: { readonly [kind in ObjectKind]: number } = {
	IOAS: 1024,
	HWPT_PAGING: 8192,
	HWPT_NESTED: 2048,
	DEVICE: 2048,
	ACCESS: 1024,
	FAULT: 1024,
	VIOMMU: 2048,
	VDEVICE: 1024,
	VEVENTQ: 1024,
	HW_QUEUE: 1024,
	SELFTEST: 2048,
};

/** In the reason of an EBUSY. */
const MOST_USERS_NAMED = 4;

export class ObjectTable {
	readonly #budget: Share;
	/** By id; `null` is an id that is taken by something that is not finished yet, or no longer there. */
	readonly #slots: (IommufdObject | null | undefined)[] = [undefined];
	/** No id below this is free. */
	#lowestFree = 1;
	#size = 0;

	/** By id, for which kind it is charged. */
	readonly #kinds: ObjectKind[] = [];

	/** @param budget what the objects are charged to */
	constructor(budget: Share = new MemoryBudget().objects) {
		this.#budget = budget;
	}

	/** Ids in use. */
	get size(): number {
		return this.#size;
	}

	/**
	 * Takes the lowest free id. Nothing can be found there before install().
	 * @param what for whom it is
	 * @throws ENOMEM when all ids are taken, or there is no memory for such an object
	 */
	reserve(what: ObjectKind): number {
		allocation(what);
		let id = this.#lowestFree;
		while (id < this.#slots.length && this.#slots[id] !== undefined) id++;
		if (id > LAST_ID) throw new Errno("ENOMEM", "all object ids of this context are taken", "ids-exhausted");
		this.#budget.charge(OBJECT_BYTES[what]);
		this.#kinds[id] = what;
		this.#slots[id] = null;
		this.#lowestFree = id + 1;
		this.#size++;
		return id;
	}

	/** Gives back an id that was reserved, for an object that was never installed. */
	cancel(id: number): void {
		this.#budget.uncharge(OBJECT_BYTES[this.#kinds[id]]);
		this.#slots[id] = undefined;
		this.#lowestFree = Math.min(this.#lowestFree, id);
		this.#size--;
		while (this.#slots.length > 1 && this.#slots.at(-1) === undefined) this.#slots.pop();
	}

	/** From now on the object can be found, and destroyed. Nothing of its making can fail any more. */
	install(object: IommufdObject): void {
		this.#slots[object.id] = object;
	}

	/** The finished object of that id. */
	find(id: number): IommufdObject | undefined {
		return this.#slots[id] ?? undefined;
	}

	/** @throws ENOENT when there is no object of that id */
	any(id: number, field: string): IommufdObject {
		if (iommufdFails("finding an object")) throw lost(id, field);
		return this.existing(id, field);
	}

	/** The same for who is about to destroy it. @throws ENOENT when there is no object of that id */
	existing(id: number, field: string): IommufdObject {
		const object = this.#slots[id];
		if (!object) throw absent(id, field);
		return object;
	}

	/**
	 * @param field the argument that has the id, for the reason
	 * @throws ENOENT when there is no object of that id, or it is of another class
	 */
	get<T extends IommufdObject>(id: number, type: ObjectClass<T>, field: string): T {
		if (iommufdFails("finding an object")) throw lost(id, field);
		const object = this.#slots[id];
		if (object instanceof type) return object;
		throw object
			? new Errno("ENOENT", `${field} is ${id}, and object ${id} is of another kind: ${object.kind}`, "object-kind")
			: absent(id, field);
	}

	/**
	 * Destroys an object that only the table uses.
	 * @throws EBUSY when something else uses it
	 */
	remove(object: IommufdObject): void {
		if (object.users !== 1 && object.kind === "DEVICE")
			throw new Errno("EBUSY", `${object} is there as long as a driver has it: its file is open`, "bound-device");
		if (object.users !== 1)
			throw new Errno("EBUSY", `${object} is in use by ${this.#usersInWords(object)}`, "object-in-use");
		this.cancel(object.id);
		object.destroy();
	}

	/** Who keeps an object from being destroyed: the first few, by name. */
	#usersInWords(object: IommufdObject): string {
		const users = [...this].filter((other) => other.uses().includes(object)).map(String);
		users.push(...object.keptBy());
		if (users.length === 0) return "the kernel itself";
		const more = users.length - MOST_USERS_NAMED;
		return more > 0 ? `${users.slice(0, MOST_USERS_NAMED).join(", ")} and ${more} more` : users.join(" and ");
	}

	/** Drops one use, and destroys the object when that was the last one. For objects that nobody asked for by name. */
	putAndTryDestroy(object: IommufdObject): void {
		object.users--;
		if (object.users === 1) this.remove(object);
	}

	/** Destroys an object that the caller uses, and is done with; so nobody else uses it, or is made to let go. */
	destroyUser(object: IommufdObject): void {
		object.preDestroy?.();
		this.putAndTryDestroy(object);
	}

	/** The same, but the id stays taken: user space still has it, and would mean this object by it and not another. */
	tombstoneUser(object: IommufdObject): void {
		object.preDestroy?.();
		object.users--;
		if (object.users !== 1) return;
		this.#slots[object.id] = null;
		object.destroy();
	}

	/** Destroys everything, users before what they use, lowest id first. */
	removeAll(): void {
		for (let destroyed = true; destroyed; ) {
			destroyed = false;
			for (let id = 1; id < this.#slots.length; id++) {
				const object = this.#slots[id];
				if (object?.users !== 1) continue;
				this.remove(object);
				destroyed = true;
				worked(100);
			}
		}
		for (let id = this.#slots.length - 1; id > 0; id--) if (this.#slots[id] === null) this.cancel(id);
	}

	/** The finished objects, by id. */
	*[Symbol.iterator](): Iterator<IommufdObject> {
		for (const object of this.#slots) if (object) yield object;
	}
}

function lost(id: number, field: string): Errno {
	return new Errno("ENOENT", `fault injection: ${field} is ${id}, and the object is not found`);
}

function absent(id: number, field: string): Errno {
	return new Errno("ENOENT", `${field} is ${id}, and there is no object ${id}`, "no-object");
}
