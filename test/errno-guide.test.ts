// docs/errno.md is what the sources say, every reason belongs to one place in them, and no hint is about a reason that is gone.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const SCRIPT = fileURLToPath(new URL("../scripts/errno-guide.mjs", import.meta.url));

test("docs/errno.md is up to date, and every site has a reason of its own", () => {
	const { stdout, stderr, status } = spawnSync(process.execPath, [SCRIPT, "--check"], { encoding: "utf8" });
	// Not that stderr is empty: the compiler's server may say there that it was ended.
	expect({ status, stdout }, stderr).toEqual({ status: 0, stdout: "" });
}, 60_000);
