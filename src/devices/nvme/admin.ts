// The admin command set.
// NVM Express Base Specification 1.4, 5 "Admin Command Set".

import { abort } from "./abort.js";
import { type Command, DataPointer, PENDING } from "./command.js";
import { type CommandTable, Effect } from "./command-table.js";
import type { Controller } from "./controller.js";
import { MOST_REQUESTS } from "./events.js";
import { getFeatures, setFeatures } from "./features.js";
import { formatNvm } from "./format.js";
import { identify } from "./identify.js";
import { getLogPage } from "./log-pages.js";
import { offsetIn } from "./prp.js";
import {
	createCompletionQueue,
	createSubmissionQueue,
	deleteCompletionQueue,
	deleteSubmissionQueue,
} from "./queue-commands.js";
import { Status } from "./status.js";

export const AdminOpcode = {
	DELETE_SUBMISSION_QUEUE: 0x00,
	CREATE_SUBMISSION_QUEUE: 0x01,
	GET_LOG_PAGE: 0x02,
	DELETE_COMPLETION_QUEUE: 0x04,
	CREATE_COMPLETION_QUEUE: 0x05,
	IDENTIFY: 0x06,
	ABORT: 0x08,
	SET_FEATURES: 0x09,
	GET_FEATURES: 0x0a,
	ASYNCHRONOUS_EVENT_REQUEST: 0x0c,
	DOORBELL_BUFFER_CONFIG: 0x7c,
	FORMAT_NVM: 0x80,
} as const;

const { SUPPORTED, CHANGES_CONTENT, CHANGES_NAMESPACES } = Effect;

export const ADMIN_COMMANDS: CommandTable = {
	[AdminOpcode.DELETE_SUBMISSION_QUEUE]: {
		name: "Delete I/O Submission Queue",
		run: deleteSubmissionQueue,
		effects: SUPPORTED,
	},
	[AdminOpcode.CREATE_SUBMISSION_QUEUE]: {
		name: "Create I/O Submission Queue",
		run: createSubmissionQueue,
		effects: SUPPORTED,
	},
	[AdminOpcode.GET_LOG_PAGE]: { name: "Get Log Page", run: getLogPage, effects: SUPPORTED },
	[AdminOpcode.DELETE_COMPLETION_QUEUE]: {
		name: "Delete I/O Completion Queue",
		run: deleteCompletionQueue,
		effects: SUPPORTED,
	},
	[AdminOpcode.CREATE_COMPLETION_QUEUE]: {
		name: "Create I/O Completion Queue",
		run: createCompletionQueue,
		effects: SUPPORTED,
	},
	[AdminOpcode.IDENTIFY]: { name: "Identify", run: identify, effects: SUPPORTED },
	[AdminOpcode.ABORT]: { name: "Abort", run: abort, effects: SUPPORTED },
	[AdminOpcode.SET_FEATURES]: { name: "Set Features", run: setFeatures, effects: SUPPORTED },
	[AdminOpcode.GET_FEATURES]: { name: "Get Features", run: getFeatures, effects: SUPPORTED },
	[AdminOpcode.ASYNCHRONOUS_EVENT_REQUEST]: {
		name: "Asynchronous Event Request",
		run: requestEvent,
		effects: SUPPORTED,
	},
	[AdminOpcode.DOORBELL_BUFFER_CONFIG]: { name: "Doorbell Buffer Config", run: configureDoorbells, effects: SUPPORTED },
	[AdminOpcode.FORMAT_NVM]: {
		name: "Format NVM",
		run: formatNvm,
		effects: SUPPORTED | CHANGES_CONTENT | CHANGES_NAMESPACES,
	},
};

/** It completes when something happens. */
function requestEvent({ events }: Controller, command: Command): number {
	if (events.request(command.id)) return PENDING;
	return command.fail(Status.ASYNC_EVENT_LIMIT_EXCEEDED, `${MOST_REQUESTS} requests wait already`);
}

function configureDoorbells({ doorbells, transfer: { pageSize } }: Controller, command: Command): number {
	for (const dword of [DataPointer.PRP1, DataPointer.PRP2])
		if (offsetIn(pageSize, command.page(dword), command.offset(dword)) !== 0)
			return command.invalidField(`a doorbell buffer doesn't begin at the start of a page of ${pageSize} bytes`, dword);
	doorbells.useShadow(command.page(DataPointer.PRP1), command.page(DataPointer.PRP2));
	return Status.SUCCESS;
}
