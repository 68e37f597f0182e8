// What client.c can call, as a text that it reads: the ioctls of all files, field by field, from the descriptions that the engine
// goes by; and a machine's paths.
//   path PATH KIND
//   command KIND NUMBER SIZE
//   field OFFSET WIDTH HOW MASK IS_ANSWER

import type { Machine } from "../../src/machine/machine.js";
import { iommufdCommands } from "../../src/uapi/iommufd.js";
import { TestCommand, TestOp, type TestOpName, testVariants } from "../../src/uapi/iommufd-test.js";
import { type AnyCommand, type AnyStruct, isSizeField, type PlainCommand } from "../../src/uapi/struct.js";
import { vfioContainerCommands, vfioDeviceCommands, vfioGroupCommands } from "../../src/uapi/vfio.js";
import type { PlacedField } from "../../src/uapi/view.js";

/** Which files an ioctl is for: /dev/iommu, a device, a group or container. */
const [IOMMUFD, DEVICE, OTHERS] = [0, 1, 2];

export function tableFor(machine: Machine): string {
	const lines: string[] = [];
	for (const path of machine.paths) lines.push(`path ${path} ${kindOf(path)}`);
	// What a mistake takes down comes from here more often than from anywhere else.
	for (const command of [...iommufdCommands, ...iommufdCommands]) add(lines, IOMMUFD, command);
	for (const command of vfioContainerCommands) add(lines, IOMMUFD, command);
	const ops = machine.hasTests ? (Object.keys(testVariants) as TestOpName[]) : [];
	for (const op of ops) addStruct(lines, IOMMUFD, TestCommand.number, testVariants[op] as AnyStruct, TestOp[op]);
	for (const command of vfioDeviceCommands) add(lines, DEVICE, command);
	for (const command of [...vfioGroupCommands, ...vfioContainerCommands]) add(lines, OTHERS, command);
	return `${lines.join("\n")}\n`;
}

function kindOf(path: string): number {
	if (path === "/dev/iommu") return IOMMUFD;
	return path.startsWith("/dev/vfio/devices/") ? DEVICE : OTHERS;
}

function add(lines: string[], kind: number, command: AnyCommand | PlainCommand): void {
	if ("size" in command) addStruct(lines, kind, command.number, command);
	else lines.push(`command ${kind} ${command.number} 8`, "field 0 4 d 0 0");
}

/** @param op of an IOMMU_TEST_CMD */
function addStruct(lines: string[], kind: number, number: number, struct: AnyStruct, op?: number): void {
	lines.push(`command ${kind} ${number} ${struct.size}`);
	for (const field of struct.fields) {
		if (field.count !== undefined) continue;
		const how = op !== undefined && field.name === "op" ? "=" : howToFill(field);
		const isAnswer = field.direction !== "in" && "idv".includes(how) ? 1 : 0;
		lines.push(`field ${field.offset} ${field.size} ${how} ${how === "=" ? op : maskOf(field)} ${isAnswer}`);
	}
}

function howToFill(field: PlacedField): string {
	const { name } = field;
	if (isSizeField(field)) return "s";
	if (field.forbids === "any bit") return "z";
	if (field.print === "flags") return "f";
	if (field.print === "enum" && Object.values(field.names).every((value) => value < 256)) return "e";
	if (field.scalar === "s32" || /[fF]d$/.test(name)) return "d";
	if (/[iI]d$/.test(name) && field.scalar === "u32") return "i";
	if (field.scalar === "pointer" || /Va$|ptr$|addr$/i.test(name)) return "p";
	if (field.scalar === "u64") return /length|size/i.test(name) ? "l" : "v";
	return "n";
}

/** Of ids: which kind of object they are of, as client.c counts them. */
const CLASSES = [/ioas/i, /dev/i, /hwpt|^pt/i];

/** The bits of flags; the class of an id; eight of an enumeration's values, a byte for each. */
function maskOf(field: PlacedField): bigint {
	const values = Object.values(field.names);
	if (howToFill(field) === "i") return BigInt(CLASSES.findIndex((pattern) => pattern.test(field.name)) & 3);
	if (field.print === "flags") return values.reduce((all, bit) => all | BigInt(bit), 0n);
	if (howToFill(field) !== "e" || values.length === 0) return 0n;
	return Array.from({ length: 8 }, (_, i) => BigInt(values[i % values.length]) << BigInt(8 * i)).reduce(
		(all, byte) => all | byte,
		0n,
	);
}
