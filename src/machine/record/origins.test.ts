import { expect, test } from "vitest";
import { TestClient } from "../../iommufd/client.testing.js";
import type { IommufdFile } from "../../iommufd/ioctls.js";
import { codeOf } from "../../uapi/errno.js";
import { Destroy, IoasAlloc } from "../../uapi/iommufd.js";
import { Origins } from "./origins.js";
import { RecordedRun } from "./recorded-run.js";
import { Recording } from "./recording.js";
import { machineOf, recordingOf, SELFTEST } from "./recordings.testing.js";

const root = { capable: () => true };

test("of an object that is there the call that has made it, of one that is gone the call that has destroyed it", () => {
	const recording = new Recording(
		recordingOf(SELFTEST, (recorder) => {
			const client = new TestClient(undefined, {}, recorder.open("/dev/iommu", root) as IommufdFile);
			const other = new TestClient(undefined, {}, recorder.open("/dev/iommu", root) as IommufdFile);
			client.call(IoasAlloc, {}); // call 3: object 1
			client.test("MOCK_DOMAIN", { id: 1 }); // 4: 2, 3 and the HWPT 4
			client.call(IoasAlloc, {}); // 5: object 5
			other.call(IoasAlloc, {}); // 6: another one's object 1
			client.call(Destroy, { id: 5 }); // 7
			codeOf(() => client.call(Destroy, { id: 1 })); // 8: EBUSY
			other.call(Destroy, { id: 1 }); // 9
		}),
	);
	const run = new RecordedRun(recording, machineOf(SELFTEST));
	run.forward(recording.length);
	const [context, another] = run.machine.contexts();
	const origins = new Origins(recording, run, 10, context);
	expect([1, 2, 3, 4, 5, 6].map((id) => origins.madeBy(id))).toEqual([3, 4, 4, 4, 5, undefined]);
	expect([1, 4, 5, 6].map((id) => origins.destroyedBy(id))).toEqual([undefined, undefined, 7, undefined]);
	expect(new Origins(recording, run, 10, another).destroyedBy(1)).toBe(9);
	expect(new Origins(recording, run, 7, context).destroyedBy(5)).toBeUndefined();
});

test("an id that was given again is the last object's that has it", () => {
	const recording = new Recording(
		recordingOf(SELFTEST, (recorder) => {
			const client = new TestClient(undefined, {}, recorder.open("/dev/iommu", root) as IommufdFile);
			const ids = [client.call(IoasAlloc, {}).outIoasId]; // call 2
			client.call(Destroy, { id: ids[0] }); // 3
			ids.push(client.call(IoasAlloc, {}).outIoasId); // 4
			expect(ids).toEqual([1, 1]);
		}),
	);
	const run = new RecordedRun(recording, machineOf(SELFTEST));
	run.forward(recording.length);
	const [context] = run.machine.contexts();
	const origins = new Origins(recording, run, 5, context);
	expect([origins.madeBy(1), origins.destroyedBy(1)]).toEqual([4, undefined]);
});
