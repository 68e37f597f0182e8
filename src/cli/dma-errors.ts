// --dma-errors: what goes wrong with the DMA of a run is printed as it happens, counted by kind, and may end the run.

import { sayOnStderr } from "../host/say.js";
import { DmaChecker, type DmaError, type DmaErrorKind } from "../machine/dma-checker.js";
import type { Machine } from "../machine/machine.js";
import { refuse } from "./complain.js";
import { inWords, lineOf } from "./dma-error-text.js";
import type { ReportFile } from "./report-file.js";

/** What is done about an error besides counting it. */
export interface DmaErrorSettings {
	readonly isJson: boolean;
	/** PROGRAM is killed by SIGABRT at the first one. */
	readonly aborts: boolean;
}

/** So many are printed; all are counted. A device that goes astray does so a million times. */
const MOST_PRINTED = 100;

/**
 * Reads the option's value.
 * @returns what is done, and with which exit code the run ends if there was an error
 */
export function parseDmaErrors(text: string, isJson: boolean): DmaErrorSettings & { readonly exitCode?: number } {
	if (text === "report") return { isJson, aborts: false };
	if (text === "abort") return { isJson, aborts: true };
	const code = Number(/^exit=(\d{1,3})$/.exec(text)?.[1] ?? Number.NaN);
	if (code >= 1 && code <= 255) return { isJson, aborts: false, exitCode: code };
	refuse(`--dma-errors ${text}: there is no such way`, "report, abort, or exit=CODE with a code from 1 to 255");
}

export class DmaErrors {
	readonly counts = new Map<DmaErrorKind, number>();
	readonly checker: DmaChecker;
	readonly #settings: DmaErrorSettings | undefined;
	readonly #report: ReportFile | undefined;
	readonly #abort: () => void;
	#printed = 0;

	/** @param abort kills the program */
	constructor(
		machine: Machine,
		settings: DmaErrorSettings | undefined,
		report: ReportFile | undefined,
		abort: () => void,
	) {
		this.#settings = settings;
		this.#report = report;
		this.#abort = abort;
		this.checker = new DmaChecker(machine, (error) => this.#found(error));
	}

	#found(error: DmaError): void {
		const before = this.counts.get(error.kind) ?? 0;
		this.counts.set(error.kind, before + 1);
		this.#report?.dma(lineOf(error));
		if (this.#settings === undefined) return;
		const { isJson, aborts } = this.#settings;
		if (this.#printed++ < MOST_PRINTED) sayOnStderr(...(isJson ? [JSON.stringify(lineOf(error))] : inWords(error)));
		if (aborts) this.#abort();
	}
}
