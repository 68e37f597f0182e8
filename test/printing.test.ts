// All that ioasis says goes through src/host/say.ts, which has nothing of somebody else's obeyed by a terminal.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const source = fileURLToPath(new URL("../src", import.meta.url));

test("nothing but say.ts prints", () => {
	const files = readdirSync(source, { recursive: true, encoding: "utf8" }).filter(
		(file) => file.endsWith(".ts") && !/\.(test|testing)\.ts$/.test(file) && file !== join("host", "say.ts"),
	);
	const prints = /\bconsole\.|process\.std(out|err)\.write\(|\bwriteSync\(/;
	expect(files.length).toBeGreaterThan(100);
	expect(files.filter((file) => prints.test(readFileSync(join(source, file), "utf8")))).toEqual([]);
});
