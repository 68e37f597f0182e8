// Gathers in pages/ what the site shows: the README as its first page, docs/, and each file of the project that they link to.

import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, extname, join, posix, relative } from "node:path";
import { fileURLToPath } from "node:url";

const project = fileURLToPath(new URL("..", import.meta.url));
const pages = fileURLToPath(new URL("pages", import.meta.url));

rmSync(pages, { recursive: true, force: true });
mkdirSync(pages, { recursive: true });

/** By path in the project: the page that it is on the site. */
const placeOf = new Map([
	["README.md", "index.md"],
	["CONTRIBUTING.md", "contributing.md"],
	["CHANGELOG.md", "changelog.md"],
]);
for (const name of readdirSync(join(project, "docs"))) placeOf.set(`docs/${name}`, name);

const waiting = [...placeOf.keys()];
for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
	const place = placeOf.get(path);
	const from = join(project, path);
	const to = join(pages, place);
	mkdirSync(dirname(to), { recursive: true });
	if (extname(path) === ".svg") cpSync(from, to);
	else writeFileSync(to, extname(path) === ".md" ? linked(path, readFileSync(from, "utf8")) : shown(path, from));
}

/** A page whose links lead to pages of the site. */
function linked(path, text) {
	return text.replaceAll(/\]\((?!https?:|#)([^)\s#]+)(#[^)\s]*)?\)/g, (_, target, anchor = "") => {
		const wanted = posix.join(posix.dirname(path), target).replace(/\/$/, "");
		if (!existsSync(join(project, wanted))) throw new Error(`${path} links to ${target}, which isn't there`);
		if (!placeOf.has(wanted)) {
			placeOf.set(wanted, `source/${wanted.replaceAll(/[/.]/g, "-")}.md`);
			waiting.push(wanted);
		}
		const here = posix.dirname(placeOf.get(path));
		const link = relative(here, placeOf.get(wanted));
		return `](${link.startsWith(".") ? link : `./${link}`}${anchor})`;
	});
}

/** A file of the project as a page, a directory as a list of its files. */
function shown(path, from) {
	const isDirectory = statSync(from).isDirectory();
	const lines = isDirectory ? readdirSync(from).map((name) => `- \`${name}\``) : code(extname(path).slice(1), from);
	return [`# ${path}`, "", ...lines, ""].join("\n");
}

function code(language, from) {
	const known = { mjs: "js", ts: "ts", c: "c", py: "python", go: "go", rs: "rust", json: "json", toml: "toml" };
	return [`\`\`\`\`${known[language] ?? "text"}`, readFileSync(from, "utf8").trimEnd(), "````"];
}
