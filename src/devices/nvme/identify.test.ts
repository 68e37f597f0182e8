import { expect, test } from "vitest";
import { MemoryStore } from "../block-store.js";
import { AdminOpcode } from "./admin.js";
import { TestDriver } from "./driver.testing.js";
import { Cns, IDENTIFY_SIZE, IdentifyController, IdentifyNamespace, uuidOf, uuidText } from "./identify.js";
import { Status } from "./status.js";

function setUp(options = {}): TestDriver {
	const driver = new TestDriver({ options });
	driver.enable();
	return driver;
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const idsIn = (bytes: Uint8Array) => [...new Uint32Array(bytes.slice().buffer)].filter((id) => id !== 0);

test("the controller says who it is and what it can", () => {
	const bytes = setUp({ size: "1M:2M", serial: "S1" }).identify(Cns.CONTROLLER);
	const number = (field: Parameters<typeof IdentifyController.number>[1]) => IdentifyController.number(bytes, field);
	expect(text(IdentifyController.part(bytes, "SN"))).toBe("S1".padEnd(20));
	expect(text(IdentifyController.part(bytes, "MN"))).toBe("Ioasis NVMe".padEnd(40));
	expect([number("VID"), number("SSVID"), number("VER"), number("MDTS"), number("NN")]).toEqual([
		0x1b36, 0x1af4, 0x10400, 7, 2,
	]);
	// Compare, Write Uncorrectable, Dataset Management, Write Zeroes, Select, Timestamp, Verify; Format, Doorbell Buffer Config.
	expect([number("ONCS"), number("OACS"), number("SQES"), number("CQES"), number("VWC")]).toEqual([
		0xdf, 0x102, 0x66, 0x44, 7,
	]);
	expect([number("SGLS"), number("AERL"), number("ACL"), number("ELPE"), number("LPA")]).toEqual([
		0x10001, 3, 3, 63, 6,
	]);
	expect(text(IdentifyController.part(bytes, "SUBNQN"))).toMatch(
		/^nqn\.2014-08\.org\.nvmexpress:uuid:[0-9a-f-]{36}\0+$/,
	);
});

test("without a serial number it has one of its place in the machine", () => {
	const bytes = setUp().identify(Cns.CONTROLLER);
	expect(text(IdentifyController.part(bytes, "SN"))).toBe("IOASIS-0000:01:00.0 ");
});

test("a namespace says how many blocks of which size it has", () => {
	const bytes = setUp({ size: ["1M", 10_000], lba: 4096 });
	const one = bytes.identify(Cns.NAMESPACE, 1).slice();
	const two = bytes.identify(Cns.ALLOCATED_NAMESPACE, 2).slice();
	const sizes = (data: Uint8Array) =>
		["NSZE", "NCAP", "NUSE"].map((field) => IdentifyNamespace.number(data, field as "NSZE"));
	expect([sizes(one), sizes(two)]).toEqual([
		[256, 256, 256],
		[2, 2, 2],
	]);
	expect([IdentifyNamespace.number(one, "NLBAF"), IdentifyNamespace.number(one, "FLBAS")]).toEqual([1, 1]);
	expect([IdentifyNamespace.number(one, "LBAF0"), IdentifyNamespace.number(one, "LBAF1")]).toEqual([9 << 16, 12 << 16]);
	expect(IdentifyNamespace.number(one, "NSATTR")).toBe(0);
});

test("a namespace that is read-only says so", () => {
	const store = Object.assign(new MemoryStore(65536), { isReadOnly: true });
	const driver = new TestDriver({ options: { file: "disk", readonly: "" }, files: { disk: store } });
	driver.enable();
	expect(IdentifyNamespace.number(driver.identify(Cns.NAMESPACE, 1), "NSATTR")).toBe(1);
});

test("namespaces are listed from the next one on", () => {
	const driver = setUp({ size: "1M:1M:1M" });
	expect([0, 1, 2, 3, 0xffff_fffd].map((after) => idsIn(driver.identify(Cns.ACTIVE_NAMESPACES, after)))).toEqual([
		[1, 2, 3],
		[2, 3],
		[3],
		[],
		[],
	]);
	expect(idsIn(driver.identify(Cns.ALLOCATED_NAMESPACES, 1))).toEqual([2, 3]);
});

test("a namespace's identifier is its own, and the same each time", () => {
	const driver = setUp({ size: "1M:1M" });
	const [one, two] = [1, 2].map((id) => driver.identify(Cns.NAMESPACE_DESCRIPTORS, id).slice(0, 24));
	expect([...one.subarray(0, 4), ...one.subarray(20)]).toEqual([3, 16, 0, 0, 0, 0, 0, 0]);
	expect(one).not.toEqual(two);
	expect(one).toEqual(setUp({ size: "1M" }).identify(Cns.NAMESPACE_DESCRIPTORS, 1).slice(0, 24));
	expect(uuidText(uuidOf("a"))).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test("there is one controller, number 0", () => {
	const driver = setUp();
	const list = (cns: number, namespace = 0) => [...new Uint16Array(driver.identify(cns, namespace).slice(0, 4).buffer)];
	expect([list(Cns.CONTROLLERS), list(Cns.CONTROLLERS_OF_NAMESPACE, 1), list(Cns.CONTROLLERS | (1 << 16))]).toEqual([
		[1, 0],
		[1, 0],
		[0, 0],
	]);
});

test.each([
	["no namespace", Cns.NAMESPACE, 0, Status.INVALID_NAMESPACE_OR_FORMAT],
	["a namespace that isn't there", Cns.NAMESPACE, 2, Status.INVALID_NAMESPACE_OR_FORMAT],
	["all namespaces at once", Cns.NAMESPACE, 0xffff_ffff, Status.INVALID_NAMESPACE_OR_FORMAT],
	["descriptors of none", Cns.NAMESPACE_DESCRIPTORS, 9, Status.INVALID_NAMESPACE_OR_FORMAT],
	["an allocated namespace that isn't there", Cns.ALLOCATED_NAMESPACE, 2, Status.INVALID_NAMESPACE_OR_FORMAT],
	["controllers of no namespace", Cns.CONTROLLERS_OF_NAMESPACE, 2, Status.INVALID_NAMESPACE_OR_FORMAT],
	["namespaces after the last number", Cns.ACTIVE_NAMESPACES, 0xffff_ffff, Status.INVALID_NAMESPACE_OR_FORMAT],
	["allocated ones after the last but one", Cns.ALLOCATED_NAMESPACES, 0xffff_fffe, Status.INVALID_NAMESPACE_OR_FORMAT],
	["NVM sets", 0x04, 0, Status.INVALID_FIELD],
	["secondary controllers", 0x15, 0, Status.INVALID_FIELD],
	["what nobody has", 0xff, 0, Status.INVALID_FIELD],
])("asking for %s is an error", (_, cns, namespace, status) => {
	const driver = setUp();
	const prp1 = driver.take(IDENTIFY_SIZE);
	expect(driver.admin({ opcode: AdminOpcode.IDENTIFY, namespace, prp1, dword10: cns }).status).toBe(status);
});

test("all 4096 bytes are written, whatever was there", () => {
	const driver = setUp();
	const prp1 = driver.take(IDENTIFY_SIZE);
	driver.bytes(prp1, IDENTIFY_SIZE).fill(0xee);
	driver.admin({ opcode: AdminOpcode.IDENTIFY, namespace: 1, prp1, dword10: Cns.NAMESPACE_DESCRIPTORS });
	expect(driver.bytes(prp1 + 20, IDENTIFY_SIZE - 20).every((byte) => byte === 0)).toBe(true);
});
