// NVM Express Base Specification 1.4, 5.23 "Format NVM command".

import type { Command } from "./command.js";
import { PENDING } from "./command.js";
import type { Controller } from "./controller.js";
import { LBA_SHIFTS } from "./namespace.js";
import { ALL_NAMESPACES } from "./namespaces.js";
import { Status } from "./status.js";

/** Secure Erase Settings. Without it, too, all is zero afterwards. */
const USER_DATA_ERASE = 1;

export function formatNvm(controller: Controller, command: Command): number {
	const { namespaces, operations } = controller;
	const settings = command.dword(10);
	const format = settings & 15;
	const protection = (settings >>> 5) & 7;
	const erase = (settings >>> 9) & 7;
	const chosen =
		command.namespaceId === ALL_NAMESPACES
			? namespaces.all
			: namespaces.all.filter(({ id }) => id === command.namespaceId);
	if (chosen.length === 0) return namespaces.missing(command);
	if (format >= LBA_SHIFTS.length)
		return command.fail(Status.INVALID_FORMAT, `LBA format ${format}: there are 0 (512 bytes) and 1 (4096)`, 10);
	if (settings & (1 << 4) || protection !== 0)
		return command.fail(
			Status.INVALID_FORMAT,
			"metadata or protection information is asked for: no format has any",
			10,
			4,
		);
	if (erase > USER_DATA_ERASE)
		return command.invalidField(`secure erase ${erase}: none (0) and of user data (1) are served`, 10, 9);
	const busy = chosen.find(({ isFormatting }) => isFormatting);
	if (busy !== undefined)
		return command.fail(Status.FORMAT_IN_PROGRESS, `namespace ${busy.id} is being formatted already`);
	const readOnly = chosen.find(({ store }) => store.isReadOnly);
	if (readOnly !== undefined)
		return command.fail(Status.NAMESPACE_WRITE_PROTECTED, `namespace ${readOnly.id} is read-only`, 1);
	const status = operations.start({
		kind: "format",
		submissionId: command.queue.id,
		commandId: command.id,
		rest: chosen.map(({ id, blocks }) => ({ namespaceId: id, ranges: [[0, blocks]] })),
		format,
	});
	return status === Status.SUCCESS || status === PENDING ? status : command.fail(status, operations.reason);
}
