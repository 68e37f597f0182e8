// Draws docs/session.svg, the picture of the README, from two real runs: `npm run picture`.

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));

/** What is typed, and which of the lines that come then are shown. */
const SESSION = [
	{
		typed: "ioasis run --trace -- node examples/first-steps.mjs",
		shown: /IOAS_ALLOC|IOAS_MAP.*EINVAL|^ {5}/,
	},
	{
		typed: "ioasis run --machine intel --dma-errors=report -- node examples/edu.mjs too-early",
		shown: /DMA error: |^ {8}(un)?mapped|^ {8}page table/,
	},
	{
		typed: "ioasis run --quiet --machine amd --walk 0x100000000 -- node examples/hwpt-thread.mjs attach",
		shown: /^IOVA|^ +level/,
	},
];

/** In characters; a longer line goes on in the next one. */
const WIDTH = 118;
const [CHARACTER, LINE, MARGIN] = [7.2, 18, 16];
const COLOURS = { typed: "#7ee787", reason: "#ffa657", refused: "#ff7b72", plain: "#c9d1d9" };

const lines = SESSION.flatMap(({ typed, shown }) => [
	{ text: `$ ${typed}`, colour: COLOURS.typed },
	...printedBy(typed)
		.filter((line) => shown.test(line))
		.flatMap((line) => folded(line).map((text) => ({ text, colour: colourOf(line) }))),
	{ text: "", colour: COLOURS.plain },
]).slice(0, -1);

const width = Math.round(WIDTH * CHARACTER + 2 * MARGIN);
const height = lines.length * LINE + 2 * MARGIN;
const texts = lines.map(
	({ text, colour }, at) =>
		`<text x="${MARGIN}" y="${MARGIN + (at + 0.75) * LINE}" fill="${colour}" xml:space="preserve">${escaped(text)}</text>`,
);
writeFileSync(
	`${root}docs/session.svg`,
	[
		`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="ui-monospace, Menlo, Consolas, monospace" font-size="12">`,
		"<title>A refused call with its reason, a lost DMA with its reason, and a walk of an IOVA</title>",
		`<rect width="${width}" height="${height}" rx="8" fill="#0d1117"/>`,
		...texts,
		"</svg>",
		"",
	].join("\n"),
);

function printedBy(command) {
	const { status, stdout } = spawnSync("sh", ["-c", `bin/${command} 2>&1`], { cwd: root, encoding: "utf8" });
	if (status !== 0) throw new Error(`${command}: exit code ${status}\n${stdout}`);
	return stdout.split("\n");
}

/** Of a call that is refused what is red is the call. */
function colourOf(line) {
	if (/DMA error/.test(line)) return COLOURS.refused;
	if (/^ {5}/.test(line)) return COLOURS.reason;
	return / = -1 E/.test(line) ? COLOURS.refused : COLOURS.plain;
}

/** A line in pieces that are as wide as the picture; where it goes on it is indented. */
function folded(line) {
	const pieces = [];
	let rest = line;
	while (rest.length > WIDTH) {
		const at = rest.lastIndexOf(" ", WIDTH);
		pieces.push(rest.slice(0, at));
		rest = `        ${rest.slice(at + 1)}`;
	}
	return [...pieces, rest];
}

function escaped(text) {
	return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
