// Long work in slices. A loop that may run long says how much it has done, at points where all that others can see is in order. Whoever
// plays the machine then looks whether it is time to answer others, and does so from there: their calls run on top of this one, and come
// to their end before it goes on. So a loop keeps nothing in variables of its module across such a point.
//
// All calls are synchronous, so there is one who serves, and as a rule nobody else wants anything: then it costs one comparison.

/** About 50 us of work. */
const UNITS = 32768;

let most = UNITS;
let left = UNITS;
let serve: (() => void) | undefined;

/** @param units of about 2 ns, an entry of a page table for one */
export function worked(units: number): void {
	left -= units;
	if (left <= 0) look();
}

function look(): void {
	left = most;
	serve?.();
}

/**
 * Has others served.
 * @param by is called now and then from within long work, and may do nothing
 * @param units how much work is done in between
 */
export function serveOthers(by: (() => void) | undefined, units = UNITS): void {
	serve = by;
	most = units;
	left = units;
}
