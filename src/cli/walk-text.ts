// What a walk says, for people and for programs; the same for a program that runs and for a recording.

import { type HwptWalk, walkAsJson, walkHead, walkInWords } from "../iommufd/hwpt-walk.js";
import type { Shown } from "./run-socket.js";

export function walkText(walk: HwptWalk): Shown {
	return { lines: [`${walkHead(walk)}:`, ...walkInWords(walk).map((line) => `  ${line}`)], data: walkAsJson(walk) };
}
