import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { recipesOf } from "./recipes.js";

const page = readFileSync(fileURLToPath(new URL("../../docs/qemu.md", import.meta.url)), "utf8");

test("a recipe has its heading, its command with all of its lines, and what the guest says", () => {
	const text = "# A\n\n## B\n\n```sh\nls\n```\n\n```sh\nbin/ioasis run -- \\\n\tqemu\n```\n\n```\nguest: done\n```\n";
	expect(recipesOf("a.md", text)).toEqual([
		{ title: "B", line: 10, command: "bin/ioasis run -- \\\n\tqemu", shown: ["guest: done"] },
	]);
});

test("each recipe of docs/qemu.md has a heading of its own, and says what the guest says until it is done", () => {
	const recipes = recipesOf("docs/qemu.md", page);
	expect(recipes.length).toBeGreaterThan(0);
	expect(new Set(recipes.map(({ title }) => title)).size).toBe(recipes.length);
	for (const { title, shown } of recipes) {
		expect(
			shown.filter((line) => !line.startsWith("guest: ")),
			title,
		).toEqual([]);
		expect(shown.at(-1), title).toBe("guest: done");
	}
});
