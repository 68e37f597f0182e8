// The processor that this runs on.

import { arm64 } from "./arm64/arm64.js";
import type { InstructionSet } from "./instruction.js";
import { x86 } from "./x86/x86.js";

export const instructionSet: InstructionSet = process.arch === "arm64" ? arm64 : x86;
