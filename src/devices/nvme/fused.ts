// Fused operations: two commands that are one, of which there is Compare and Write.
// NVM Express Base Specification 1.4, 4.12 "Fused Operations", 6.2 "Fused Operation".

import type { Command } from "./command.js";
import { NvmOpcode } from "./nvm.js";
import { Status } from "./status.js";

/** FUSE */
export const Fused = { NONE: 0, FIRST: 1, SECOND: 2 } as const;

/** FUSES: Compare and Write. */
export const COMPARE_AND_WRITE = 1 << 0;

/** Whether two commands are a fused operation that there is: both end with the status if not. */
export function checkPair(first: Command, second: Command): number {
	if (first.opcode !== NvmOpcode.COMPARE || second.opcode !== NvmOpcode.WRITE) {
		const opcodes = `0x${first.opcode.toString(16)} and 0x${second.opcode.toString(16)}`;
		return failBoth(first, second, `${opcodes} are fused: only Compare and Write can be`, 0);
	}
	if (first.namespaceId !== second.namespaceId)
		return failBoth(first, second, "the two of a fused operation are about different namespaces", 1);
	const count = (command: Command) => (command.dword(12) & 0xffff) + 1;
	if (first.quad(10) !== second.quad(10) || count(first) !== count(second))
		return failBoth(
			first,
			second,
			`the two of a fused operation are about different blocks: ${count(first)} from ${first.quad(10)} on, and ${count(second)} from ${second.quad(10)} on`,
			10,
		);
	return Status.SUCCESS;
}

function failBoth(first: Command, second: Command, reason: string, dword: number): number {
	second.invalidField(reason, dword);
	return first.invalidField(reason, dword);
}
