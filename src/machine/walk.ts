// The answer to "how is this IOVA translated?", by all page tables that a machine has at the moment, or some of them.

import { NO_PASID, type Pasid } from "../iommu/core/pasid.js";
import { TwoStageDomain } from "../iommu/translation/two-stage-domain.js";
import { BoundDevice } from "../iommufd/device.js";
import type { Hwpt } from "../iommufd/hwpt.js";
import { type HwptUser, type HwptWalk, usersOf, walkHwpt } from "../iommufd/hwpt-walk.js";
import { PhysicalMemory } from "../memory/physical-memory.js";
import type { Machine } from "./machine.js";
import { NothingToShow } from "./nothing-to-show.js";

export interface WalkQuestion {
	readonly iovas: readonly bigint[];
	/** The HWPT with this id; there may be one in each open of /dev/iommu. */
	readonly hwpt?: number | undefined;
	/** What this device is attached to: "vfio0", "0000:00:02.0". */
	readonly device?: string | undefined;
	/** Of that device's requests. */
	readonly pasid?: Pasid | undefined;
}

/**
 * @param missing what it means where a guest's memory can't be read; by default that it isn't there
 * @throws NothingToShow
 */
export function walkMachine(machine: Machine, question: WalkQuestion, missing?: string): HwptWalk[] {
	const memory = new PhysicalMemory(machine.frames);
	const targets = question.device === undefined ? byHwpt(machine, question.hwpt) : [byDevice(machine, question)];
	return question.iovas.flatMap((iova) => targets.map(({ hwpt, user }) => walkHwpt(hwpt, iova, memory, user, missing)));
}

interface Target {
	readonly hwpt: Hwpt;
	readonly user: HwptUser | undefined;
}

function byHwpt(machine: Machine, id: number | undefined): Target[] {
	const all = [...machine.hwpts()];
	if (all.length === 0) {
		const advice = machine.hasContainerDomains
			? [
					'a container of VFIO\'s own has page tables that aren\'t walked: they are with "container": "iommufd" in the machine file',
				]
			: [];
		throw new NothingToShow("there is no page table (HWPT) at the moment", ...advice);
	}
	const found = all.filter(({ hwpt }) => id === undefined || hwpt.id === id);
	if (found.length === 0) {
		const others = all.map(({ hwpt }) => `${hwpt.id} (${hwpt.domain.driver.name})`).join(", ");
		throw new NothingToShow(`there is no HWPT ${id} at the moment`, `the HWPTs are: ${others}`);
	}
	return found.flatMap(({ context, hwpt }): Target[] => {
		// A first stage is found by the device; for all others it makes no difference.
		const users = hwpt === hwpt.paging ? [] : usersOf(context, hwpt);
		return users.length === 0 ? [{ hwpt, user: undefined }] : users.map((user) => ({ hwpt, user }));
	});
}

function byDevice(machine: Machine, { device: name, hwpt: id, pasid = NO_PASID }: WalkQuestion): Target {
	const device = boundDevice(machine, name!);
	const { attachments } = device.group;
	const base = attachments.get(NO_PASID)?.hwpt;
	const bringsPasids = base?.domain instanceof TwoStageDomain && base.domain.bringsPasids;
	const hwpt = attachments.get(pasid)?.hwpt ?? (bringsPasids ? base : undefined);
	const whose = pasid === NO_PASID ? name : `PASID ${pasid} of ${name}`;
	if (hwpt === undefined) throw new NothingToShow(`${whose} is attached to no page table (HWPT) at the moment`);
	if (id !== undefined && hwpt.id !== id)
		throw new NothingToShow(
			`${whose} is attached to ${hwpt}, not to HWPT ${id}`,
			"leave one of --hwpt and --device out",
		);
	return { hwpt, user: { device, pasid } };
}

function boundDevice(machine: Machine, name: string): BoundDevice {
	const known = machine.vfioDevices.find(({ cdevName }) => cdevName === name)?.name ?? name;
	const bound: BoundDevice[] = [];
	for (const context of machine.contexts())
		for (const object of context.objects) if (object instanceof BoundDevice) bound.push(object);
	const found = bound.find(({ device }) => device.name === known);
	if (found !== undefined) return found;
	if (bound.length === 0) throw new NothingToShow("no device is bound at the moment");
	const others = bound.map(({ device }) => nameOf(machine, device.name)).join(", ");
	throw new NothingToShow(`${name} is no device that is bound at the moment`, `those that are: ${others}`);
}

/** "vfio0 (0000:00:02.0)" */
function nameOf(machine: Machine, name: string): string {
	const vfio = machine.vfioDevices.find((device) => device.name === name);
	return vfio === undefined ? name : `${vfio.cdevName} (${name})`;
}
