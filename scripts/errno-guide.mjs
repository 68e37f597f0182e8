// Writes docs/errno.md: `npm run errno-guide`.
//   node scripts/errno-guide.mjs --check      says what is wrong with it instead, and exits with 1 if anything is

import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { CallGraph } from "./errno-guide/call-graph.mjs";
import { findCommands } from "./errno-guide/commands.mjs";
import { write } from "./errno-guide/document.mjs";
import { findSites } from "./errno-guide/sites.mjs";
import { loadBundled } from "./load-bundled.mjs";

const CHECKOUT = dirname(dirname(fileURLToPath(import.meta.url)));
const DOCUMENT = join(CHECKOUT, "docs", "errno.md");

/** What gives things back. It can't fail, so nothing that it leads to is an answer. */
const GIVES_BACK = new Set(["destroy", "preDestroy", "release", "close", "drop", "removeAll", "settle"]);
/** Who finds out which command an ioctl is. */
const DISPATCHES = new Set(["ioctl", "#serve", "containerIoctl"]);
/** Tests, memory in an array, which no program runs in, and replays and Errno itself, which make no answers of their own. */
const NOT_SERVED = /^cli\/|^machine\/record\/|^uapi\/errno\.ts$|\.test\.ts$|\.testing\.ts$|^memory\/array-space\.ts$/;
/** One reason for two sites: the same limit, met by an open and by an ioctl that hands out or takes an fd. */
const SHARED = ["the process has as many fds as RLIMIT_NOFILE allows", "ioasis can't have more files open itself"];

const { hints } = await loadBundled(new URL("../src/uapi/hints.ts", import.meta.url));
const graph = new CallGraph(CHECKOUT, (file) => !NOT_SERVED.test(file));
const sites = findSites(graph);
/** What any ioctl is answered with: the rules of structs, and what is no ioctl of the file. */
const isRule = ({ file }) => file === "uapi/rules.ts" || file === "uapi/ioctl-names.ts";
const isInjected = ({ reason }) => reason.startsWith("fault injection:");
const commands = findCommands(graph).map(({ name, of, entries }) => {
	const reached = graph.reachable(entries, GIVES_BACK);
	return {
		name,
		of,
		sites: sites.filter((site) => !isRule(site) && !isInjected(site) && graph.isIn(site.node, reached)),
	};
});
const dispatching = graph.allNamed(DISPATCHES);
graph.close();
const listed = new Set(commands.flatMap((command) => command.sites));
const unlisted = sites.filter((site) => !listed.has(site));
const isGeneral = (site) => isRule(site) || graph.isIn(site.node, dispatching);
const general = unlisted.filter((site) => isGeneral(site) && !isInjected(site));
const injected = unlisted.filter(isInjected);
const others = unlisted.filter((site) => !isGeneral(site) && !isInjected(site));
const text = write(commands, general, injected, others, hints);

if (process.argv[2] === "--check") {
	const problems = [
		...sharedReasons(),
		...unusedHints(),
		...(isCurrent() ? [] : ["docs/errno.md is not what the sources say: run `npm run errno-guide`"]),
	];
	for (const problem of problems) console.log(problem);
	process.exitCode = problems.length === 0 ? 0 : 1;
} else {
	writeFileSync(DOCUMENT, text);
	console.log(`docs/errno.md: ${commands.length} calls, ${sites.length} reasons, ${others.length} of no single call`);
}

function isCurrent() {
	try {
		return readFileSync(DOCUMENT, "utf8") === text;
	} catch {
		return false;
	}
}

/** Every site has a reason of its own, so that a line of a trace leads to one place. */
function sharedReasons() {
	const byReason = new Map();
	for (const site of sites) byReason.set(site.reason, [...(byReason.get(site.reason) ?? []), site]);
	return [...byReason]
		.filter(([reason, at]) => at.length > 1 && !SHARED.includes(reason))
		.map(([reason, at]) => `"${reason}" is the reason of ${at.length} sites: ${at.map(({ file }) => file).join(", ")}`);
}

function unusedHints() {
	const used = new Set(sites.map(({ hint }) => hint));
	return Object.keys(hints)
		.filter((name) => !used.has(name))
		.map((name) => `src/uapi/hints.ts: no reason has the hint "${name}"`);
}
