import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { modelNamed } from "../devices/models.js";
import { parseOptions } from "../machine/pci-description.js";
import { loadModels, modelsOf } from "./device-modules.js";

const counter = resolve("examples/counter-device.mjs");

let directory: string;
beforeAll(() => {
	directory = mkdtempSync(join(tmpdir(), "device-modules-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

test("a file's model is known by the file's name, and its options are checked by it", async () => {
	await loadModels(["edu", counter]);
	const model = modelNamed(counter)!;
	expect(parseOptions(model, { start: "7" })).toEqual({ value: { start: 7 } });
	expect(model.identity(undefined).device).toBe(0xc0de);
});

test("a file without a model, or one that can't be loaded, is refused with the reason", async () => {
	const problemOf = (text: string) => {
		const file = join(directory, `${text.length}.mjs`);
		writeFileSync(file, text);
		return loadModels([file]).catch((error: Error) => error.message.replace(file, "FILE"));
	};
	expect(await problemOf("export const name = 'x';")).toMatch(/^FILE has no model as its default export/);
	expect(await problemOf("this is no JavaScript")).toMatch(/^FILE can't be loaded: /);
	const picky = 'export default { options() { throw new Error("too few"); }, identity() {}, create() {} };';
	expect(await problemOf(picky)).toBeUndefined();
	const file = join(directory, `${picky.length}.mjs`);
	expect(parseOptions(modelNamed(file)!, {})).toBe(`options of ${file}: too few`);
});

test("the models of a machine file are found wherever they stand", () => {
	const machine = { model: 5, iommus: [{ devices: [{ model: "edu" }, { model: "./x.mjs", options: { file: "y" } }] }] };
	expect(modelsOf(machine)).toEqual(["edu", "./x.mjs"]);
});
