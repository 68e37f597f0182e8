// How a HWPT translates an IOVA, level by level: for people who want to see page tables at work.

import { type Pasid, withPasid } from "../iommu/core/pasid.js";
import { refuseInterrupts } from "../iommu/dma/interrupt-ranges.js";
import { DmaFault } from "../iommu/translation/dma-fault.js";
import {
	type FirstStageWalk,
	type GuestStep,
	type TableWalk,
	walkFirstStage,
	walkTable,
} from "../iommu/translation/explain.js";
import type { PhysicalMemory } from "../memory/physical-memory.js";
import { permissionInWords } from "../pagetable/explain.js";
import type { WalkStep } from "../pagetable/pagetable.js";
import { hex } from "../uapi/errno.js";
import type { Context } from "./context.js";
import { BoundDevice } from "./device.js";
import { type Hwpt, NestedHwpt } from "./hwpt.js";

/** Who makes requests that go through a HWPT. */
export interface HwptUser {
	readonly device: BoundDevice;
	readonly pasid: Pasid;
}

export interface HwptWalk {
	readonly hwpt: Hwpt;
	readonly iova: bigint;
	/** The device whose requests these are. The IOMMU finds a first stage by the device's entry. */
	readonly user: HwptUser | undefined;
	/** Why the IOMMU looks at no table at all. */
	readonly refusal: string | undefined;
	/** Of a nested HWPT. */
	readonly firstStage: FirstStageWalk | undefined;
	/** The HWPT's own table, or its parent's for what comes out of the first stage; undefined where nothing does. */
	readonly table: TableWalk | undefined;
}

/** Who is attached to a HWPT. */
export function usersOf(context: Context, hwpt: Hwpt): HwptUser[] {
	const users: HwptUser[] = [];
	for (const device of context.objects) {
		if (!(device instanceof BoundDevice)) continue;
		for (const [pasid, attachment] of device.group.attachments)
			if (attachment.hwpt === hwpt && attachment.devices.has(device)) users.push({ device, pasid });
	}
	return users;
}

/**
 * @param user needed for a nested HWPT
 * @param missing what it means where a guest's memory can't be read; by default that it isn't there
 */
export function walkHwpt(
	hwpt: Hwpt,
	iova: bigint,
	memory: PhysicalMemory,
	user?: HwptUser,
	missing?: string,
): HwptWalk {
	const walk = { hwpt, iova, user, refusal: undefined, firstStage: undefined, table: undefined };
	const request = user && { device: user.device.device, pasid: user.pasid, iova, write: false };
	if (request !== undefined) {
		try {
			refuseInterrupts(request);
		} catch (fault) {
			if (!(fault instanceof DmaFault)) throw fault;
			return { ...walk, refusal: fault.reason };
		}
	}
	if (!(hwpt instanceof NestedHwpt)) return { ...walk, table: walkTable(hwpt.paging.domain, iova) };
	if (request === undefined)
		return { ...walk, refusal: `${hwpt} is attached to no device, and the IOMMU finds a first stage by its device` };
	const firstStage = walkFirstStage(hwpt.domain, request, memory, missing);
	const { output } = firstStage;
	return { ...walk, firstStage, table: output === undefined ? undefined : walkTable(hwpt.parent.domain, output) };
}

/** Whether it leads anywhere. */
export function translates({ table }: HwptWalk): boolean {
	return table?.physical !== undefined;
}

/** "IOVA 0x5000 in HWPT 4 (intel-vtd, nested on HWPT 3), for 0000:00:02.0" */
export function walkHead({ hwpt, iova, user }: HwptWalk): string {
	const nested = hwpt instanceof NestedHwpt ? `, nested on ${hwpt.parent}` : "";
	const who = user === undefined ? "" : `, for ${userInWords(user)}`;
	return `IOVA ${hex(iova)} in ${hwpt} (${hwpt.domain.driver.name}${nested})${who}`;
}

/** A line for each table on the way, or one that says why there is none. */
export function walkInWords({ hwpt, refusal, firstStage, table }: HwptWalk): string[] {
	if (refusal !== undefined) return [refusal];
	if (firstStage === undefined) return table === undefined ? [] : tableInWords(table);
	const lines = [
		`first stage: ${firstStage.tables ?? (firstStage.isBypassed ? "the guest has it bypassed" : "not found")}`,
	];
	for (const step of firstStage.steps) {
		lines.push(`  ${guestStepInWords(step)}`);
		lines.push(`    ${hex(step.address)} is physical ${hex(step.physical)} by the second stage`);
	}
	if (firstStage.fault !== undefined) lines.push(`fault: ${firstStage.fault}`);
	if (firstStage.cached !== undefined)
		lines.push(`but ${firstStage.cached}: a DMA goes by that until it is invalidated`);
	if (table === undefined) return lines;
	lines.push(`second stage: guest-physical ${hex(table.address)} in ${hwpt.paging}`);
	lines.push(...tableInWords(table).map((line) => `  ${line}`));
	if (table.physical !== undefined)
		lines.push(`physical ${hex(table.physical)}, ${permissionInWords(firstStage.protection & table.protection)}`);
	return lines;
}

/** What it is that walkInWords() says, for programs. */
export function walkAsJson({ hwpt, iova, user, refusal, firstStage, table }: HwptWalk): object {
	return {
		iova: hex(iova),
		hwpt: hwpt.id,
		kind: hwpt.kind,
		driver: hwpt.domain.driver.name,
		parent: hwpt instanceof NestedHwpt ? hwpt.parent.id : undefined,
		device: user?.device.device.name,
		pasid: user?.pasid,
		fault: refusal ?? firstStage?.fault ?? table?.fault,
		firstStage: firstStage && {
			tables: firstStage.tables,
			bypassed: firstStage.isBypassed,
			steps: firstStage.steps.map(guestStepAsJson),
			output: firstStage.output === undefined ? undefined : hex(firstStage.output),
			cached: firstStage.cached,
		},
		table: table && {
			address: hex(table.address),
			steps: table.steps.map(stepAsJson),
			physical: table.physical === undefined ? undefined : hex(table.physical),
			access:
				table.physical === undefined ? undefined : permissionInWords(table.protection & (firstStage?.protection ?? -1)),
		},
	};
}

/** "0000:00:02.0 with PASID 3" */
function userInWords({ device, pasid }: HwptUser): string {
	return `${device.device.name}${withPasid(pasid)}`;
}

function tableInWords({ steps, fault }: TableWalk): string[] {
	// Where there are steps, the last of them says it.
	if (steps.length === 0 && fault !== undefined) return [fault];
	return steps.map(
		({ name, index, tableAddress, entry, meaning }) =>
			`${name} ${index} of the table at ${hex(tableAddress)} is ${hex(entry)}: ${meaning}`,
	);
}

function guestStepInWords({ name, address, words, meaning }: GuestStep): string {
	const value = `${name} at guest-physical ${hex(address)} is ${words.map(hex).join(", ")}`;
	return meaning === undefined ? value : `${value}: ${meaning}`;
}

function guestStepAsJson({ name, address, physical, words, meaning }: GuestStep): object {
	return { name, address: hex(address), physical: hex(physical), words: words.map(hex), meaning };
}

function stepAsJson({ level, name, index, tableAddress, entry, meaning }: WalkStep): object {
	return { level, name, index, table: hex(tableAddress), entry: hex(entry), meaning };
}
