import { availableParallelism } from "node:os";
import { configDefaults, defineConfig } from "vitest/config";

/** `npm run pages`: these follow the documentation, which takes minutes. */
const ofThePages = ["commands", "recipe", "ci", "examples"].map((name) => `test/pages/${name}.test.ts`);
/** `npm run unit`: those of the engine and of the command line's parts, which start no processes and don't try very much. */
const units = ["src/**/*.test.ts"];
const slowUnits = ["src/host/**", "src/cli/{run,signals}.test.ts", "src/**/{every-fault,random}.test.ts"];
/** What can be asked for in IOASIS_TESTS; all but the pages is what is run without it. */
const choices = {
	pages: { include: ofThePages, exclude: [] },
	unit: { include: units, exclude: slowUnits },
	all: { include: ["src/**/*.test.ts", "test/**/*.test.ts"], exclude: ofThePages },
};
const { include, exclude } = choices[(process.env.IOASIS_TESTS ?? "all") as keyof typeof choices];

export default defineConfig({
	test: {
		include,
		exclude: [...configDefaults.exclude, ...exclude],
		// Many tests wait for programs more than they compute, so that one processor alone is kept busy by two.
		maxWorkers: Math.max(2, availableParallelism() - 1),
		// Against what hangs only: on a busy computer the slowest tests take ten times as long.
		testTimeout: 60_000,
		hookTimeout: 60_000,
	},
});
