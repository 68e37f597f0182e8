// NVM Express Base Specification 1.4, 5.1 "Abort command". Commands are done in the order in which they are fetched, so what can be aborted
// is what waits: requests for events, and what takes many turns.

import type { Command } from "./command.js";
import type { Controller } from "./controller.js";
import { Status } from "./status.js";

/** Abort Command Limit. Each is done before the next one is fetched. */
export const MOST_ABORTS = 4;

/** Dword 0 of the completion. */
const NOT_ABORTED = 1;
const ADMIN = 0;

export function abort(controller: Controller, command: Command): number {
	const submissionId = command.dword(10) & 0xffff;
	const commandId = command.dword(10) >>> 16;
	const { events, operations } = controller;
	const operation = operations.find(submissionId, commandId);
	const reason = `Abort command ${command.id} asks for it`;
	if (operation !== undefined) operations.abort(operation, Status.ABORT_REQUESTED, reason);
	else if (submissionId === ADMIN && events.withdraw(commandId))
		controller.completeLater(ADMIN, commandId, Status.ABORT_REQUESTED, 0, reason);
	else command.result = NOT_ABORTED;
	return Status.SUCCESS;
}
