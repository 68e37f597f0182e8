// What a trapped ioctl costs the program that makes it, from the call to its answer.

import { join } from "node:path";
import { type Figure, type Measurement, noGoal, ratio, type Setting } from "../figure.js";
import { numbersOf } from "../floors.js";

/** What Ioasis is, in front of a program. */
export function ioasis(checkout: string, machine = "selftest"): string[] {
	return [join(checkout, "bin", "ioasis"), "run", "--quiet", "--machine", machine, "--"];
}

/** Calls to warm up with; Node's optimizing compiler is done by then. */
const WARM = 20_000;

/** One of calls.c's loops, in front of Ioasis and of trap-echo by turns; the best of three rounds each. */
function loop(setting: Setting, ...words: readonly (string | number)[]): Measurement {
	const { checkout, floors, rounds, short } = setting;
	const [mode, ...rest] = words;
	const parameters = [mode, WARM, short ? 10_000 : 20_000, 3, ...rest].map(String);
	const result = { figure: [] as number[], floor: [] as number[], cold: Number.POSITIVE_INFINITY };
	for (let round = 0; round < rounds; round++) {
		const floor = numbersOf([floors.path("trap-echo"), floors.path("calls"), ...parameters]);
		const figure = numbersOf([...ioasis(checkout), floors.path("calls"), ...parameters]);
		result.floor.push(Math.min(...floor.map(([, each]) => each)));
		result.figure.push(Math.min(...figure.map(([, each]) => each)));
		result.cold = Math.min(result.cold, figure[0][0]);
	}
	return result;
}

/** A million areas beside a thousand, in two IOASes of the same program. */
function areas(mode: "areas" | "chosen", { checkout, floors, rounds, short }: Setting): Measurement {
	const [few, many] = [1_000, short ? 100_000 : 1_000_000];
	const parameters = [mode, 10_000, short ? 5_000 : 20_000, rounds, few, many].map(String);
	const lines = numbersOf([...ioasis(checkout), floors.path("calls"), ...parameters]);
	const note = short ? `with ${many} areas` : undefined;
	return {
		figure: lines.map(([, , withMany]) => withMany),
		floor: lines.map(([, withFew]) => withFew),
		...(note && { note }),
	};
}

export const trappedFigures: readonly Figure[] = [
	{
		name: "trapped/ioas-alloc",
		what: "one IOAS_ALLOC from a C loop",
		against: "a C supervisor that copies the struct in and out (trap-echo)",
		unit: "us",
		goal: ratio(1.25),
		measure: (setting) => loop(setting, "alloc"),
	},
	{
		name: "trapped/map-unmap",
		what: "IOAS_MAP and IOAS_UNMAP of 4 KiB with one domain attached, per call",
		against: "trap-echo",
		unit: "us",
		goal: ratio(1.5),
		measure: (setting) => loop(setting, "map"),
	},
	{
		name: "trapped/map-unmap-2m",
		what: "the same, 2 MiB at a time in pages of the domain's choice",
		against: "trap-echo",
		unit: "us",
		goal: noGoal,
		measure: (setting) => loop(setting, "sizes", 512),
	},
	{
		name: "trapped/areas",
		what: "IOAS_MAP and IOAS_UNMAP of 4 KiB in an IOAS with 1,000,000 areas, per call",
		against: "the same in one with 1,000 areas",
		unit: "us",
		goal: ratio(1.5),
		measure: (setting) => areas("areas", setting),
	},
	{
		name: "trapped/areas-chosen",
		what: "the same without FIXED_IOVA: the IOVA is chosen",
		against: "the same in an IOAS with 1,000 areas",
		unit: "us",
		goal: ratio(1.5),
		measure: (setting) => areas("chosen", setting),
	},
];
