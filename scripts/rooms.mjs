// Checks that imports point downwards only: a room (a directory of src/) uses itself and the rooms below it. Within a room, files
// may know each other's types, but no file may be loaded before what it needs is: imports of values form no circle.
//   node scripts/rooms.mjs [SOURCE_DIRECTORY]      prints what breaks a rule; exits with 1 if anything does

import { readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, posix, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

/** The floors from the roof down; rooms on one floor don't use each other. docs/architecture.md says what each is for. */
const FLOORS = [
	["cli"],
	["host"],
	["index.ts"], // not a room, but the door for those who use the engine as a library
	["machine"],
	["vfio"],
	["iommufd", "devices"],
	["iommu"],
	["trace"],
	["files"],
	["memory", "pagetable"],
	["faults"],
	["uapi"],
];

/** The files of a room that stand in none of the rooms within it. */
const BESIDE_THE_ROOMS = ".";

/** The same within a room that has rooms of its own. */
const FLOORS_WITHIN = {
	iommufd: [["ioctls.ts"], ["selftest", "vfio-compat"], [BESIDE_THE_ROOMS], ["io-pagetable"]],
	iommu: [["drivers", "dma"], ["translation"], ["core"]],
	host: [
		["testing"],
		["launch"],
		["supervisor.ts"],
		["paths"],
		["fault-injection"],
		["devices"],
		["processes"],
		["files"],
		["registers", "vfio-user"],
		["memory"],
		["trap"],
		["linux", "internal-error.ts"],
		["writing"],
		["say.ts"],
		["failure.ts"],
	],
};

/** All the rest runs in a browser too. */
const ROOMS_WITH_NODE = ["cli", "host"];
const ROOMS_WITH_NATIVE_CALLS = ["host"];
const NATIVE_CALLS = "koffi";

/** `from "x"`, `import "x"`, `import("x")` and `require("x")`; a statement may span lines, its last word never does. */
const IMPORT = /\b(?:from|import|require)\s*\(?\s*["']([^"']+)["']/g;
/** What is loaded before the file that says so: `import ... from "x"`, `export ... from "x"`, `import "x"`; nothing of types. */
const LOADED_BEFORE = /^[ \t]*(?:import|export)\s+(?!type\b)(?:[^"';]*?\bfrom\s*)?["'](\.[^"']+)["']/gm;
const COMMENT_LINE = /^\s*(?:\/\/|\/?\*)/;

/** @typedef {{ file: string, line: number, module: string, rule: string }} Offence */

/**
 * The TypeScript files under `source`, and the lines of each, comments left empty.
 * @param {string} source
 * @returns {Map<string, string[]>}
 */
function readSources(source) {
	const files = readdirSync(source, { recursive: true, encoding: "utf8" })
		.map((file) => file.split(sep).join("/"))
		.filter((file) => /\.[cm]?tsx?$/.test(file))
		.sort();
	const linesOf = (file) => readFileSync(join(source, file), "utf8").split("\n");
	return new Map(files.map((file) => [file, linesOf(file).map((text) => (COMMENT_LINE.test(text) ? "" : text))]));
}

/**
 * Every import that breaks a rule.
 * @param {Map<string, string[]>} sources
 * @returns {Offence[]}
 */
function findOffences(sources) {
	return [...sources].flatMap(([file, lines]) =>
		lines.flatMap((text, index) =>
			[...text.matchAll(IMPORT)].flatMap(([, module]) => {
				const rule = brokenRule(file, module);
				return rule === undefined ? [] : [{ file, line: index + 1, module, rule }];
			}),
		),
	);
}

/**
 * Circles of imports of values, each as short as it can be, and no two with a file in common.
 * @param {Map<string, string[]>} sources
 * @returns {string[][]} each file imports the next one, the last one the first
 */
function findCircles(sources) {
	const imports = new Map(
		[...sources].map(([file, lines]) => {
			const targets = [...lines.join("\n").matchAll(LOADED_BEFORE)].map(([, module]) => targetOf(file, module));
			return [file, targets.filter((target) => sources.has(target))];
		}),
	);
	const seen = new Set();
	return [...sources.keys()]
		.map((file) => shortestCircle(file, imports))
		.filter((circle) => circle !== undefined)
		.sort((one, other) => one.length - other.length)
		.filter((circle) => {
			if (circle.some((file) => seen.has(file))) return false;
			for (const file of circle) seen.add(file);
			return true;
		});
}

/**
 * The shortest way from a file back to it.
 * @param {string} start
 * @param {Map<string, string[]>} imports
 * @returns {string[] | undefined}
 */
function shortestCircle(start, imports) {
	/** @type {Map<string, string | undefined>} */
	const from = new Map([[start, undefined]]);
	for (const file of from.keys())
		for (const target of imports.get(file)) {
			if (target === start) {
				const way = [];
				for (let at = file; at !== undefined; at = from.get(at)) way.unshift(at);
				return way;
			}
			if (!from.has(target)) from.set(target, file);
		}
	return undefined;
}

/**
 * The file below src/ that a relative import names.
 * @param {string} file
 * @param {string} module
 */
function targetOf(file, module) {
	return posix.normalize(posix.join(posix.dirname(file), module)).replace(/\.js$/, ".ts");
}

/**
 * Which rule forbids `file` to import `module`, in words; undefined when none does.
 * @param {string} file
 * @param {string} module
 * @returns {string | undefined}
 */
function brokenRule(file, module) {
	const [room] = file.split("/");
	if (floorOf(room, FLOORS) === -1) return unknownRoom(room);
	if (module.startsWith(".")) {
		const target = targetOf(file, module);
		if (target.startsWith("..")) return "src/ imports nothing from outside of src/";
		if (isForTests(target) && !isForTests(file)) return "only tests may import what is made for tests";
		return brokenDirection(file.split("/"), target.split("/"), FLOORS, isForTests(file));
	}
	if (module === NATIVE_CALLS && !ROOMS_WITH_NATIVE_CALLS.includes(room)) {
		return `only ${ROOMS_WITH_NATIVE_CALLS.join(" and ")} may import ${NATIVE_CALLS}`;
	}
	const ofNode = module.startsWith("node:") || builtinModules.includes(module);
	if (ofNode && !ROOMS_WITH_NODE.includes(room) && !isTest(file)) {
		return `only ${ROOMS_WITH_NODE.join(" and ")}, and tests, may import Node's modules`;
	}
	return undefined;
}

/**
 * @param {string[]} from the way to a file, from a room on
 * @param {string[]} to
 * @param {readonly (readonly string[])[]} floors
 * @param {boolean} ofTest tests, and what they have in common, may use all the rooms of the room that they stand in
 * @returns {string | undefined}
 */
function brokenDirection(from, to, floors, ofTest) {
	const room = roomOn(from, floors);
	const target = roomOn(to, floors);
	const floor = floorOf(room, floors);
	const targetFloor = floorOf(target, floors);
	if (floor === -1) return unknownRoom(room);
	if (target === room) {
		const within = FLOORS_WITHIN[room];
		return within === undefined || ofTest ? undefined : brokenDirection(from.slice(1), to.slice(1), within, ofTest);
	}
	if (targetFloor > floor) return undefined;
	return targetFloor === -1
		? unknownRoom(target)
		: `${inWords(room)} may import only itself and ${below(floor, floors)}`;
}

/**
 * The room that a way begins with; for a file that has no floor of its own, all that stand beside the rooms.
 * @param {string[]} way
 * @param {readonly (readonly string[])[]} floors
 */
function roomOn([first, ...rest], floors) {
	const isBeside = rest.length === 0 && floorOf(first, floors) === -1 && floorOf(BESIDE_THE_ROOMS, floors) !== -1;
	return isBeside ? BESIDE_THE_ROOMS : first;
}

/** @param {string} file */
function isTest(file) {
	return file.endsWith(".test.ts");
}

/** @param {string} file */
function isForTests(file) {
	return isTest(file) || file.endsWith(".testing.ts");
}

/**
 * @param {string} room
 * @param {readonly (readonly string[])[]} floors
 */
function floorOf(room, floors) {
	return floors.findIndex((rooms) => rooms.includes(room));
}

/**
 * @param {number} floor
 * @param {readonly (readonly string[])[]} floors
 */
function below(floor, floors) {
	return (
		floors
			.slice(floor + 1)
			.flat()
			.map(inWords)
			.join(", ") || "nothing else"
	);
}

/** @param {string} room */
function inWords(room) {
	return room === BESIDE_THE_ROOMS ? "what is beside the rooms" : room;
}

/** @param {string} room */
function unknownRoom(room) {
	return `${room} is not a room: move the file, or give the room its floor in scripts/rooms.mjs`;
}

const source = process.argv[2] ?? join(dirname(dirname(fileURLToPath(import.meta.url))), "src");
const sources = readSources(source);
const offences = findOffences(sources);
const circles = findCircles(sources);
for (const { file, line, module, rule } of offences) {
	console.log(`${join(relative(process.cwd(), source), file)}:${line}: imports "${module}": ${rule}`);
}
for (const circle of circles) {
	console.log(`circle: ${[...circle, circle[0]].join(" imports ")}: none can be loaded before the others`);
}
console.log(`${sources.size} files in src/, ${offences.length} imports that break a rule, ${circles.length} circles`);
process.exitCode = offences.length + circles.length === 0 ? 0 : 1;
