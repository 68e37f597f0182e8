// A command that shows what a machine is like, where there is nothing to show.

import { NothingToShow } from "../machine/nothing-to-show.js";
import { complain } from "./complain.js";
import { NOTHING_TO_SHOW } from "./exit-codes.js";

/** Says why there is nothing, and what there would be; sets the exit code. */
export async function orWhyNot(show: () => Promise<void>): Promise<void> {
	try {
		await show();
	} catch (error) {
		if (!(error instanceof NothingToShow)) throw error;
		complain(error.message, ...error.advice);
		process.exitCode = NOTHING_TO_SHOW;
	}
}
