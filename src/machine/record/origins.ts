// Which earlier calls of a recording have made the objects of an iommufd, and which have destroyed those that are gone.

import type { Context } from "../../iommufd/context.js";
import { inputsOf, outputsOf } from "../../trace/print.js";
import { contextOf } from "../call-state.js";
import { eventOf } from "./call-event.js";
import type { RecordedRun } from "./recorded-run.js";
import type { Recording } from "./recording.js";

/** Fields in which a call says what it has made. */
const MADE = /^out_.*id$/;

export class Origins {
	readonly #made = new Map<number, number>();
	readonly #destroyed = new Map<number, number>();

	/**
	 * Looks through the calls before one, the newest first: what it finds first is how things are.
	 * @param run stands before the call; calls on files that it has no longer open count as none
	 */
	constructor(recording: Recording, run: RecordedRun, call: number, context: Context) {
		for (let earlier = call - 1; earlier > 0; earlier--) {
			const entry = recording.at(recording.indexOfCall(earlier));
			if (entry.kind !== "ioctl" || typeof entry.answer !== "number") continue;
			if (contextOf(run.fileOf(entry.file)) !== context) continue;
			const event = eventOf(entry, run.pathOf(entry.file), entry.answer, entry.out);
			for (const { field, value } of outputsOf(event))
				if (MADE.test(field.cName) && typeof value === "number" && !this.#made.has(value))
					this.#made.set(value, earlier);
			if (event.command?.name !== "IOMMU_DESTROY") continue;
			for (const { field, value } of inputsOf(event))
				if (field.cName === "id" && typeof value === "number" && !this.#made.has(value) && !this.#destroyed.has(value))
					this.#destroyed.set(value, earlier);
		}
	}

	/** The call that has made an object that is there; undefined for one that came by itself, as by an attach. */
	madeBy(id: number): number | undefined {
		return this.#made.get(id);
	}

	/** The call that has destroyed one that isn't there; undefined where there never was one, or that went otherwise. */
	destroyedBy(id: number): number | undefined {
		return this.#destroyed.get(id);
	}
}
