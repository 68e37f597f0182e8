// What the host chooses: Set Features and Get Features. No value outlives a reset, so none can be saved.
// NVM Express Base Specification 1.4, 5.21 "Set Features command" and 5.13 "Get Features command".

import { type Command, NSID_DWORD } from "./command.js";
import type { Controller } from "./controller.js";
import { EventType, HealthEvent } from "./events.js";
import { CriticalWarning, TEMPERATURE, WARNING_TEMPERATURE } from "./health.js";
import { LogPage } from "./log-pages.js";
import { ALL_NAMESPACES } from "./namespaces.js";
import type { Queues } from "./queues.js";
import { Status } from "./status.js";

export const FeatureId = {
	ARBITRATION: 0x01,
	POWER_MANAGEMENT: 0x02,
	TEMPERATURE_THRESHOLD: 0x04,
	ERROR_RECOVERY: 0x05,
	VOLATILE_WRITE_CACHE: 0x06,
	NUMBER_OF_QUEUES: 0x07,
	INTERRUPT_COALESCING: 0x08,
	INTERRUPT_VECTOR_CONFIGURATION: 0x09,
	WRITE_ATOMICITY_NORMAL: 0x0a,
	ASYNCHRONOUS_EVENT_CONFIGURATION: 0x0b,
	TIMESTAMP: 0x0e,
	HOST_IDENTIFIER: 0x81,
} as const;

/** Select in Get Features. */
const Select = { CURRENT: 0, DEFAULT: 1, SAVED: 2, CAPABILITIES: 3 } as const;
/** What Select 3 tells. */
const CHANGEABLE = 1 << 2;
const NAMESPACE_SPECIFIC = 1 << 1;

/** Asynchronous Event Configuration: notices that namespaces have changed. */
export const NAMESPACE_NOTICES = 1 << 8;
/** Critical warnings, and the notices that OAES tells of. */
const EVENTS_SERVED = 0xff | NAMESPACE_NOTICES;
/** Arbitration Burst that means no limit. */
const NO_LIMIT = 7;
const SAVE = 1 << 31;
const TIMESTAMP_SIZE = 8;
/** Timestamp Origin: set by the host. */
const SET_BY_HOST = 1 << 1;
/** Temperature selectors: the composite one, and all of them. */
const COMPOSITE = 0;
const ALL_TEMPERATURES = 15;

/** The current values. */
export class FeatureValues {
	/** Of those that are a number for the whole controller. */
	readonly numbers = new Map<number, number>();
	/** Error Recovery, by NSID. */
	readonly errorRecovery = new Map<number, number>();
	/** Interrupt Vector Configuration, by vector. */
	readonly vectors = new Map<number, number>();
	/** Thresholds in kelvins: at or above the first, at or below the second it is a warning. */
	overTemperature = WARNING_TEMPERATURE;
	underTemperature = 0;
	/** Milliseconds that the host said it was when the controller's clock was at `timestampSetAt` nanoseconds. */
	timestamp = 0;
	timestampSetAt = 0;
	isTimestampSet = false;
	/** 16 bytes. */
	hostIdentifier = new Uint8Array(16);

	/** How many commands of one queue are taken before it is another one's turn. */
	get arbitrationBurst(): number {
		const burst = (this.numbers.get(FeatureId.ARBITRATION) ?? NO_LIMIT) & 7;
		return burst === NO_LIMIT ? Number.POSITIVE_INFINITY : 2 ** burst;
	}

	get hasWriteCache(): boolean {
		return ((this.numbers.get(FeatureId.VOLATILE_WRITE_CACHE) ?? 1) & 1) !== 0;
	}

	/** Which events the host wants to hear of. */
	get events(): number {
		return this.numbers.get(FeatureId.ASYNCHRONOUS_EVENT_CONFIGURATION) ?? 0;
	}

	/** Bits of CriticalWarning. */
	get criticalWarning(): number {
		const isWarm = TEMPERATURE >= this.overTemperature || TEMPERATURE <= this.underTemperature;
		return isWarm ? CriticalWarning.TEMPERATURE : 0;
	}

