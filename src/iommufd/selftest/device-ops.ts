// IOMMU_TEST_CMD's ops that make mock devices, attach them, and have them do something.
// drivers/iommu/iommufd/selftest.c.

import { Undo } from "../../faults/undo.js";
import { reportPageRequest } from "../../iommu/core/fault.js";
import { NO_PASID } from "../../iommu/core/pasid.js";
import type { MockDevice } from "../../iommu/drivers/selftest.js";
import { Errno } from "../../uapi/errno.js";
import { PgfaultFlags, VeventqType } from "../../uapi/iommufd.js";
import { type TestArgs, ViommuEventSelftest } from "../../uapi/iommufd-test.js";
import { attachDevice, detachDevice, replaceDevice } from "../attach.js";
import type { Call } from "../call.js";
import type { Context } from "../context.js";
import { type BoundDevice, bindDevice, unbindDevice } from "../device.js";
import { Hwpt } from "../hwpt.js";
import { IommufdObject } from "../object.js";
import { mockDevice, on } from "./test-op.js";

/** A mock device, bound and attached as long as this object exists. */
class SelftestDevice extends IommufdObject {
	override readonly kind = "SELFTEST";
	readonly #context: Context;
	readonly mock: MockDevice;
	readonly bound: BoundDevice;

	constructor(context: Context, id: number, mock: MockDevice, bound: BoundDevice) {
		super(id);
		this.#context = context;
		this.mock = mock;
		this.bound = bound;
	}

	override destroy(): void {
		// Linux detaches the device itself alone, and warns of PASIDs that keep it from being unbound.
		for (const pasid of [...this.bound.group.attachments.keys()]) detachDevice(this.bound, pasid);
		unbindDevice(this.bound);
		this.#context.platform.selftest!.removeDevice(this.mock);
	}
}

/** Makes a device, binds it and attaches it to an IOAS or a HWPT. */
function mockDomain(call: Call, args: TestArgs<"MOCK_DOMAIN">): void {
	addDevice(call, args, 0);
}

function mockDomainFlags(call: Call, args: TestArgs<"MOCK_DOMAIN_FLAGS">): void {
	addDevice(call, args, args.devFlags);
}

function addDevice(call: Call, args: TestArgs<"MOCK_DOMAIN"> | TestArgs<"MOCK_DOMAIN_FLAGS">, flags: number): void {
	const { context } = call;
	const selftest = context.platform.selftest!;
	using undo = new Undo();
	const id = context.objects.reserve("SELFTEST");
	undo.push(() => context.objects.cancel(id));
	const mock = selftest.addDevice(flags);
	undo.push(() => selftest.removeDevice(mock));
	const bound = bindDevice(context, mock, false);
	undo.push(() => unbindDevice(bound));
	args.outHwptId = attachDevice(bound, NO_PASID, args.id);
	undo.push(() => detachDevice(bound, NO_PASID));
	args.outStdevId = id;
	args.outIdevId = bound.id;
	call.respond();
	undo.keep();
	context.objects.install(new SelftestDevice(context, id, mock, bound));
}

function mockDomainReplace(call: Call, args: TestArgs<"MOCK_DOMAIN_REPLACE">): void {
	const { bound } = call.context.objects.get(args.id, SelftestDevice, "id");
	args.ptId = replaceDevice(bound, NO_PASID, args.ptId);
	call.respond();
}

function pasidAttach(call: Call, args: TestArgs<"PASID_ATTACH">): void {
	const { bound } = call.context.objects.get(args.id, SelftestDevice, "id");
	args.ptId = attachDevice(bound, args.pasid, args.ptId);
	try {
		call.respond();
	} catch (error) {
		detachDevice(bound, args.pasid);
		throw error;
	}
}

function pasidReplace(call: Call, args: TestArgs<"PASID_REPLACE">): void {
	const { bound } = call.context.objects.get(args.id, SelftestDevice, "id");
	args.ptId = replaceDevice(bound, args.pasid, args.ptId);
	call.respond();
}

function pasidDetach(call: Call, args: TestArgs<"PASID_DETACH">): void {
	detachDevice(call.context.objects.get(args.id, SelftestDevice, "id").bound, args.pasid);
}

/** Checks what a PASID is attached to; hwpt_id 0: to nothing. */
function pasidCheck(call: Call, args: TestArgs<"PASID_CHECK_HWPT">): void {
	const { objects } = call.context;
	const { mock } = objects.get(args.id, SelftestDevice, "id");
	const attached = mock.group.attachment(args.pasid)?.domain;
	if (args.hwptId === 0) {
		if (attached !== undefined) throw new Errno("EINVAL", `PASID ${args.pasid} is attached`);
		return;
	}
	const hwpt = objects.any(args.hwptId, "hwpt_id");
	if (!(hwpt instanceof Hwpt))
		throw new Errno("EINVAL", `hwpt_id is ${args.hwptId}, and ${hwpt} is not a HWPT`, "object-kind");
	if (attached !== hwpt.domain) throw new Errno("EINVAL", `PASID ${args.pasid} is not attached to ${hwpt}`);
}

/** Has a device ask for a page, as a group of one. Whether anybody takes it is not the caller's concern. */
function triggerIopf(call: Call, args: TestArgs<"TRIGGER_IOPF">): void {
	const device = mockDevice(call, args.devId, "dev_id");
	const { pasid, grpid: group, perm: permissions, addr: address } = args;
	const flags = PgfaultFlags.LAST_PAGE | (pasid === NO_PASID ? 0 : PgfaultFlags.PASID_VALID);
	try {
		reportPageRequest(device, { flags, pasid, group, permissions, address });
	} catch (error) {
		if (!(error instanceof Errno)) throw error;
	}
}

/** Has a device report an event to the vIOMMU whose nested HWPT it is attached to. */
function triggerVevent(call: Call, args: TestArgs<"TRIGGER_VEVENT">): void {
	const device = mockDevice(call, args.devId, "dev_id");
	const { viommu, virtualId } = device;
	if (viommu === undefined || virtualId === 0n)
		throw new Errno("ENOENT", `${device.name} is not attached to a nested HWPT of a vIOMMU where it has an id`);
	const event = ViommuEventSelftest.newView();
	event.virtId = Number(BigInt.asUintN(32, virtualId));
	viommu.core.reportEvent(VeventqType.SELFTEST, event.bytes);
}

export const deviceHandlers = [
	on("MOCK_DOMAIN", mockDomain),
	on("MOCK_DOMAIN_FLAGS", mockDomainFlags),
	on("MOCK_DOMAIN_REPLACE", mockDomainReplace),
	on("PASID_ATTACH", pasidAttach),
	on("PASID_REPLACE", pasidReplace),
	on("PASID_DETACH", pasidDetach),
	on("PASID_CHECK_HWPT", pasidCheck),
	on("TRIGGER_IOPF", triggerIopf),
	on("TRIGGER_VEVENT", triggerVevent),
];
