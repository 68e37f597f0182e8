// For tests: what an error says.

import { Errno } from "./errno.js";

/** "EINVAL: a reason", of the Errno that `action` throws. Anything else that it throws goes on. */
export function reasonOf(action: () => unknown): string {
	try {
		action();
	} catch (error) {
		if (error instanceof Errno) return error.message;
		throw error;
	}
	return "ok";
}
