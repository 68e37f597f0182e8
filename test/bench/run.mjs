// `npm run bench`: bundles main.ts, so that plain Node can run it, and starts it.

import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const checkout = dirname(dirname(here));
const bundle = join(checkout, ".cache", "bench", "main.mjs");

// The bench starts itself once more for each figure.
if (!process.argv.includes("--answer"))
	await build({
		entryPoints: [join(here, "main.ts")],
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
