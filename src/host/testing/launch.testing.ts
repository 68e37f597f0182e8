// Runs a program under the supervisor in front of the fake machine: launch.testing.mjs RESULT_FILE PROGRAM ARGS...
// RESULT_FILE gets what launch() returned, as JSON, and one line more for each thing that happened before.

import { appendFileSync } from "node:fs";
import { exitNow } from "../launch/exit-now.js";
import { launch } from "../launch/launch.js";

const [result, ...program] = process.argv.slice(2);
const tell = (what: object) => appendFileSync(result, `${JSON.stringify(what)}\n`);
const outcome = await launch(
	{
		program,
		settings: undefined,
		workers: {
			launcher: new URL("./launcher-thread.mjs", import.meta.url),
			supervisor: new URL(`./${process.env.FAKE_MACHINE ?? "fake-machine"}.testing.mjs`, import.meta.url),
			device: new URL("./device-worker.testing.mjs", import.meta.url),
			copier: new URL("./copy-thread.mjs", import.meta.url),
		},
	},
	{ started: (pid) => tell({ started: pid }), ended: (status) => tell({ ended: status }) },
	// What is open then is what Node itself has open.
);
tell({ result: outcome });
if (!Array.isArray(outcome) && outcome.kind === "broken") exitNow(1);
