// Any moment of a recording is the machine as it was then, however one gets there.

import fc from "fast-check";
import { expect, test } from "vitest";
import { BUFFER, TestClient } from "../../iommufd/client.testing.js";
import type { IommufdFile } from "../../iommufd/ioctls.js";
import { type Entry, isCall } from "../../trace/record.js";
import { Destroy, IoasAlloc, IoasMap, IoasMapFlags } from "../../uapi/iommufd.js";
import type { Machine } from "../machine.js";
import { Recorder } from "./recorder.js";
import { Recording } from "./recording.js";
import { machineOf, SELFTEST } from "./recordings.testing.js";
import { callsAmong, Timeline } from "./timeline.js";

const CALLS = 3000;
const machine = () => machineOf(SELFTEST);

/** What there is on a machine, as text. */
function stateOf(on: Machine): string {
	const objects = [...on.contexts()].flatMap(({ objects }) => [...objects].map(({ kind, id }) => `${kind} ${id}`));
	return `${objects.join()}; ${on.frames.pinned} pages`;
}

/** A program that allocates, maps and destroys; and the state after each of its calls. */
function recordingOf(): { recording: Recording; states: string[] } {
	const entries: Entry[] = [];
	const states: string[] = [];
	const on = machine();
	const recorder = new Recorder(on, JSON.parse(SELFTEST), { policy: "mainline" }, (entry) => {
		entries.push(structuredClone(entry));
		if (isCall(entry)) states.push(stateOf(on));
	});
	const client = new TestClient(undefined, {}, recorder.open("/dev/iommu", { capable: () => true }) as IommufdFile);
	const flags = IoasMapFlags.READABLE | IoasMapFlags.WRITEABLE;
	const first = client.call(IoasAlloc, {}).outIoasId;
	client.test("MOCK_DOMAIN", { id: first });
	for (let i = 0; states.length < CALLS; i++) {
		const { outIoasId } = client.call(IoasAlloc, {});
		client.call(IoasMap, { flags, ioasId: first, userVa: BigInt(BUFFER), length: 0x1000n });
		if (i % 3 !== 0) client.call(Destroy, { id: outIoasId });
	}
	return { recording: new Recording(entries), states };
}

const { recording, states } = recordingOf();

test("forwards, backwards and after time to prepare, each moment is what it was", () => {
	const step = fc.oneof(
		fc.integer({ min: 1, max: recording.calls }),
		fc.constantFrom(0, 1, recording.calls),
		fc.constant("prepare" as const),
	);
	const property = fc.property(fc.array(step, { minLength: 1, maxLength: 12 }), (steps) => {
		const timeline = new Timeline(recording, machine);
		for (const one of steps) {
			if (one === "prepare") timeline.prepare(5);
			else expect(stateOf(timeline.at(one).machine)).toBe(one === 0 ? stateOf(machine()) : states[one - 1]);
		}
	});
	fc.assert(property, { numRuns: 20 });
});

test("with all prepared no moment is far from a run", () => {
	let made = 0;
	const timeline = new Timeline(recording, () => {
		made++;
		return machine();
	});
	while (timeline.prepare(1000));
	expect(made).toBeGreaterThan(3);
	const before = made;
	const at = Math.floor(recording.calls * 0.9);
	expect(timeline.at(at).done).toBeGreaterThanOrEqual(recording.indexOfCall(at));
	expect(made).toBe(before);
});

test("a call that is answered otherwise ends the story there", () => {
	const index = recording.indexOfCall(100);
	const changed = Array.from(recording, (entry, i) => (i === index ? ({ ...entry, answer: 77 } as Entry) : entry));
	const timeline = new Timeline(new Recording(changed), machine);
	expect(timeline.at(99).difference).toBeUndefined();
	const run = timeline.at(500);
	expect(run.difference?.call).toBe(changed[index]);
	expect(callsAmong(recording, run.done)).toBe(100);
	expect(timeline.at(98).difference).toBeUndefined();
	expect(timeline.at(2000).difference?.call).toBe(changed[index]);
	while (timeline.prepare(1000));
});
