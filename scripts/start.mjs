// npm start: an ordinary program in front of /dev/iommu, with what it says, what it calls, and why one call is refused.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));
const example = "examples/first-steps.mjs";

console.log(`$ bin/ioasis run --trace -- node ${example}\n`);
const { status, error } = spawnSync(`${root}bin/ioasis`, ["run", "--trace", "--", process.execPath, example], {
	cwd: root,
	stdio: "inherit",
});
if (error) throw error;
if (status === 0)
	console.log(`
The numbered lines are the program's system calls, as in strace; each refused one is followed by the rule that it broke.
Run your own program the same way:  bin/ioasis run --trace -- PROGRAM ARGS...   (bin/ioasis --help says more)`);
process.exitCode = status ?? 1;
