import * as v from "valibot";
import { expect, test } from "vitest";
import { allModels, modelNamed, modelWithIds } from "./models.js";

test("each model has a name of its own, and can be had without any option", () => {
	const names = allModels().map(({ name }) => name);
	expect(new Set(names).size).toBe(names.length);
	for (const model of allModels()) {
		const identity = model.identity(v.parse(model.options, {}));
		expect(identity.bars.every(({ size }) => Number.isInteger(Math.log2(size)))).toBe(true);
		expect(modelNamed(model.name)).toBe(model);
	}
});

test("a model is found by the IDs that it shows without options", () => {
	expect(modelWithIds(0x1234, 0x11e8)?.name).toBe("edu");
	expect(modelWithIds(0x1234, 0x11e9)).toBeUndefined();
});
