import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

test("man/ioasis.1 is up to date", () => {
	const script = fileURLToPath(new URL("../scripts/man-page.mjs", import.meta.url));
	expect(spawnSync(process.execPath, [script, "--check"], { encoding: "utf8" }).stdout).toBe("");
});
