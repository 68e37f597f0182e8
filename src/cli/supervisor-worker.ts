// The supervisor's thread: the machine and the engine live here.

import type { Tracer } from "../host/supervisor.js";
import { supervise } from "../host/supervisor-thread.js";
import { policies } from "../iommufd/hwpt-policy.js";
import { type EngineSettings, unpackSettings } from "./engine-settings.js";
import { FailureRecorder } from "./failure-recorder.js";
import { LineTracer } from "./line-tracer.js";
import { loadMachine } from "./machine-files.js";
import { ReportFile } from "./report-file.js";

let settings: EngineSettings;

supervise(
	(packed, host) => {
		settings = unpackSettings(packed);
		const machine = loadMachine(settings.machine, policies.get(settings.policy));
		machine.settle = host.settle;
		return machine;
	},
	() => {
		const { trace, report } = settings;
		const lines: Tracer | undefined = trace === undefined ? undefined : new LineTracer(trace);
		return report === undefined ? lines! : new FailureRecorder(new ReportFile(report), lines);
	},
);
