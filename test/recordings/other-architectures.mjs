// Compares machines with recordings of real drivers that were made on Arm and s390, by the same programs as are run here, built for
// those. Three things differ then which are the program's and not the kernel's, and count for nothing here:
//
// - "ATTACH 0 pt=4": a field, and the call that fills it in, are arguments of one call, and C leaves open which comes first.
// - "  iova=...": these recordings were made before the program printed it.
// - "q=" and "h=" of s390: words and a hash of bytes as a big-endian machine has them.
//
// node test/recordings/other-architectures.mjs ORACLE_DIRECTORY; ends with "N passed, N failed".

import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { checkout } from "../../scripts/load-bundled.mjs";

const IOASIS = join(checkout, "bin", "ioasis");
const DEVICES = ["/dev/vfio/devices/vfio0", "/dev/vfio/devices/vfio1"];
const CALLS = "300";
/** What it calls the tables that it tries, by the beginning of the machine's name. */
const KINDS = { arm: "smmuv3", s390: "s390" };

const [oracle] = process.argv.slice(2);
const results = [...recordingsIn("drivers"), ...recordingsIn("drivers-fuzz")].map(compare);
const failed = results.filter((same) => !same).length;
console.log(`${results.length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

function recordingsIn(directory) {
	return readdirSync(join(oracle, directory))
		.filter((file) => Object.keys(KINDS).some((start) => file.startsWith(start)))
		.map((file) => join(oracle, directory, file));
}

/** @returns whether each line is the same */
function compare(recording) {
	const name = basename(recording, ".txt");
	const [, machine, seed] = recording.includes("drivers-fuzz") ? name.match(/^(.*)-(\d+)$/) : [name, name];
	const expected = linesOf(readFileSync(recording, "utf8"));
	const actual = linesOf(answersOf(machine, seed)).filter(
		(line) => !line.startsWith("  iova=") || expected.includes(line),
	);
	const at = Math.max(expected.length, actual.length);
	const difference = Array.from({ length: at }, (_, i) => i).find((i) => !isSame(expected[i], actual[i], machine));
	if (difference === undefined) return true;
	console.log(`differs: ${name}, line ${difference + 1}\n  - ${expected[difference]}\n  + ${actual[difference]}`);
	return false;
}

function answersOf(machine, seed) {
	const kind = Object.entries(KINDS).find(([start]) => machine.startsWith(start))[1];
	const program = seed === undefined ? ["probe"] : ["vfuzz", seed, CALLS, kind];
	const [file, ...words] = program;
	const run = ["run", "--quiet", "--machine", `qemu-${machine}`, "--", join(oracle, file), ...words, ...DEVICES];
	const { stdout, error } = spawnSync(IOASIS, run, { encoding: "utf8", timeout: 60_000 });
	if (error) throw error;
	return stdout;
}

function linesOf(text) {
	return text.split("\n").filter((line) => line !== "" && !line.startsWith("##"));
}

function isSame(expected, actual, machine) {
	if (expected === undefined || actual === undefined) return false;
	if (expected.endsWith("= ?")) return actual.startsWith(expected.slice(0, -1));
	return comparable(expected, machine) === comparable(actual, machine);
}

function comparable(line, machine) {
	const attached = line.replace(/^(ATTACH \d) pt=\d+/, "$1");
	return machine.startsWith("s390") ? attached.replace(/ [qh]=\S+/g, "") : attached;
}
