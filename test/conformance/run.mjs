// `npm run conformance`: bundles conformance.ts, so that plain Node can run it, and starts it.

import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const checkout = dirname(dirname(here));
const bundle = join(checkout, ".cache", "conformance", "conformance.mjs");

await build({
	entryPoints: [join(here, "conformance.ts")],
	outfile: bundle,
	bundle: true,
	platform: "node",
	target: "node20",
	format: "esm",
	packages: "external",
	logLevel: "warning",
});
const { main } = await import(pathToFileURL(bundle).href);
process.exitCode = await main(checkout, process.argv.slice(2));
