// All that an iommufd has at a moment, as plain values, so that a test can tell whether a call has changed anything.

import { NO_PASID } from "../iommu/core/pasid.js";
import type { Frames } from "../memory/frames.js";
import type { TestClient } from "./client.testing.js";
import type { Context } from "./context.js";
import { BoundDevice } from "./device.js";
import { EventQueue } from "./eventq.js";
import { NestedHwpt, PagingHwpt } from "./hwpt.js";
import type { Area } from "./io-pagetable/area.js";
import type { IoPagetable } from "./io-pagetable/io-pagetable.js";
import { Ioas } from "./ioas.js";
import { Viommu } from "./viommu.js";

/**
 * What a client has, the memory that it has pinned included.
 * @param frames the machine's, if it isn't the client's own
 */
export function stateOf(client: TestClient, frames = client.platform.frames): object {
	const { context } = client.fd;
	const { memlock } = client.platform;
	return {
		objects: [...context.objects].map((object) => ({
			name: `${object}`,
			users: object.users,
			...partsOf(object, frames),
		})),
		idsInUse: context.objects.size,
		groups: groupsOf(context),
		hasHolders: context.hasHolders,
		files: [...client.files.keys()],
		pinned: frames.pinned,
		blocks: frames.blocks,
		counted: [
			memlock.counted("user", client.owner, client.memory),
			memlock.counted("mm", client.owner, client.memory),
			memlock.shown(client.memory),
		],
	};
}

function partsOf(object: object, frames: Frames): object {
	if (object instanceof Ioas) return { ...mapOf(object.map), hwpts: object.hwpts.map((hwpt) => hwpt.id) };
	if (object instanceof PagingHwpt) return pagingOf(object, frames);
	if (object instanceof NestedHwpt) return { parent: object.parent.id, fault: object.faultQueue?.id };
	if (object instanceof Viommu)
		return {
			vdevices: [...object.vdevices].map(([number, vdevice]) => [number, vdevice.id]),
			queues: [...object.eventQueues].map(([type, queue]) => [type, queue.id]),
			hwQueues: [...object.hwQueues.values()].map((queue) => queue.id),
		};
	if (object instanceof EventQueue) return { readable: object.readable };
	if (object instanceof BoundDevice)
		return {
			vdevice: object.vdevice?.id,
			faults: object.device.unfinishedFaults?.length,
			attached: object.device.group.attachment(NO_PASID)?.domain.type,
		};
	return {};
}

function mapOf(map: IoPagetable): object {
	return {
		areas: [...map.areas].map((area) => areaOf(area, map)),
		usable: [...map.ranges.usable()],
		allowed: map.ranges.allowedIn(0n, (1n << 64n) - 1n),
		domains: map.domains.length,
		accesses: map.accesses.length,
		alignment: map.alignment,
		largePagesDisabled: map.largePagesDisabled,
	};
}

function areaOf(area: Area, { uses }: IoPagetable): object {
	const { first, last, pages, index, pageOffset, protection } = area;
	const memory = { start: pages.start, pinned: pages.pinned, accounted: pages.accounted, mode: pages.accountMode };
	return { first, last, index, pageOffset, protection, ...uses.of(area), memory };
}

/** The frames by what they hold: which frame a page gets may depend on what was tried before. */
function pagingOf({ domain, isAutomatic, faultQueue, ioas }: PagingHwpt, frames: Frames): object {
	if (!domain.isFinished) return { isAutomatic, ioas: ioas.id };
	const { table } = domain;
	const perPage = 2 ** (12 - table.format.granuleLg2);
	const leaves = [...table.entries()].map(({ va, frame, frames: count }) => {
		const location = frames.locate(Math.floor(frame / perPage));
		return [va, count, location?.backing.name, location?.page, frame % perPage];
	});
	return { leaves, isAutomatic, fault: faultQueue?.id, ioas: ioas.id, dirty: domain.dirtyTracking?.enabled };
}

/** But for where a software MSI goes: like Linux, a group remembers that when it is no longer attached. */
function groupsOf(context: Context): object[] {
	return [...context.groups.values()].map(({ group, bound, attachments }) => ({
		id: group.id,
		bound,
		attachments: [...attachments].map(([pasid, { hwpt, devices }]) => ({
			pasid,
			hwpt: hwpt.id,
			devices: [...devices].map((device) => device.id),
			isAttached: group.attachment(pasid)?.domain === hwpt.domain,
		})),
	}));
}
