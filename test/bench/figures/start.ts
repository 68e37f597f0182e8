// What it costs to run a program under Ioasis at all.

import { spawnSync } from "node:child_process";
import { type Figure, inTurns, ratio, Skipped } from "../figure.js";
import { ioasis } from "./trapped.js";

function milliseconds([program, ...parameters]: readonly string[]): number {
	const start = performance.now();
	const { status, stderr } = spawnSync(program, parameters, { stdio: ["ignore", "ignore", "pipe"] });
	if (status !== 0) throw new Skipped(`${program}: ${stderr}`);
	return performance.now() - start;
}

export const startFigures: readonly Figure[] = [
	{
		name: "start/true",
		what: "ioasis run --quiet -- /bin/true, from its start to its end",
		against: "node -e 0",
		unit: "ms",
		goal: ratio(3),
		measure({ checkout, rounds }) {
			const command = [...ioasis(checkout), "/bin/true"];
			milliseconds(command); // It may have to be built.
			return inTurns(
				3 * rounds,
				() => milliseconds(command),
				() => milliseconds([process.execPath, "-e", "0"]),
			);
		},
	},
];
