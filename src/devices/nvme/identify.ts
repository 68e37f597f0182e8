// Who the controller and its namespaces are: Identify.
// NVM Express Base Specification 1.4, 5.15 "Identify command".

import { MOST_ABORTS } from "./abort.js";
import { type Command, NSID_DWORD } from "./command.js";
import type { Controller } from "./controller.js";
import { ERROR_LOG_ENTRIES } from "./error-log.js";
import { MOST_REQUESTS } from "./events.js";
import { NAMESPACE_NOTICES } from "./features.js";
import { COMPARE_AND_WRITE } from "./fused.js";
import { CRITICAL_TEMPERATURE, WARNING_TEMPERATURE } from "./health.js";
import { FIRMWARE_REVISION } from "./log-pages.js";
import { LBA_SHIFTS, type Namespace } from "./namespace.js";
import { VERSION } from "./registers.js";
import { Status } from "./status.js";
import { Structure } from "./structure.js";
import { MDTS } from "./transfer.js";

export const IDENTIFY_SIZE = 4096;

/** Controller or Namespace Structure. */
export const Cns = {
	NAMESPACE: 0x00,
	CONTROLLER: 0x01,
	ACTIVE_NAMESPACES: 0x02,
	NAMESPACE_DESCRIPTORS: 0x03,
	ALLOCATED_NAMESPACES: 0x10,
	ALLOCATED_NAMESPACE: 0x11,
	CONTROLLERS_OF_NAMESPACE: 0x12,
	CONTROLLERS: 0x13,
} as const;

/** CNTLID: there is one controller in the subsystem. */
export const CONTROLLER_ID = 0;

export const IdentifyController = new Structure(IDENTIFY_SIZE, {
	VID: [0, 2],
	SSVID: [2, 2],
	SN: [4, 20],
	MN: [24, 40],
	FR: [64, 8],
	RAB: [72, 1],
	IEEE: [73, 3],
	MDTS: [77, 1],
	CNTLID: [78, 2],
	VER: [80, 4],
	OAES: [92, 4],
	CTRATT: [96, 4],
	CNTRLTYPE: [111, 1],
	OACS: [256, 2],
	ACL: [258, 1],
	AERL: [259, 1],
	FRMW: [260, 1],
	LPA: [261, 1],
	ELPE: [262, 1],
	NPSS: [263, 1],
	WCTEMP: [266, 2],
	CCTEMP: [268, 2],
	SQES: [512, 1],
	CQES: [513, 1],
	NN: [516, 4],
	ONCS: [520, 2],
	FUSES: [522, 2],
	FNA: [524, 1],
	VWC: [525, 1],
	SGLS: [536, 4],
	SUBNQN: [768, 256],
	/** Power State 0: Maximum Power, in hundredths of a watt. */
	PSD0_MP: [2048, 2],
});

export const IdentifyNamespace = new Structure(IDENTIFY_SIZE, {
	NSZE: [0, 8],
	NCAP: [8, 8],
	NUSE: [16, 8],
	NLBAF: [25, 1],
	FLBAS: [26, 1],
	DLFEAT: [33, 1],
	NSATTR: [99, 1],
	LBAF0: [128, 4],
	LBAF1: [132, 4],
});

const Oacs = { FORMAT: 1 << 1, DOORBELL_BUFFER: 1 << 8 } as const;
const Oncs = {
	COMPARE: 1 << 0,
	WRITE_UNCORRECTABLE: 1 << 1,
	DATASET_MANAGEMENT: 1 << 2,
	WRITE_ZEROES: 1 << 3,
	SELECT: 1 << 4,
	TIMESTAMP: 1 << 6,
	VERIFY: 1 << 7,
} as const;
const Lpa = { COMMANDS_SUPPORTED: 1 << 1, EXTENDED_DATA: 1 << 2 } as const;
const Sgls = { SUPPORTED: 1 << 0, BIT_BUCKET: 1 << 16 } as const;
const HOST_IDENTIFIER_128 = 1 << 0;
const IO_CONTROLLER = 1;
/** One firmware slot, which is read-only. */
const ONE_SLOT = (1 << 1) | 1;
/** There is a cache, and Flush takes the NSID that means all namespaces. */
const WRITE_CACHE = 1 | (3 << 1);
/** Deallocated blocks read as zeroes, and Write Zeroes can deallocate. */
const READS_ZEROES = 1 | (1 << 3);
const WRITE_PROTECTED = 1 << 0;
/** 52-54-00 is a range that anybody may use. */
const IEEE = 0x525400;
const UUID_DESCRIPTOR = 3;

export function identify(controller: Controller, command: Command): number {
	const bytes = dataOf(controller, command, command.dword(10) & 0xff);
	if (typeof bytes === "number") return bytes;
	controller.transfer.bytes(IDENTIFY_SIZE).fill(0).set(bytes);
	return controller.transfer.toHost(command, IDENTIFY_SIZE);
}

