// --trace-totals: how often each call was made, how often it failed, and how long its answers took.

import type { TraceEvent } from "./event.js";
import { isFailure, namesOf } from "./filter.js";

interface Count {
	calls: number;
	errors: number;
	seconds: number;
}

const HEAD = ["seconds", "µs each", "calls", "errors", "call"];

export class Totals {
	readonly #counts = new Map<string, Count>();

	add(event: TraceEvent, seconds: number): void {
		const name = namesOf(event).join(" or ");
		const count = this.#counts.get(name) ?? { calls: 0, errors: 0, seconds: 0 };
		this.#counts.set(name, count);
		count.calls++;
		count.seconds += seconds;
		if (isFailure(event)) count.errors++;
	}

	/** A table, those that took longest first, and the sum at the end. */
	inLines(): string[] {
		const counts = [...this.#counts].sort(
			([, one], [, other]) => other.seconds - one.seconds || other.calls - one.calls,
		);
		const sum = counts.reduce(
			(total, [, { calls, errors, seconds }]) => ({
				calls: total.calls + calls,
				errors: total.errors + errors,
				seconds: total.seconds + seconds,
			}),
			{ calls: 0, errors: 0, seconds: 0 },
		);
		const rows = [HEAD, ...counts.map(([name, count]) => cells(name, count)), cells("all", sum)];
		const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column].length)));
		return rows.map((row) =>
			row.map((cell, column) => (column === HEAD.length - 1 ? cell : cell.padStart(widths[column]))).join("  "),
		);
	}
}

function cells(name: string, { calls, errors, seconds }: Count): string[] {
	const each = calls === 0 ? 0 : (seconds * 1e6) / calls;
	return [seconds.toFixed(6), each.toFixed(1), String(calls), String(errors), name];
}
