// `node test/fuzz/run.mjs [CALLS] [SEED]`: random calls on every kind of machine, as many as one likes.

import { Rounds } from "./rounds.js";

export const MACHINES = ["selftest", "intel", "amd", "arm", "riscv", "s390"];

export function main([calls = "1000000", seed = "1"]: readonly string[]): number {
	for (const name of MACHINES) {
		const begin = performance.now();
		let result: ReturnType<Rounds["run"]>;
		try {
			result = new Rounds(name).run(Number(seed), Number(calls) / MACHINES.length);
		} catch (error) {
			console.log((error as Error).message);
			return 1;
		}
		const errors = [...result.answers].filter(([answer]) => !answer.endsWith(" ok"));
		const failed = errors.reduce((sum, [, count]) => sum + count, 0);
		const seconds = (performance.now() - begin) / 1000;
		const [early, late] = result.heap.map((bytes) => (bytes / 2 ** 20).toFixed(1));
		console.log(
			`${name}: ${result.calls} calls in ${seconds.toFixed(1)} s, ${Math.round((100 * failed) / result.calls)} % errors of ${errors.length} kinds; ` +
				`memory ${early} MiB, then ${late} MiB; slowest ${result.slowest.milliseconds.toFixed(0)} ms (${result.slowest.what})`,
		);
	}
	return 0;
}
