// The namespaces of a controller, by NSID from 1 on. All are attached to it.
// NVM Express Base Specification 1.4, 6.1 "Namespaces".

import { type Command, NSID_DWORD } from "./command.js";
import type { Namespace } from "./namespace.js";
import { Status } from "./status.js";

/** The NSID that means all of them, where a command serves that. */
export const ALL_NAMESPACES = 0xffff_ffff;

export class Namespaces {
	readonly all: readonly Namespace[];
	/** Those whose attributes have changed since the host last asked: the Changed Namespace List. */
	readonly changed = new Set<number>();

	constructor(all: readonly Namespace[]) {
		this.all = all;
	}

	get(id: number): Namespace | undefined {
		return this.all[id - 1];
	}

	/** The one that a command is about, or the status that the command ends with because it can't be. */
	of(command: Command): Namespace | number {
		const namespace = this.all[command.namespaceId - 1];
		if (namespace === undefined) return this.missing(command);
		if (!namespace.isFormatting) return namespace;
		return command.fail(Status.FORMAT_IN_PROGRESS, `namespace ${namespace.id} is being formatted`);
	}

	/** A command names one that there isn't. @returns the status */
	missing(command: Command): number {
		return command.fail(
			Status.INVALID_NAMESPACE_OR_FORMAT,
			`it is about namespace ${command.namespaceId}: there are those from 1 to ${this.all.length}`,
			NSID_DWORD,
		);
	}
}
