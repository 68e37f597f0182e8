// The command.

import { program } from "./command-line.js";
import { refuse } from "./complain.js";
import { catchTheRest } from "./fail.js";
import { withTraceTarget } from "./given-words.js";

catchTheRest();

program.hook("preAction", (_, command) => {
	// `--machine -- true`: commander takes whatever comes next for the value.
	for (const option of command.options) {
		const value: unknown = command.getOptionValue(option.attributeName());
		if (value === "--" || (Array.isArray(value) && value.includes("--")))
			refuse(`${option.long} needs a value, and "--" stands in its place`, `try: ioasis ${command.name()} --help`);
	}
});

program.parseAsync(withTraceTarget(process.argv.slice(2)), { from: "user" });