	/** What the host's clock says, if it has gone on like ours. @param now nanoseconds */
	timestampAt(now: bigint): number {
		return (this.timestamp + Math.floor((Number(now) - this.timestampSetAt) / 1e6)) % 2 ** 48;
	}

	/** A reset of the controller, which the clock outlives. */
	reset(): void {
		this.numbers.clear();
		this.errorRecovery.clear();
		this.vectors.clear();
		this.overTemperature = WARNING_TEMPERATURE;
		this.underTemperature = 0;
		this.hostIdentifier.fill(0);
	}

	resetClock(): void {
		this.timestamp = 0;
		this.timestampSetAt = 0;
		this.isTimestampSet = false;
	}
}

interface Feature {
	readonly isNamespaceSpecific?: true;
	readonly initial: number;
	/** Takes what Dword 11 says. @returns a status */
	set(controller: Controller, command: Command, value: number): number;
	/** What Dword 0 of the completion says; undefined for `numbers`. @returns a status */
	get?(controller: Controller, command: Command): number;
}

/** One that is a number, of which some bits can be set. */
function plainNumber(id: number, initial: number, served: number, what: string): Feature {
	return {
		initial,
		set({ features }, command, value) {
			if (value & ~served)
				return command.invalidField(
					`${what} is set to 0x${value.toString(16)}: 0x${served.toString(16)} is served`,
					11,
				);
			features.numbers.set(id, value);
			return Status.SUCCESS;
		},
	};
}

const temperatureThreshold: Feature = {
	initial: WARNING_TEMPERATURE,
	set(controller, command, value) {
		const { features } = controller;
		const sensor = (value >>> 16) & 15;
		const kind = (value >>> 20) & 3;
		if (sensor !== COMPOSITE && sensor !== ALL_TEMPERATURES)
			return command.invalidField(`temperature sensor ${sensor} isn't there: 0 is the composite temperature`, 11, 16);
		if (kind > 1) return command.invalidField(`threshold type ${kind} is reserved: 0 is over, 1 is under`, 11, 20);
		if (kind === 0) features.overTemperature = value & 0xffff;
		else features.underTemperature = value & 0xffff;
		warnIfNeeded(controller);
		return Status.SUCCESS;
	},
	get({ features }, command) {
		const value = command.dword(11);
		const sensor = (value >>> 16) & 15;
		const kind = (value >>> 20) & 3;
		if (sensor !== COMPOSITE)
			return command.invalidField(`temperature sensor ${sensor} isn't there: 0 is the composite temperature`, 11, 16);
		if (kind > 1) return command.invalidField(`threshold type ${kind} is reserved: 0 is over, 1 is under`, 11, 20);
		command.result = kind === 0 ? features.overTemperature : features.underTemperature;
		return Status.SUCCESS;
	},
};

const errorRecovery: Feature = {
	isNamespaceSpecific: true,
	initial: 0,
	set({ features, namespaces }, command, value) {
		if (value >>> 16)
			return command.invalidField(
				"DULBE is set, and no namespace says that reading a deallocated block is an error",
				11,
				16,
			);
		const id = command.namespaceId;
		if (id !== ALL_NAMESPACES && namespaces.get(id) === undefined) return namespaces.missing(command);
		for (const namespace of namespaces.all)
			if (id === ALL_NAMESPACES || id === namespace.id) features.errorRecovery.set(namespace.id, value);
		return Status.SUCCESS;
	},
	get({ features, namespaces }, command) {
		if (namespaces.get(command.namespaceId) === undefined) return namespaces.missing(command);
		command.result = features.errorRecovery.get(command.namespaceId) ?? 0;
		return Status.SUCCESS;
	},
};

