// The processor that this runs on.

import type { InstructionSet } from "./instruction.js";
import { x86 } from "./x86/x86.js";

export const instructionSet: InstructionSet = x86;
