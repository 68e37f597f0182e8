// All that a controller knows, as bytes: so that another one, with the same namespaces and as many queues, goes on where it stopped. What
// the namespaces hold isn't in it: that is on their media.
// The bytes are those of a migration (VFIO_DEVICE_FEATURE_MIGRATION), so they come from whoever has them: all is checked before any of it counts.

import * as v from "valibot";
import type { Controller } from "./controller.js";
import { ERROR_LOG_ENTRIES, ErrorEntry } from "./error-log.js";
import { EventType, MOST_REQUESTS } from "./events.js";
import { LBA_SHIFTS } from "./namespace.js";
import { CompletionQueue, SubmissionQueue } from "./queues.js";
import { END_OF_REGISTERS, MAX_PAGE_SHIFT, MOST_ENTRIES } from "./registers.js";

const MAGIC = "NVMe";
const VERSION = 1;
/** Magic, version, and how long the description is; the Controller Memory Buffer comes after that. */
const HEADER = 12;

const integer = (last: number) => v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(last));
const u16 = integer(0xffff);
const u32 = integer(0xffff_ffff);
const count = integer(Number.MAX_SAFE_INTEGER);
const page = integer(2 ** 52 - 1);
const status = integer(0x7ff);
const pairs = v.array(v.tuple([u32, u32]));

const ring = { id: u16, page, size: v.pipe(integer(MOST_ENTRIES), v.minValue(2)), head: u16, tail: u16 };

const stateSchema = v.strictObject({
	serial: v.string(),
	registers: v.pipe(v.array(u32), v.length(END_OF_REGISTERS / 4)),
	interruptMask: u32,
	doorbells: v.array(u32),
	shadow: v.nullable(v.strictObject({ doorbells: page, eventIndexes: page })),
	allocatedSubmission: u16,
	allocatedCompletion: u16,
	completion: v.array(v.strictObject({ ...ring, vector: u16, hasInterrupts: v.boolean(), phase: integer(1) })),
	submission: v.array(v.strictObject({ ...ring, completionId: u16 })),
	next: u16,
	late: v.array(
		v.strictObject({
			completionId: u16,
			submissionId: u16,
			submissionHead: u16,
			commandId: u16,
			status,
			result: u32,
		}),
	),
	requests: v.pipe(v.array(u16), v.maxLength(MOST_REQUESTS)),
	events: v.array(
		v.strictObject({ type: integer(EventType.NOTICE), information: integer(255), logPage: integer(255) }),
	),
	told: v.array(integer(EventType.NOTICE)),
	errorCount: count,
	errors: v.pipe(v.array(v.pipe(v.array(integer(255)), v.length(ErrorEntry.size))), v.maxLength(ERROR_LOG_ENTRIES)),
	health: v.strictObject({
		bytesRead: count,
		bytesWritten: count,
		readCommands: count,
		writeCommands: count,
		mediaErrors: count,
	}),
	features: v.strictObject({
		numbers: pairs,
		errorRecovery: pairs,
		vectors: pairs,
		overTemperature: u16,
		underTemperature: u16,
		/** Milliseconds. */
		timestamp: integer(2 ** 48 - 1),
		isTimestampSet: v.boolean(),
		hostIdentifier: v.pipe(v.array(integer(255)), v.length(16)),
	}),
	changed: v.array(u32),
	operations: v.array(
		v.strictObject({
			kind: v.picklist(["verify", "deallocate", "format"]),
			submissionId: u16,
			commandId: u16,
			rest: v.array(v.strictObject({ namespaceId: u32, ranges: v.array(v.tuple([count, count])) })),
			format: v.optional(integer(LBA_SHIFTS.length - 1)),
			isDurable: v.optional(v.boolean()),
		}),
	),
	namespaces: v.array(
		v.strictObject({
			id: u32,
			/** In bytes. */
			size: count,
			format: integer(LBA_SHIFTS.length - 1),
			isFormatting: v.boolean(),
			uncorrectable: v.array(v.tuple([count, count])),
		}),
	),
});

type State = v.InferOutput<typeof stateSchema>;

/** Between two turns. */
export function saveState(controller: Controller): Uint8Array {
	const description = new TextEncoder().encode(JSON.stringify(stateOf(controller)));
	const { buffer } = controller.memory;
	const bytes = new Uint8Array(HEADER + description.length + buffer.length);
	const view = new DataView(bytes.buffer);
	bytes.set(new TextEncoder().encode(MAGIC));
	view.setUint32(4, VERSION, true);
	view.setUint32(8, description.length, true);
	bytes.set(description, HEADER);
	bytes.set(buffer, HEADER + description.length);
	return bytes;
}

