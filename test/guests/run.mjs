// `npm run guests`: starts main.ts.

import { checkout, loadBundled } from "../../scripts/load-bundled.mjs";

const { main } = await loadBundled(new URL("./main.js", import.meta.url));
process.exitCode = await main(checkout, process.argv.slice(2));
