// What the controller keeps account of: Get Log Page.
// NVM Express Base Specification 1.4, 5.14 "Get Log Page command".

import type { Command } from "./command.js";
import type { Controller } from "./controller.js";
import { EventType } from "./events.js";
import { ALL_NAMESPACES } from "./namespaces.js";
import { Status } from "./status.js";
import { Structure } from "./structure.js";
import { MAX_TRANSFER } from "./transfer.js";

/** Log Page Identifiers. */
export const LogPage = {
	ERROR_INFORMATION: 0x01,
	HEALTH: 0x02,
	FIRMWARE_SLOT: 0x03,
	CHANGED_NAMESPACES: 0x04,
	COMMANDS_SUPPORTED: 0x05,
} as const;

/** Firmware Revision, of the one slot that there is. */
export const FIRMWARE_REVISION = "1.0";

export const FirmwareSlotLog = new Structure(512, {
	/** Active Firmware Info: the slot in bits 2:0. */
	activeFirmwareInfo: [0, 1],
	firmwareRevisionForSlot1: [8, 8],
});

/** Commands Supported and Effects: a dword for each admin command, then for each I/O command. */
export const EFFECTS_LOG_SIZE = 4096;
const CHANGED_NAMESPACES_SIZE = 4096;

/** Retain Asynchronous Event. */
const RETAIN_EVENT = 1 << 15;

export function getLogPage(controller: Controller, command: Command): number {
	const id = command.dword(10) & 0xff;
	const dwords = (command.dword(10) >>> 16) + (command.dword(11) & 0xffff) * 65536 + 1;
	const length = 4 * dwords;
	const offset = command.quad(12);
	const page = pageOf(controller, id);
	if (page === undefined) return command.fail(Status.INVALID_LOG_PAGE, `log page 0x${id.toString(16)} isn't there`, 10);
	if (id === LogPage.HEALTH && command.namespaceId !== 0 && command.namespaceId !== ALL_NAMESPACES)
		return command.invalidField(`health is asked of namespace ${command.namespaceId}: it is the controller's`, 1);
	if (length > MAX_TRANSFER)
		return command.invalidField(`${length} bytes are asked for: at most ${MAX_TRANSFER} are transferred`, 10, 16);
	if (offset % 4 !== 0) return command.invalidField(`the log page is read from byte ${offset} on: not a dword`, 12);
	if (offset > page.length)
		return command.invalidField(`the log page is read from byte ${offset} on: it has ${page.length}`, 12);
	const bytes = controller.transfer.bytes(length).fill(0);
	bytes.set(page.subarray(offset, offset + length));
	const status = controller.transfer.toHost(command, length);
	if (status === Status.SUCCESS && !(command.dword(10) & RETAIN_EVENT)) acknowledge(controller, id);
	return status;
}

function pageOf(controller: Controller, id: number): Uint8Array | undefined {
	switch (id) {
		case LogPage.ERROR_INFORMATION:
			return controller.errorLog.bytes();
		case LogPage.HEALTH:
			return controller.health.bytes(
				controller.features.criticalWarning,
				controller.errorLog.count,
				controller.clock(),
			);
		case LogPage.FIRMWARE_SLOT:
			return FirmwareSlotLog.bytes({ activeFirmwareInfo: 1, firmwareRevisionForSlot1: FIRMWARE_REVISION });
		case LogPage.CHANGED_NAMESPACES:
			return changedNamespaces(controller);
		case LogPage.COMMANDS_SUPPORTED:
			return controller.commandEffects();
		default:
			return undefined;
	}
}

function changedNamespaces({ namespaces }: Controller): Uint8Array {
	const bytes = new Uint8Array(CHANGED_NAMESPACES_SIZE);
	const view = new DataView(bytes.buffer);
	for (const [index, id] of [...namespaces.changed].sort((a, b) => a - b).entries())
		view.setUint32(4 * index, id, true);
	return bytes;
}

/** The host knows now, and wants to hear of what happens from here on. */
function acknowledge({ events, namespaces }: Controller, id: number): void {
	if (id === LogPage.ERROR_INFORMATION) events.acknowledge(EventType.ERROR);
	else if (id === LogPage.HEALTH) events.acknowledge(EventType.HEALTH);
	else if (id === LogPage.CHANGED_NAMESPACES) {
		namespaces.changed.clear();
		events.acknowledge(EventType.NOTICE);
	}
}
