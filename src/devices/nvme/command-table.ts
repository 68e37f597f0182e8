// Which commands there are, and what each does to what the host knows.
// NVM Express Base Specification 1.4, 5.14.1.5 "Commands Supported and Effects (Log Identifier 05h)".

import type { Command } from "./command.js";
import type { Controller } from "./controller.js";

/** Bits of a Commands Supported and Effects data structure. */
export const Effect = {
	SUPPORTED: 1 << 0,
	/** Logical Block Content Change. */
	CHANGES_CONTENT: 1 << 1,
	/** Namespace Capability Change. */
	CHANGES_NAMESPACES: 1 << 2,
} as const;

export interface CommandEntry {
	/** As the specification calls it. */
	readonly name: string;
	/** @returns a status, or PENDING */
	readonly run: (controller: Controller, command: Command) => number;
	/** Bits of Effect. */
	readonly effects: number;
}

/** By opcode. */
export type CommandTable = Readonly<Record<number, CommandEntry | undefined>>;
