import { expect, test } from "vitest";
import { Errno } from "../uapi/errno.js";
import type { TraceEvent } from "./event.js";
import { Totals } from "./totals.js";

const open = (result: number | Errno): TraceEvent => ({
	kind: "open",
	event: { thread: 1, path: "/dev/iommu", flags: 0, result },
});

test("calls are counted by name, those that took longest first, with the sum at the end", () => {
	const totals = new Totals();
	totals.add(open(3), 0.000_001);
	totals.add(open(new Errno("EMFILE", "no more")), 0.000_003);
	totals.add({ kind: "transfer", event: { thread: 1, call: "read", fd: 3, path: "q", arguments: [], result: 1 } }, 0.5);
	expect(totals.inLines()).toEqual([
		" seconds   µs each  calls  errors  call",
		"0.500000  500000.0      1       0  read",
		"0.000004       2.0      2       1  open",
		"0.500004  166668.0      3       1  all",
	]);
});
