// What a walk says, for people and for programs; the same for a program that runs and for a recording.

import { type HwptWalk, walkAsJson, walkHead, walkInWords } from "../iommufd/hwpt-walk.js";

export interface WalkText {
	readonly lines: readonly string[];
	/** For --json. */
	readonly data: object;
}

export function walkText(walk: HwptWalk): WalkText {
	return { lines: [`${walkHead(walk)}:`, ...walkInWords(walk).map((line) => `  ${line}`)], data: walkAsJson(walk) };
}
