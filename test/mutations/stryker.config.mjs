// What Stryker changes, and which tests it runs then. See run.mjs, which sets ROOM and ONE_OF.

const room = process.env.ROOM;

export default {
	testRunner: "vitest",
	plugins: ["@stryker-mutator/vitest-runner", "./test/mutations/ignored.mjs"],
	ignorers: ["ioasis"],
	mutate: [`src/${room}/**/*.ts`, "!src/**/*.test.ts", "!src/**/*.testing.ts"],
	// A reason may be put otherwise, and what stands in a table is compared with the kernel's headers elsewhere.
	mutator: { excludedMutations: ["StringLiteral", "ObjectLiteral", "ArrayDeclaration", "BlockStatement", "Regex"] },
	vitest: { configFile: "test/mutations/vitest.config.mjs", related: false },
	coverageAnalysis: "perTest",
	// What is worked out while a module loads, and never again.
	ignoreStatic: true,
	concurrency: 2,
	timeoutMS: 8000,
	timeoutFactor: 2,
	reporters: ["clear-text", "progress"],
	clearTextReporter: { logTests: false, reportTests: false },
	// It is read by way of TypeScript's old interface, which TypeScript 7 hasn't.
	tsconfigFile: "none.json",
};
