// The devices and groups that VFIO has at the moment, by their numbers: vfio_register_group_dev() and what undoes it.
// drivers/vfio/vfio_main.c and group.c.

import { whenFree } from "../uapi/turns.js";
import type { VfioDevice } from "./device.js";
import { VfioGroup } from "./group.js";

export class VfioRegistry {
	/** By index, the N of vfioN; undefined is one that is free. */
	readonly #devices: (VfioDevice | undefined)[] = [];
	/** By minor. */
	readonly #groups: (VfioGroup | undefined)[] = [];
	/** There are others now. */
	onChange: () => void = () => {};

	/** Those that can be opened, by index. */
	get devices(): readonly VfioDevice[] {
		return this.#devices.filter((device) => device !== undefined).filter((device) => device.isRegistered);
	}

	/** By minor, with it. */
	get groups(): readonly (readonly [minor: number, group: VfioGroup])[] {
		return this.#groups.flatMap((group, minor) => (group === undefined ? [] : [[minor, group] as const]));
	}

	/** VFIO has a device from now on: it gets the lowest index that is free, and its group's file if it is the first of its group. */
	register(device: VfioDevice): void {
		const index = place(this.#devices, device);
		device.cdevName = `${device.device.hasIommu ? "" : "noiommu-"}vfio${index}`;
		this.#groupOf(device).add(device);
		this.onChange();
	}

	/**
	 * Takes a device away. Nobody can open it any more; while a program has it, it is asked to give it back, and keeps it.
	 * @param whenGone is called when nobody has it
	 */
	unregister(device: VfioDevice, whenGone: () => void): void {
		const { group } = device;
		group?.hide(device);
		const leave = (): void => {
			this.#devices[this.#devices.indexOf(device)] = undefined;
			if (group?.remove(device)) this.#groups[this.#groups.indexOf(group)] = undefined;
			this.onChange();
			whenGone();
		};
		const needed = [() => group?.turn, () => group?.container?.turn, () => group?.iommufd?.turn];
		device.takeBack(() => whenFree(needed, leave));
		this.onChange();
	}

	#groupOf({ device: { group } }: VfioDevice): VfioGroup {
		const known = this.#groups.find((one) => one?.iommuGroup === group);
		if (known !== undefined) return known;
		const made = new VfioGroup(group);
		place(this.#groups, made);
		return made;
	}
}

/** Puts something at the lowest place that is free. @returns which that is */
function place<T>(into: (T | undefined)[], what: T): number {
	const free = into.indexOf(undefined);
	const at = free === -1 ? into.length : free;
	into[at] = what;
	return at;
}
