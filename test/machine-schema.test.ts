import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

test("schema/machine.json is up to date", () => {
	const script = fileURLToPath(new URL("../scripts/machine-schema.mjs", import.meta.url));
	expect(spawnSync(process.execPath, [script, "--check"], { encoding: "utf8" }).stdout).toBe("");
});
