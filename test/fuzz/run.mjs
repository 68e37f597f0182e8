// `node test/fuzz/run.mjs [CALLS] [SEED]`: bundles main.ts, so that plain Node can run it, and starts it.

import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const bundle = join(dirname(dirname(here)), ".cache", "fuzz", "main.mjs");

await build({
	entryPoints: [join(here, "main.ts")],
	outfile: bundle,
	bundle: true,
	platform: "node",
	target: "node20",
	format: "esm",
	packages: "external",
	sourcemap: "inline",
	logLevel: "warning",
});
const { main } = await import(pathToFileURL(bundle).href);
process.exitCode = main(process.argv.slice(2));
