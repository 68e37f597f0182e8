// `npm run bench`: starts main.ts.

import { checkout, loadBundled } from "../../scripts/load-bundled.mjs";

// The bench starts itself once more for each figure.
const isFresh = process.argv.includes("--answer");
const { main } = await loadBundled(new URL("./main.js", import.meta.url), { isFresh });
process.exitCode = await main(checkout, process.argv.slice(2));
