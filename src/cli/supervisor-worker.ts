// The supervisor's thread: the machine and the engine live here.

import { FailNth } from "../faults/fail-nth.js";
import { FaultInjection } from "../host/fault-injection.js";
import type { Tracer } from "../host/supervisor.js";
import { supervise } from "../host/supervisor-thread.js";
import { policies } from "../iommufd/hwpt-policy.js";
import type { Machine } from "../machine/machine.js";
import { Recorder } from "../machine/record/recorder.js";
import { type EngineSettings, unpackSettings } from "./engine-settings.js";
import { FailureRecorder } from "./failure-recorder.js";
import { LineFile } from "./line-file.js";
import { LineTracer, traceDevices } from "./line-tracer.js";
import { loadMachine, machineText } from "./machine-files.js";
import { recordTo } from "./recording-file.js";
import { ReportFile } from "./report-file.js";
import { answerWalk, type PackedWalkQuestion } from "./walk-answer.js";
import { WalkTracer } from "./walk-tracer.js";

const STDERR = 2;

let settings: EngineSettings;
let machine: Machine;
let plan: FailNth | undefined;

supervise(
	(packed, host) => {
		settings = unpackSettings(packed);
		machine = loadMachine(settings.machine, policies.get(settings.policy));
		const { record, failNth } = settings;
		plan = failNth === undefined ? undefined : new FailNth(failNth);
		const served =
			record === undefined
				? machine
				: new Recorder(machine, JSON.parse(machineText(settings.machine)), settings.policy, recordTo(record));
		served.settle = host.settle;
		return served;
	},
	() => {
		const { trace, walk, report } = settings;
		const lines = new LineFile(trace ?? STDERR, "trace");
		let tracer: Tracer | undefined;
		if (trace !== undefined) {
			tracer = new LineTracer(lines);
			traceDevices(machine, lines);
		}
		if (walk.length > 0) tracer = new WalkTracer(machine, walk.map(BigInt), lines, tracer);
		if (report !== undefined) tracer = new FailureRecorder(new ReportFile(report), tracer, plan);
		return tracer!; // Nobody asks for one where none is wanted.
	},
	(question) => answerWalk(machine, question as PackedWalkQuestion),
	(directory) => new FaultInjection(machine.hasTests, plan, directory),
);
