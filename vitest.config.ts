import { configDefaults, defineConfig } from "vitest/config";

/** `npm run pages`: these follow the documentation, which takes minutes. */
const ofThePages = ["commands", "recipe", "ci", "examples"].map((name) => `test/pages/${name}.test.ts`);
const isPages = process.env.IOASIS_TESTS === "pages";

export default defineConfig({
	test: {
		include: isPages ? ofThePages : ["src/**/*.test.ts", "test/**/*.test.ts"],
		exclude: isPages ? configDefaults.exclude : [...configDefaults.exclude, ...ofThePages],
		// Against what hangs only: on a busy computer the slowest tests take ten times as long.
		testTimeout: 60_000,
		hookTimeout: 60_000,
	},
});
