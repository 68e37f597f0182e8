// `npm run mutations -- ROOM [N]`: changes src/ROOM at one place after the other, a condition, an operator or a constant, and looks whether
// a test of that room notices. It takes a second or two for each; with N only one in N statements is tried.
// Done by Stryker, in a copy of the checkout: Stryker is for this alone, and isn't among the dependencies.

import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const STRYKER = "9.6.1"; // the last one for Node 20
const checkout = fileURLToPath(new URL("../..", import.meta.url));
const NEEDED = ["src", "test/mutations", "machines", "package.json", "node_modules"];

const [room, oneOf = "1"] = process.argv.slice(2);
if (room === undefined || !/^[1-9]\d*$/.test(oneOf)) {
	console.error("usage: npm run mutations -- ROOM [N], for example: npm run mutations -- vfio 12");
	process.exit(2);
}

const copy = mkdtempSync(join(tmpdir(), "ioasis-mutations-"));
try {
	for (const name of NEEDED)
		cpSync(join(checkout, name), join(copy, name), { recursive: true, verbatimSymlinks: true });
	const packages = ["core", "vitest-runner"].map((name) => `@stryker-mutator/${name}@${STRYKER}`);
	execFileSync("npm", ["install", "--no-save", "--no-audit", "--no-fund", ...packages], {
		cwd: copy,
		stdio: "inherit",
	});
	const { status } = spawnSync("npx", ["stryker", "run", "test/mutations/stryker.config.mjs"], {
		cwd: copy,
		stdio: "inherit",
		env: { ...process.env, ROOM: room, ONE_OF: oneOf },
	});
	process.exitCode = status ?? 1;
} finally {
	rmSync(copy, { recursive: true });
}
