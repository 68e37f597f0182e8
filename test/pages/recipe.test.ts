// docs/policies.md's recipe for an allocation rule of one's own, followed in a copy of the checkout.

import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { spawn, temporaryDirectory } from "../end-to-end/programs.js";
import { blocksOf, stepsOf } from "./blocks.js";

const checkout = fileURLToPath(new URL("../..", import.meta.url));
const { path: copy, remove } = temporaryDirectory();
afterAll(remove);

test("a rule that is written as the page says is one of matrix's policies", { timeout: 300_000 }, () => {
	const page = readFileSync(join(checkout, "docs", "policies.md"), "utf8");
	const blocks = blocksOf("docs/policies.md", page);
	const rule = blocks.find(({ language }) => language === "ts")!.lines.join("\n");
	const name = /export const (\w+):/.exec(rule)![1];

	mkdirSync(copy, { recursive: true });
	// Without package-lock.json nothing is installed: the copy's packages are the checkout's.
	for (const part of ["bin", "examples", "machines", "scripts", "src", "package.json"])
		cpSync(join(checkout, part), join(copy, part), { recursive: true, preserveTimestamps: true });
	symlinkSync(join(checkout, "node_modules"), join(copy, "node_modules"));
	symlinkSync(join(checkout, "test", "pages", "programs", "my-vmm.mjs"), join(copy, "my-vmm-tests"));
	const file = join(copy, "src", "iommufd", "hwpt-policy.ts");
	const source = readFileSync(file, "utf8");
	const list = /export const policies: .*\n\t\[([^\]]*)\]/.exec(source)!;
	const changed = source.replace(list[0], list[0].replace(list[1], `${list[1]}, ${name}`));
	writeFileSync(
		file,
		changed.replace("export const policies:", () => `${rule}\n\nexport const policies:`),
	);

	const commands = blocks.flatMap(stepsOf).map(({ command }) => command);
	const withRule = commands.filter((command) => command.includes(`,${name} `));
	expect(withRule.length).toBeGreaterThan(1);
	for (const command of withRule) {
		const { stdout, stderr } = spawn("sh", "-c", `cd ${copy} && ${command}`);
		expect(stdout, stderr).toMatch(/^intel +cautious +pass/m);
	}
});