const numberOfQueues: Feature = {
	initial: 0,
	set({ queues }, command, value) {
		const submission = value & 0xffff;
		const completion = value >>> 16;
		if (submission === 0xffff || completion === 0xffff)
			return command.invalidField(
				"65536 queues are asked for: at most 65535 can be",
				11,
				submission === 0xffff ? 0 : 16,
			);
		if (queues.hasAny)
			return command.fail(
				Status.COMMAND_SEQUENCE_ERROR,
				"the number of queues can be set only as long as there are no I/O queues",
			);
		queues.allocatedSubmission = Math.min(submission + 1, queues.most);
		queues.allocatedCompletion = Math.min(completion + 1, queues.most);
		return tellAllocated(queues, command);
	},
	get({ queues }, command) {
		return tellAllocated(queues, command);
	},
};

function tellAllocated({ allocatedSubmission, allocatedCompletion }: Queues, command: Command): number {
	command.result = ((allocatedSubmission - 1) | ((allocatedCompletion - 1) << 16)) >>> 0;
	return Status.SUCCESS;
}

/** Coalescing may be disabled for a vector; as it is, nothing is held back in any case. */
const interruptVectorConfiguration: Feature = {
	initial: 0,
	set({ features, vectors }, command, value) {
		const vector = value & 0xffff;
		if (vector >= vectors) return noVector(command, vector, vectors);
		features.vectors.set(vector, value);
		return Status.SUCCESS;
	},
	get({ features, vectors }, command) {
		const vector = command.dword(11) & 0xffff;
		if (vector >= vectors) return noVector(command, vector, vectors);
		command.result = features.vectors.get(vector) ?? vector;
		return Status.SUCCESS;
	},
};

function noVector(command: Command, vector: number, vectors: number): number {
	return command.invalidField(`interrupt vector ${vector} isn't there: there are ${vectors}`, 11);
}

const asynchronousEventConfiguration: Feature = {
	initial: 0,
	set(controller, command, value) {
		if (value & ~EVENTS_SERVED)
			return command.invalidField(
				`events 0x${value.toString(16)} are asked for, and there are 0x${EVENTS_SERVED.toString(16)}`,
				11,
			);
		controller.features.numbers.set(FeatureId.ASYNCHRONOUS_EVENT_CONFIGURATION, value);
		warnIfNeeded(controller);
		return Status.SUCCESS;
	},
};

const timestamp: Feature = {
	initial: 0,
	set({ features, transfer, clock }, command) {
		const status = transfer.fromHost(command, TIMESTAMP_SIZE);
		if (status !== Status.SUCCESS) return status;
		const bytes = transfer.bytes(TIMESTAMP_SIZE);
		features.timestamp = 0;
		for (let i = 5; i >= 0; i--) features.timestamp = features.timestamp * 256 + bytes[i];
		features.timestampSetAt = Number(clock());
		features.isTimestampSet = true;
		return Status.SUCCESS;
	},
	get({ features, transfer, clock }, command) {
		let rest = features.timestampAt(clock());
		const bytes = transfer.bytes(TIMESTAMP_SIZE);
		for (let i = 0; i < 6; i++, rest = Math.floor(rest / 256)) bytes[i] = rest % 256;
		bytes[6] = features.isTimestampSet ? SET_BY_HOST : 0;
		bytes[7] = 0;
		return transfer.toHost(command, TIMESTAMP_SIZE);
	},
};

/** 64 or 128 bits, as EXHID says. */
const hostIdentifier: Feature = {
	initial: 0,
	set({ features, transfer }, command, value) {
		const size = value & 1 ? 16 : 8;
		const status = transfer.fromHost(command, size);
		if (status !== Status.SUCCESS) return status;
		features.hostIdentifier.fill(0);
		features.hostIdentifier.set(transfer.bytes(size));
		return Status.SUCCESS;
	},
	get({ features, transfer }, command) {
		const size = command.dword(11) & 1 ? 16 : 8;
		transfer.bytes(size).set(features.hostIdentifier.subarray(0, size));
		return transfer.toHost(command, size);
	},
};

