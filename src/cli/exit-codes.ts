// What a script can rely on, beside the program's own codes.

/** A wrong command line or machine: nothing has been started. */
export const USAGE_ERROR = 2;
/** `replay` found an answer that differs. */
export const DIFFERS = 1;
/** `walk`, `objects` or `ps` found no such run, page table or device, or `why` a call that is answered otherwise than it was. */
export const NOTHING_TO_SHOW = 1;
/** ioasis itself has failed. */
export const FAILED = 125;
/** As shells have them: the program is there but can't be started; it isn't there; it was killed by signal N. The first is also that this system lacks what a run takes. */
export const NOT_EXECUTABLE = 126;
export const NOT_FOUND = 127;
export const KILLED_BY = 128;
