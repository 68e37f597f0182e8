// The supervisor's thread: the machine and the engine live here.

import { addModel } from "../devices/models.js";
import { FailNth } from "../faults/fail-nth.js";
import { BlockFile } from "../host/devices/block-file.js";
import { FaultInjection } from "../host/fault-injection/fault-injection.js";
import { type Host, supervise } from "../host/launch/supervisor-thread.js";
import { discard } from "../host/memory/discard.js";
import type { Tracer } from "../host/supervisor.js";
import { vfioUser } from "../host/vfio-user/model.js";
import { RingWriter } from "../host/writing/ring.js";
import { policies } from "../iommufd/hwpt-policy.js";
import { MachineDescriptionError } from "../machine/description.js";
import type { Machine, Surroundings } from "../machine/machine.js";
import type { Outside } from "../machine/models.js";
import { EntryFrames } from "../machine/record/blocks.js";
import { Recorder } from "../machine/record/recorder.js";
import { watch } from "../machine/watch.js";
import { DmaErrors } from "./dma-errors.js";
import type { EngineSettings } from "./engine-settings.js";
import { FailureRecorder } from "./failure-recorder.js";
import { LineFile } from "./line-file.js";
import { LineTracer } from "./line-tracer.js";
import { type FoundMachine, findMachine, makeMachine } from "./machine-files.js";
import { ReportFile } from "./report-file.js";
import { answerQuestion } from "./run-answer.js";
import { WalkTracer } from "./walk-tracer.js";

/** package.json's; the build fills it in. */
declare const VERSION: string;

const STDERR = 2;

addModel(vfioUser);

/** What models have of the world. */
const outside: Outside = {
	openBlocks: (path, isReadOnly) => new BlockFile(path, isReadOnly),
	now: () => process.hrtime.bigint(),
};

supervise(async (settings: EngineSettings, host) => {
	const found = await findMachine(settings);
	if (settings.record !== undefined) checkThatItCanBeRecorded(found);
	const machine = makeMachine(found, policies.get(settings.policy), around(settings, host));
	const plan = settings.failNth === undefined ? undefined : new FailNth(settings.failNth);
	const recorder = recorderOf(machine, found, settings);
	if (recorder !== undefined) recorder.thread = host.thread;
	const served = recorder ?? machine;
	served.settle = host.settle;
	const lines = settings.trace && new LineTracer(machine, settings.trace);
	const reportFile = settings.report === undefined ? undefined : new ReportFile(settings.report);
	const dmaErrors = new DmaErrors(machine, settings.dmaErrors, reportFile, () => abort(host.thread()));
	// Stale translations are only looked for where somebody has asked.
	const stale = settings.dmaErrors && dmaErrors.checker;
	watch(
		machine,
		[recorder?.watcher, lines, stale].filter((watcher) => watcher !== undefined),
	);
	return {
		machine: served,
		history: machine.history,
		tracer: tracerOf(machine, settings, reportFile, lines, plan),
		dmaErrors: () => [...dmaErrors.counts],
		end: () => lines?.end(),
		faults: new FaultInjection(machine.hasTests, plan, host.debugfs),
		answer: (question) => answerQuestion(machine, question),
	};
});

/** What somebody else's functions do can't be had when it is replayed. @throws MachineDescriptionError */
function checkThatItCanBeRecorded({ description, source }: FoundMachine): void {
	for (const { devices } of description.iommus)
		for (const { address, model } of devices)
			if (model?.remote !== undefined)
				throw new MachineDescriptionError(
					`${source}: ${address} (${model.name}) is another process's, and can't be recorded`,
				);
}

/** Whoever made the last call is the driver, or at least one who works with it. */
function abort(thread: number): void {
	if (thread > 0) process.kill(thread, "SIGABRT");
}

/** Models have threads of their own. What is recorded is to be the same when it is replayed, so then they run in this one. */
function around({ record, memory }: EngineSettings, { devices }: Host): Surroundings {
	const placeOfModels = (machine: Machine) => (record === undefined ? devices.placeFor(machine) : undefined);
	return { outside, memory, discard, placeOfModels };
}

/** What stands in front of the machine and writes down all that it does. */
function recorderOf(
	machine: Machine,
	{ json }: FoundMachine,
	{ policy, memory, record, program }: EngineSettings,
): Recorder | undefined {
	if (record === undefined) return undefined;
	const ring = new RingWriter(record);
	const frames = new EntryFrames((bytes, length) => ring.put(bytes, length));
	const about = { policy, memory, ioasis: VERSION, program };
	return new Recorder(machine, json, about, (entry) => frames.write(entry));
}

/** Whoever wants to know of each call; undefined when that is nobody. */
function tracerOf(
	machine: Machine,
	{ trace, walk }: EngineSettings,
	report: ReportFile | undefined,
	lines: LineTracer | undefined,
	plan: FailNth | undefined,
): Tracer | undefined {
	let tracer: Tracer | undefined = lines;
	// Among the lines of the trace, where they are for people.
	const sink = trace?.isJson ? undefined : lines?.sink;
	if (walk.length > 0) tracer = new WalkTracer(machine, walk, sink ?? new LineFile(STDERR, "trace"), tracer);
	if (report !== undefined) tracer = new FailureRecorder(report, tracer, plan);
	return tracer;
}