const FEATURES = new Map<number, Feature>([
	[FeatureId.ARBITRATION, plainNumber(FeatureId.ARBITRATION, NO_LIMIT, 0xffff_ff07, "arbitration")],
	[
		FeatureId.POWER_MANAGEMENT,
		plainNumber(FeatureId.POWER_MANAGEMENT, 0, 0xe0, "the power state, of which there is one,"),
	],
	[FeatureId.TEMPERATURE_THRESHOLD, temperatureThreshold],
	[FeatureId.ERROR_RECOVERY, errorRecovery],
	[FeatureId.VOLATILE_WRITE_CACHE, plainNumber(FeatureId.VOLATILE_WRITE_CACHE, 1, 1, "the write cache")],
	[FeatureId.NUMBER_OF_QUEUES, numberOfQueues],
	[FeatureId.INTERRUPT_COALESCING, plainNumber(FeatureId.INTERRUPT_COALESCING, 0, 0xffff, "interrupt coalescing")],
	[FeatureId.INTERRUPT_VECTOR_CONFIGURATION, interruptVectorConfiguration],
	[FeatureId.WRITE_ATOMICITY_NORMAL, plainNumber(FeatureId.WRITE_ATOMICITY_NORMAL, 0, 1, "write atomicity")],
	[FeatureId.ASYNCHRONOUS_EVENT_CONFIGURATION, asynchronousEventConfiguration],
	[FeatureId.TIMESTAMP, timestamp],
	[FeatureId.HOST_IDENTIFIER, hostIdentifier],
]);

export function setFeatures(controller: Controller, command: Command): number {
	const id = command.dword(10) & 0xff;
	const feature = FEATURES.get(id);
	if (feature === undefined) return noFeature(command, id);
	if (command.dword(10) & SAVE)
		return command.fail(
			Status.FEATURE_NOT_SAVEABLE,
			`feature 0x${id.toString(16)} is to be saved: none can be`,
			10,
			31,
		);
	const namespace = command.namespaceId;
	if (!feature.isNamespaceSpecific && namespace !== 0 && namespace !== ALL_NAMESPACES) {
		if (controller.namespaces.get(namespace) === undefined) return controller.namespaces.missing(command);
		return command.fail(
			Status.FEATURE_NOT_NAMESPACE_SPECIFIC,
			`feature 0x${id.toString(16)} is set for namespace ${namespace}, and is the same for all`,
			NSID_DWORD,
		);
	}
	return feature.set(controller, command, command.dword(11));
}

export function getFeatures(controller: Controller, command: Command): number {
	const id = command.dword(10) & 0xff;
	const select = (command.dword(10) >>> 8) & 7;
	const feature = FEATURES.get(id);
	if (feature === undefined) return noFeature(command, id);
	switch (select) {
		case Select.CURRENT:
			if (feature.get !== undefined) return feature.get(controller, command);
			command.result = controller.features.numbers.get(id) ?? feature.initial;
			return Status.SUCCESS;
		// What can't be saved has its default value as the saved one.
		case Select.DEFAULT:
		case Select.SAVED:
			command.result = initialOf(controller, feature, id);
			return Status.SUCCESS;
		case Select.CAPABILITIES:
			command.result = CHANGEABLE | (feature.isNamespaceSpecific ? NAMESPACE_SPECIFIC : 0);
			return Status.SUCCESS;
		default:
			return command.invalidField(`Select is ${select}, which is reserved`, 10, 8);
	}
}

function initialOf({ queues }: Controller, feature: Feature, id: number): number {
	return id === FeatureId.NUMBER_OF_QUEUES ? (queues.most - 1) * 0x10001 : feature.initial;
}

function noFeature(command: Command, id: number): number {
	return command.invalidField(`feature 0x${id.toString(16)} isn't there`, 10);
}

/** The temperature is what it is; it becomes a warning by a threshold, and an event if the host wants it. */
function warnIfNeeded({ features, events }: Controller): void {
	if (features.criticalWarning & features.events & CriticalWarning.TEMPERATURE)
		events.report(EventType.HEALTH, HealthEvent.TEMPERATURE_THRESHOLD, LogPage.HEALTH);
}
