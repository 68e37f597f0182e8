// Writes man/ioasis.1 from the command's own help: `npm run man-page`.
//   node scripts/man-page.mjs --check      says whether it is what the sources say, and exits with 1 if not

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkout, loadBundled } from "./load-bundled.mjs";

const PAGE = join(checkout, "man", "ioasis.1");

globalThis.VERSION = JSON.parse(readFileSync(join(checkout, "package.json"), "utf8")).version;
const { program, epilogues } = await loadBundled(new URL("../src/cli/command-line.ts", import.meta.url));
const help = program.createHelp();

const commands = help.visibleCommands(program).filter((command) => command.name() !== "help");
const page = [
	`.\\" Written by \`npm run man-page\` from src/cli/command-line.ts.`,
	`.TH IOASIS 1 "" "ioasis ${VERSION}" "User Commands"`,
	".SH NAME",
	`ioasis \\- ${text(program.description())}`,
	".SH SYNOPSIS",
	...commands.flatMap((command) => [".br", `.B ioasis ${text(command.name())}`, text(usageOf(command))]),
	".SH COMMANDS",
	...commands.flatMap((command) => describe(command)),
	".SH SEE ALSO",
	text("docs/cli.md, docs/machines.md and docs/errno.md in the package."),
	"",
].join("\n");

if (process.argv[2] === "--check") {
	if (readFileSync(PAGE, "utf8") !== page) {
		console.log("man/ioasis.1 is not what the sources say: run `npm run man-page`");
		process.exitCode = 1;
	}
} else {
	mkdirSync(join(checkout, "man"), { recursive: true });
	writeFileSync(PAGE, page);
}

function describe(command, outer = "") {
	const name = `${outer}${command.name()}`;
	const { exitCodes, examples = [] } = epilogues.get(command) ?? {};
	return [
		`.SS ${text(`ioasis ${name} ${usageOf(command)}`)}`,
		text(command.description()),
		...help.visibleOptions(command).filter(isOwn).flatMap(option),
		...(exitCodes === undefined ? [] : [".PP", `.I Exit codes:`, text(exitCodes.replaceAll("\n", " "))]),
		...(examples.length === 0 ? [] : [".PP", ".nf", ...examples.map((example) => `    ${text(example)}`), ".fi"]),
		...help
			.visibleCommands(command)
			.filter((inner) => inner.name() !== "help")
			.flatMap((inner) => describe(inner, `${name} `)),
	];
}

function usageOf(command) {
	return command.usage();
}

function isOwn(option) {
	return option.long !== "--help";
}

function option(one) {
	return [".TP", `.B ${text(help.optionTerm(one))}`, text(help.optionDescription(one))];
}

/** As troff takes it. */
function text(words) {
	return words
		.replaceAll("\\", "\\e")
		.replaceAll("-", "\\-")
		.replaceAll(/^([.'])/gm, "\\&$1");
}