/** @returns what is to be told, or the status of the error */
function dataOf(controller: Controller, command: Command, cns: number): Uint8Array | number {
	const { namespaces } = controller;
	const namespace = namespaces.get(command.namespaceId);
	switch (cns) {
		case Cns.CONTROLLER:
			return controllerData(controller);
		case Cns.NAMESPACE:
		case Cns.ALLOCATED_NAMESPACE:
			return namespace === undefined ? namespaces.missing(command) : namespaceData(namespace);
		case Cns.NAMESPACE_DESCRIPTORS:
			return namespace === undefined ? namespaces.missing(command) : descriptors(controller, namespace);
		case Cns.ACTIVE_NAMESPACES:
		case Cns.ALLOCATED_NAMESPACES:
			if (command.namespaceId >= 0xffff_fffe)
				return command.fail(
					Status.INVALID_NAMESPACE_OR_FORMAT,
					`namespaces after 0x${command.namespaceId.toString(16)} are asked for, which is no namespace`,
					NSID_DWORD,
				);
			return numbers(
				4,
				namespaces.all.map(({ id }) => id).filter((id) => id > command.namespaceId),
			);
		case Cns.CONTROLLERS_OF_NAMESPACE:
			return namespace === undefined ? namespaces.missing(command) : controllersFrom(command.dword(10) >>> 16);
		case Cns.CONTROLLERS:
			return controllersFrom(command.dword(10) >>> 16);
		default:
			return command.invalidField(`CNS is 0x${cns.toString(16)}, which this controller doesn't have`, 10);
	}
}

function controllerData({ namespaces, serial, identity, subsystem }: Controller): Uint8Array {
	return IdentifyController.bytes({
		VID: identity.vendor,
		SSVID: identity.subsystemVendor ?? 0,
		SN: serial,
		MN: "Ioasis NVMe",
		FR: FIRMWARE_REVISION,
		RAB: 6,
		IEEE,
		MDTS,
		CNTLID: CONTROLLER_ID,
		VER: VERSION,
		OAES: NAMESPACE_NOTICES,
		CTRATT: HOST_IDENTIFIER_128,
		CNTRLTYPE: IO_CONTROLLER,
		OACS: Oacs.FORMAT | Oacs.DOORBELL_BUFFER,
		ACL: MOST_ABORTS - 1,
		AERL: MOST_REQUESTS - 1,
		FRMW: ONE_SLOT,
		LPA: Lpa.COMMANDS_SUPPORTED | Lpa.EXTENDED_DATA,
		ELPE: ERROR_LOG_ENTRIES - 1,
		WCTEMP: WARNING_TEMPERATURE,
		CCTEMP: CRITICAL_TEMPERATURE,
		SQES: 0x66,
		CQES: 0x44,
		NN: namespaces.all.length,
		ONCS: Object.values(Oncs).reduce((all, bit) => all | bit),
		FUSES: COMPARE_AND_WRITE,
		VWC: WRITE_CACHE,
		SGLS: Sgls.SUPPORTED | Sgls.BIT_BUCKET,
		SUBNQN: new TextEncoder().encode(subsystem),
		PSD0_MP: 2500,
	});
}

function namespaceData(namespace: Namespace): Uint8Array {
	const blocks = namespace.blocks;
	return IdentifyNamespace.bytes({
		NSZE: blocks,
		NCAP: blocks,
		NUSE: blocks,
		NLBAF: LBA_SHIFTS.length - 1,
		FLBAS: namespace.format,
		DLFEAT: READS_ZEROES,
		NSATTR: namespace.store.isReadOnly ? WRITE_PROTECTED : 0,
		LBAF0: LBA_SHIFTS[0] << 16,
		LBAF1: LBA_SHIFTS[1] << 16,
	});
}

/** Namespace Identification Descriptors: type, length, two bytes of nothing, and the identifier. */
function descriptors({ serial }: Controller, { id }: Namespace): Uint8Array {
	return Uint8Array.from([UUID_DESCRIPTOR, 16, 0, 0, ...uuidOf(`${serial}/${id}`)]);
}

/** As many little-endian numbers as there is room for. */
function numbers(size: 2 | 4, values: readonly number[]): Uint8Array {
	const bytes = new Uint8Array(IDENTIFY_SIZE);
	const view = new DataView(bytes.buffer);
	for (const [index, value] of values.slice(0, IDENTIFY_SIZE / size).entries())
		if (size === 2) view.setUint16(2 * index, value, true);
		else view.setUint32(4 * index, value, true);
	return bytes;
}

/** Controller List: how many, and their identifiers, from one on. */
function controllersFrom(first: number): Uint8Array {
	const ids = CONTROLLER_ID >= first ? [CONTROLLER_ID] : [];
	return numbers(2, [ids.length, ...ids]);
}

/** The same for the same text, and hardly ever for another one. Version 8 of RFC 9562: made as one likes. */
export function uuidOf(text: string): Uint8Array {
	const bytes = new Uint8Array(16);
	for (let word = 0; word < 4; word++) {
		// FNV-1a, from four beginnings.
		let hash = (0x811c9dc5 ^ (word * 0x9e3779b9)) >>> 0;
		for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
		new DataView(bytes.buffer).setUint32(4 * word, hash);
	}
	bytes[6] = (bytes[6] & 0x0f) | 0x80;
	bytes[8] = (bytes[8] & 0x3f) | 0x80;
	return bytes;
}

/** "00112233-4455-8677-8899-aabbccddeeff" */
export function uuidText(uuid: Uint8Array): string {
	const digits = [...uuid].map((byte) => byte.toString(16).padStart(2, "0")).join("");
	return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