/** @throws Error with a message that says what doesn't fit; nothing has changed then */
export function restoreState(controller: Controller, bytes: Uint8Array): void {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
	if (bytes.length < HEADER || new TextDecoder().decode(bytes.subarray(0, 4)) !== MAGIC)
		throw new Error("this is no state of an NVMe controller");
	const version = view.getUint32(4, true);
	if (version !== VERSION) throw new Error(`the state has version ${version}: ${VERSION} is known`);
	const length = view.getUint32(8, true);
	const buffer = bytes.subarray(HEADER + length);
	if (buffer.length !== controller.memory.buffer.length)
		throw new Error(
			`the state has ${bytes.length} bytes, and should have ${HEADER + length + controller.memory.buffer.length}`,
		);
	const state = parse(bytes.subarray(HEADER, HEADER + length));
	check(controller, state);
	apply(controller, state);
	controller.memory.buffer.set(buffer);
}

function parse(description: Uint8Array): State {
	let value: unknown;
	try {
		value = JSON.parse(new TextDecoder().decode(description));
	} catch {
		throw new Error("the state's description is no JSON");
	}
	const { success, output, issues } = v.safeParse(stateSchema, value);
	if (success) return output;
	throw new Error(`the state is wrong at ${v.getDotPath(issues[0]) ?? "its top"}: ${issues[0].message}`);
}

function stateOf(controller: Controller): State {
	const { queues, execution, events, errorLog, health, features, namespaces, operations, doorbells } = controller;
	return {
		serial: controller.serial,
		registers: [...controller.registers],
		interruptMask: controller.interrupts.mask,
		doorbells: [...doorbells.words],
		shadow: doorbells.shadow ?? null,
		allocatedSubmission: queues.allocatedSubmission,
		allocatedCompletion: queues.allocatedCompletion,
		completion: queues.completion
			.filter((queue) => queue !== undefined)
			.map(({ id, page, size, head, tail, vector, hasInterrupts, phase }) => ({
				...{ id, page, size, head, tail, vector, hasInterrupts, phase },
			})),
		submission: queues.submission
			.filter((queue) => queue !== undefined)
			.map(({ id, page, size, head, tail, completions }) => ({
				id,
				page,
				size,
				head,
				tail,
				completionId: completions.id,
			})),
		next: execution.next,
		late: execution.late,
		requests: events.requests,
		events: events.waiting,
		told: [...events.told],
		errorCount: errorLog.count,
		errors: errorLog.entries.map((entry) => [...entry]),
		health: { ...health },
		features: {
			numbers: [...features.numbers],
			errorRecovery: [...features.errorRecovery],
			vectors: [...features.vectors],
			overTemperature: features.overTemperature,
			underTemperature: features.underTemperature,
			timestamp: features.timestampAt(controller.clock()),
			isTimestampSet: features.isTimestampSet,
			hostIdentifier: [...features.hostIdentifier],
		},
		changed: [...namespaces.changed],
		operations: operations.all.map((operation) => ({ ...operation, rest: [...operation.rest] })),
		namespaces: namespaces.all.map(({ id, store, format, isFormatting, uncorrectable }) => ({
			...{ id, size: store.size, format, isFormatting, uncorrectable: uncorrectable.ranges() },
		})),
	};
}

