// `node test/fuzz/run.mjs [CALLS] [SEED]`: starts main.ts.

import { loadBundled } from "../../scripts/load-bundled.mjs";

const { main } = await loadBundled(new URL("./main.js", import.meta.url));
process.exitCode = main(process.argv.slice(2));
