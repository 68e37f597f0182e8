// What `run` can be told of its trace.

import { FilterError, TraceFilter } from "../trace/filter.js";
import { refuse } from "./complain.js";

export interface TraceSettings {
	/** The fd that it is written to; absent for none, when only its totals are wanted. */
	readonly fd?: number | undefined;
	/** Where events go to be printed by another thread; absent where each is printed as it happens. */
	readonly ring?: SharedArrayBuffer | undefined;
	/** As --trace-filter has it. */
	readonly filter?: string | undefined;
	readonly isJson: boolean;
	readonly hasTimes: boolean;
	readonly hasTotals: boolean;
	/** Whether its reader is a terminal that takes colours. */
	readonly hasColours: boolean;
}

/** As the command line has it. */
export interface TraceOptions {
	/** Where the trace goes: a file, or "-" for stderr. */
	readonly traceTo?: string;
	readonly traceFilter?: string;
	readonly traceFormat: "text" | "json";
	readonly traceTimes?: true;
	readonly traceTotals?: true;
}

/** What is about a trace takes one. */
export function checkTraceOptions({ traceTo, traceFilter, traceFormat, traceTimes, traceTotals }: TraceOptions): void {
	if (traceFilter !== undefined) checkFilter(traceFilter);
	if (traceTo !== undefined) return;
	const given = {
		"--trace-filter": traceTotals ? undefined : traceFilter,
		"--trace-times": traceTimes,
		"--trace-format json": traceFormat === "json" ? true : undefined,
	};
	const other = Object.entries(given).find(([, value]) => value !== undefined)?.[0];
	if (other !== undefined) refuse(`${other} is about a trace, and there is none`, "add --trace, or --trace=FILE");
}

function checkFilter(text: string): void {
	try {
		new TraceFilter(text);
	} catch (error) {
		if (!(error instanceof FilterError)) throw error;
		refuse(
			`--trace-filter ${error.message}`,
			"a list with commas of errors, names of calls (IOMMU_IOAS_*, !pread64), device=vfio0, object=3",
		);
	}
}
