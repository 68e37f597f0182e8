// SMART and health information.
// NVM Express Base Specification 1.4, 5.14.1.2 "SMART / Health Information (Log Identifier 02h)".

import { Structure } from "./structure.js";

/** Composite Temperature in kelvins, always. */
export const TEMPERATURE = 323;
/** Warning and Critical Composite Temperature Threshold. */
export const WARNING_TEMPERATURE = 343;
export const CRITICAL_TEMPERATURE = 373;

/** Critical Warning, as in the log and in the feature that says which are events. */
export const CriticalWarning = { TEMPERATURE: 1 << 1 } as const;

export const HealthLog = new Structure(512, {
	criticalWarning: [0, 1],
	compositeTemperature: [1, 2],
	availableSpare: [3, 1],
	availableSpareThreshold: [4, 1],
	percentageUsed: [5, 1],
	dataUnitsRead: [32, 16],
	dataUnitsWritten: [48, 16],
	hostReadCommands: [64, 16],
	hostWriteCommands: [80, 16],
	controllerBusyTime: [96, 16],
	powerCycles: [112, 16],
	powerOnHours: [128, 16],
	mediaErrors: [160, 16],
	errorLogEntries: [176, 16],
});

const NANOSECONDS_PER_HOUR = 3_600_000_000_000n;
const DATA_UNIT = 512 * 1000;

/** What is counted, over resets. */
export class Health {
	bytesRead = 0;
	bytesWritten = 0;
	readCommands = 0;
	writeCommands = 0;
	mediaErrors = 0;

	/** The log page. @param now nanoseconds since the machine was switched on */
	bytes(criticalWarning: number, errorCount: number, now: bigint): Uint8Array {
		return HealthLog.bytes({
			criticalWarning,
			compositeTemperature: TEMPERATURE,
			availableSpare: 100,
			availableSpareThreshold: 10,
			dataUnitsRead: Math.ceil(this.bytesRead / DATA_UNIT),
			dataUnitsWritten: Math.ceil(this.bytesWritten / DATA_UNIT),
			hostReadCommands: this.readCommands,
			hostWriteCommands: this.writeCommands,
			powerCycles: 1,
			powerOnHours: now / NANOSECONDS_PER_HOUR,
			mediaErrors: this.mediaErrors,
			errorLogEntries: errorCount,
		});
	}
}
