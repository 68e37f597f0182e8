import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { shellWords } from "./shell-words.js";

test("plain words stay as they are", () => {
	expect(shellWords(["./my-vmm", "--device=vfio-pci,host=0000:00:02.0", "-m", "64M"])).toBe(
		"./my-vmm --device=vfio-pci,host=0000:00:02.0 -m 64M",
	);
});

test("a shell reads all others as they were", () => {
	const words = ["", "two words", "it's", "$HOME", "a\\b", '"quoted"', "*", "~", "#", "line\nline", "a;b", "!!"];
	const read = execFileSync("sh", ["-c", `printf '%s\\0' ${shellWords(words)}`], { encoding: "utf8" });
	expect(read.split("\0").slice(0, -1)).toEqual(words);
});
