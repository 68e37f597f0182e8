// The Error Information log: the last commands that failed, and doorbells that made no sense.
// NVM Express Base Specification 1.4, 5.14.1.1 "Error Information (Log Identifier 01h)".

import { NO_LOCATION } from "./command.js";
import { Structure } from "./structure.js";

/** Error Log Page Entries. */
export const ERROR_LOG_ENTRIES = 64;

export const ErrorEntry = new Structure(64, {
	errorCount: [0, 8],
	submissionQueueId: [8, 2],
	commandId: [10, 2],
	statusField: [12, 2],
	parameterErrorLocation: [14, 2],
	lba: [16, 8],
	namespace: [24, 4],
	vendorSpecific: [28, 1],
	transportType: [29, 1],
	commandSpecific: [32, 8],
});

/** Of an error that is about no command. */
export const NO_COMMAND = 0xffff;

export interface LoggedError {
	readonly submissionQueueId: number;
	readonly commandId: number;
	/** As in the completion queue entry, without the phase. */
	readonly statusField: number;
	readonly parameterErrorLocation: number;
	readonly lba: number;
	readonly namespace: number;
}

export class ErrorLog {
	/** Since the machine was switched on, and over resets. */
	count = 0;
	/** The newest first. */
	readonly entries: Uint8Array[] = [];

	add(error: LoggedError): void {
		this.count++;
		const entry = this.entries.length < ERROR_LOG_ENTRIES ? new Uint8Array(ErrorEntry.size) : this.entries.pop()!;
		ErrorEntry.set(entry, "errorCount", this.count);
		ErrorEntry.set(entry, "submissionQueueId", error.submissionQueueId);
		ErrorEntry.set(entry, "commandId", error.commandId);
		ErrorEntry.set(entry, "statusField", error.statusField << 1);
		ErrorEntry.set(entry, "parameterErrorLocation", error.parameterErrorLocation);
		ErrorEntry.set(entry, "lba", error.lba);
		ErrorEntry.set(entry, "namespace", error.namespace);
		this.entries.unshift(entry);
	}

	/** An error of which only this is known. */
	addOf(submissionQueueId: number, commandId: number, statusField: number): void {
		const parameterErrorLocation = NO_LOCATION;
		this.add({ submissionQueueId, commandId, statusField, parameterErrorLocation, lba: 0, namespace: 0 });
	}

	/** The log page. */
	bytes(): Uint8Array {
		const bytes = new Uint8Array(ERROR_LOG_ENTRIES * ErrorEntry.size);
		for (const [index, entry] of this.entries.entries()) bytes.set(entry, index * ErrorEntry.size);
		return bytes;
	}
}
