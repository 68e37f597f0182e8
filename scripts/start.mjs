// npm start: an ordinary program in front of /dev/iommu, with what it says, what it calls, and why one call is refused; then
// another on all machines, under three allocation rules.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));

if (show("bin/ioasis", "run", "--trace", "--", "node", "examples/first-steps.mjs") !== 0) process.exit(1);
console.log(`
The numbered lines are the program's system calls, as in strace; each refused one is followed by the rule that it broke.
Run your own program the same way:  bin/ioasis run --trace -- PROGRAM ARGS...   (bin/ioasis --help says more)

What works where, if Linux chose its page tables by another rule? A program allocates a hardware page table (HWPT) for a device,
without user data and with it, lets one be nested in another, and attaches the device straight to an address space (IOAS):
`);
// Some of these fail, which is what it is about.
if (show(process.execPath, "examples/thread-table.mjs") !== 0) process.exit(1);
console.log(`
A letter is a reason, in the words of the first driver that has it. docs/policies.md tells the story: what was posted, what was
agreed, and what else was tried. One more that broke something:
  bin/ioasis matrix -m intel,arm-smmu-2023 -p agreed,reordered -- node examples/hwpt-thread.mjs attach`);

/** Runs a program where everybody can see it. @returns its exit code, 1 if a signal has killed it */
function show(program, ...words) {
	console.log(`$ ${[program === process.execPath ? "node" : program, ...words].join(" ")}\n`);
	const real = words.map((word) => (word === "node" ? process.execPath : word));
	const { status, error } = spawnSync(program, real, { cwd: root, stdio: "inherit" });
	if (error) throw error;
	return status ?? 1;
}
