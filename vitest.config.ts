import { defineConfig } from "vitest/config";

export default defineConfig({
	test: {
		include: ["src/**/*.test.ts", "test/**/*.test.ts"],
		// Against what hangs only: on a busy computer the slowest tests take ten times as long.
		testTimeout: 60_000,
		hookTimeout: 60_000,
	},
});
