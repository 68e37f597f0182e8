// What `run` tells its supervisor's thread: which machine, under which rule, and who wants to know of its calls.

import type { DmaErrorSettings } from "./dma-errors.js";
import type { TraceSettings } from "./trace-settings.js";

export interface EngineSettings {
	/** The machine's name, or a file that describes it. */
	readonly machine: string;
	/** The functions that it has besides: --device. */
	readonly devices?: readonly string[] | undefined;
	/** The allocation rule, by its name in `policies`. */
	readonly policy: string;
	/** How much of our own memory clients may have us use, in bytes. */
	readonly memory: number;
	/** Absent for none. */
	readonly trace?: TraceSettings | undefined;
	/** What is done about a DMA that goes wrong; absent: they are counted. */
	readonly dmaErrors?: DmaErrorSettings | undefined;
	/** The fd that the report is written to; absent for none. */
	readonly report?: number | undefined;
	/** Where the entries of the recording go to be written by another thread; absent for none. */
	readonly record?: SharedArrayBuffer | undefined;
	/** What the recording says of the run: the program, and its arguments. */
	readonly program: readonly string[];
	/** Which place is to fail, of all that the program comes by; 0 for none, but they are counted. Absent: nobody asks. */
	readonly failNth?: number | undefined;
	/** IOVAs whose translation is printed. */
	readonly walk: readonly bigint[];
}
