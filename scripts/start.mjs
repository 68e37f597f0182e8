// npm start: an ordinary program in front of /dev/iommu, with what it says, what it calls, and why one call is refused; then
// another on several machines, under several allocation rules.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));

if (show("run", "--trace", "--", "node", "examples/first-steps.mjs") !== 0) process.exit(1);
console.log(`
The numbered lines are the program's system calls, as in strace; each refused one is followed by the rule that it broke.
Run your own program the same way:  bin/ioasis run --trace -- PROGRAM ARGS...   (bin/ioasis --help says more)

What breaks where, if Linux chose its page tables by another rule? docs/policies.md tells that story:
`);
// Some of these fail, which is what it is about.
show(
	...["matrix", "--machines", "intel,s390-2023,arm-smmu-2023,pamu-2023", "--policies", "posted,agreed,reordered"],
	...["--", "node", "examples/hwpt-thread.mjs", "attach"],
);

/** Runs ioasis where everybody can see it. @returns its exit code, 1 if a signal has killed it */
function show(...words) {
	console.log(`$ bin/ioasis ${words.join(" ")}\n`);
	const real = words.map((word) => (word === "node" ? process.execPath : word));
	const { status, error } = spawnSync(`${root}bin/ioasis`, real, { cwd: root, stdio: "inherit" });
	if (error) throw error;
	return status ?? 1;
}