/** What one field says must fit what others say, and the controller. */
function check(controller: Controller, state: State): void {
	const { queues, namespaces, doorbells, vectors } = controller;
	const must = (isRight: boolean, message: string) => {
		if (!isRight) throw new Error(message);
	};
	must(
		state.doorbells.length === doorbells.words.length,
		`the state is of a controller with ${state.doorbells.length / 2 - 1} I/O queues, and this one has ${queues.most}`,
	);
	must(
		state.namespaces.length === namespaces.all.length,
		`the state is of a controller with ${state.namespaces.length} namespaces, and this one has ${namespaces.all.length}`,
	);
	for (const [index, { store }] of namespaces.all.entries()) {
		const { id, size, format, uncorrectable } = state.namespaces[index];
		must(
			id === index + 1 && size === store.size,
			`namespace ${index + 1} of the state has ${size} bytes, and here ${store.size}`,
		);
		const blocks = Math.floor(size / 2 ** LBA_SHIFTS[format]);
		must(
			uncorrectable.every(([first, count]) => first + count <= blocks),
			`uncorrectable blocks of namespace ${id} are beyond its end`,
		);
	}
	must(
		[...state.completion, ...state.submission].every(({ head, tail, size }) => head < size && tail < size),
		"the head or tail of a queue of the state is beyond its end",
	);
	const completionIds = new Set(state.completion.map(({ id }) => id));
	const submissionIds = new Set(state.submission.map(({ id }) => id));
	must(
		completionIds.size === state.completion.length && submissionIds.size === state.submission.length,
		"two queues of the state have the same number",
	);
	must(
		[...completionIds, ...submissionIds].every((id) => id <= queues.most),
		`a queue of the state has a number above ${queues.most}`,
	);
	must(
		state.allocatedSubmission <= queues.most && state.allocatedCompletion <= queues.most && state.next <= queues.most,
		`the state has more queues than ${queues.most}`,
	);
	must(
		state.completion.every(({ vector }) => vector < vectors),
		`a queue of the state interrupts by a vector that isn't there: there are ${vectors}`,
	);
	must(
		state.submission.every(({ completionId }) => completionIds.has(completionId)),
		"a submission queue of the state has no completion queue",
	);
	must(
		state.late.every(({ completionId }) => completionIds.has(completionId)),
		"a completion of the state has no queue",
	);
	must(
		state.operations.every(({ submissionId }) => submissionIds.has(submissionId)),
		"an operation of the state has no queue",
	);
	must(state.requests.length === 0 || submissionIds.has(0), "the state has requests for events, and no admin queue");
	for (const { kind, format, rest } of state.operations) {
		must(
			(kind === "format") === (format !== undefined),
			"an operation of the state has a format, or none, that it needs",
		);
		for (const { namespaceId, ranges } of rest) {
			const namespace = state.namespaces[namespaceId - 1];
			must(namespace !== undefined, `an operation of the state is about namespace ${namespaceId}, which isn't there`);
			const blocks = Math.floor(namespace.size / 2 ** LBA_SHIFTS[namespace.format]);
			must(
				ranges.every(([first, end]) => first <= end && end <= blocks),
				`an operation of the state goes beyond the end of namespace ${namespaceId}`,
			);
		}
	}
	must(
		controller.configurationOf(state.registers).memoryPageSize <= MAX_PAGE_SHIFT - 12,
		"the state has a page size (CC.MPS) that isn't there",
	);
}

function apply(controller: Controller, state: State): void {
	const { queues, execution, events, errorLog, health, features, namespaces, operations, doorbells } = controller;
	controller.reset();
	controller.registers.set(state.registers);
	doorbells.words.set(state.doorbells);
	doorbells.shadow = state.shadow ?? undefined;
	queues.allocatedSubmission = state.allocatedSubmission;
	queues.allocatedCompletion = state.allocatedCompletion;
	for (const { id, head, tail, phase, vector, hasInterrupts, ...where } of state.completion) {
		const queue = new CompletionQueue(id, where, vector, hasInterrupts);
		queues.completion[id] = Object.assign(queue, { head, tail, phase });
	}
	for (const { id, head, tail, completionId, ...where } of state.submission) {
		const queue = new SubmissionQueue(id, where, queues.completion[completionId]!);
		queues.submission[id] = Object.assign(queue, { head, tail });
	}
	execution.next = state.next;
	execution.late.push(...state.late);
	events.requests.push(...state.requests);
	events.waiting.push(...state.events);
	for (const type of state.told) events.told.add(type);
	errorLog.count = state.errorCount;
	errorLog.entries.length = 0;
	errorLog.entries.push(...state.errors.map((entry) => Uint8Array.from(entry)));
	Object.assign(health, state.health);
	for (const [id, value] of state.features.numbers) features.numbers.set(id, value);
	for (const [id, value] of state.features.errorRecovery) features.errorRecovery.set(id, value);
	for (const [vector, value] of state.features.vectors) features.vectors.set(vector, value);
	features.overTemperature = state.features.overTemperature;
	features.underTemperature = state.features.underTemperature;
	features.timestamp = state.features.timestamp;
	features.timestampSetAt = Number(controller.clock());
	features.isTimestampSet = state.features.isTimestampSet;
	features.hostIdentifier.set(state.features.hostIdentifier);
	namespaces.changed.clear();
	for (const id of state.changed) namespaces.changed.add(id);
	operations.all.push(...state.operations);
	for (const [index, { format, isFormatting, uncorrectable }] of state.namespaces.entries()) {
		const namespace = namespaces.all[index];
		namespace.format = format;
		namespace.isFormatting = isFormatting;
		namespace.uncorrectable.clear();
		for (const [first, count] of uncorrectable) namespace.uncorrectable.add(first, count);
	}
	controller.interrupts.mask = state.interruptMask;
	controller.resume();
}
