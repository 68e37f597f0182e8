// The NVM command set: what I/O queues are for.
// NVM Express Base Specification 1.4, 6 "NVM Command Set".

import { type Command, PENDING } from "./command.js";
import { type CommandTable, Effect } from "./command-table.js";
import type { Controller } from "./controller.js";
import type { Namespace } from "./namespace.js";
import { ALL_NAMESPACES } from "./namespaces.js";
import type { BlockRange, Operation } from "./operations.js";
import { Status } from "./status.js";
import { MAX_TRANSFER } from "./transfer.js";

export const NvmOpcode = {
	FLUSH: 0x00,
	WRITE: 0x01,
	READ: 0x02,
	WRITE_UNCORRECTABLE: 0x04,
	COMPARE: 0x05,
	WRITE_ZEROES: 0x08,
	DATASET_MANAGEMENT: 0x09,
	VERIFY: 0x0c,
} as const;

const FORCE_UNIT_ACCESS = 1 << 30;
const DIRECTIVE_TYPE = 0xf << 20;
/** Dataset Management: Attribute – Deallocate. */
const DEALLOCATE = 1 << 2;
const RANGE_SIZE = 16;

/** Starting LBA, in dwords 10 and 11. */
const SLBA = 10;
/** Number of Logical Blocks, 0's based. */
const countOf = (command: Command): number => (command.dword(12) & 0xffff) + 1;

export const NVM_COMMANDS: CommandTable = {
	[NvmOpcode.FLUSH]: { name: "Flush", run: flush, effects: Effect.SUPPORTED },
	[NvmOpcode.WRITE]: { name: "Write", run: write, effects: Effect.SUPPORTED | Effect.CHANGES_CONTENT },
	[NvmOpcode.READ]: { name: "Read", run: read, effects: Effect.SUPPORTED },
	[NvmOpcode.WRITE_UNCORRECTABLE]: {
		name: "Write Uncorrectable",
		run: writeUncorrectable,
		effects: Effect.SUPPORTED | Effect.CHANGES_CONTENT,
	},
	[NvmOpcode.COMPARE]: { name: "Compare", run: compare, effects: Effect.SUPPORTED },
	[NvmOpcode.WRITE_ZEROES]: {
		name: "Write Zeroes",
		run: writeZeroes,
		effects: Effect.SUPPORTED | Effect.CHANGES_CONTENT,
	},
	[NvmOpcode.DATASET_MANAGEMENT]: {
		name: "Dataset Management",
		run: manageDataset,
		effects: Effect.SUPPORTED | Effect.CHANGES_CONTENT,
	},
	[NvmOpcode.VERIFY]: { name: "Verify", run: verify, effects: Effect.SUPPORTED },
};

function read(controller: Controller, command: Command): number {
	const namespace = controller.namespaces.of(command);
	if (typeof namespace === "number") return namespace;
	const count = countOf(command);
	const length = count << namespace.shift;
	const status = checkRange(command, namespace, count) || checkLength(command, length);
	if (status !== Status.SUCCESS) return status;
	const { media, health, transfer } = controller;
	const problem = media.read(namespace, command.quad(SLBA), count, transfer.bytes(length));
	if (problem !== undefined) return command.fail(Status.UNRECOVERED_READ_ERROR, problem);
	health.readCommands++;
	health.bytesRead += length;
	return transfer.toHost(command, length);
}

function write(controller: Controller, command: Command): number {
	const namespace = controller.namespaces.of(command);
	if (typeof namespace === "number") return namespace;
	const count = countOf(command);
	const length = count << namespace.shift;
	let status =
		checkRange(command, namespace, count) || checkLength(command, length) || checkWritable(command, namespace);
	if (status !== Status.SUCCESS) return status;
	if (command.dword(12) & DIRECTIVE_TYPE)
		return command.invalidField("a directive is given: this controller has none", 12, 20);
	const { media, health, transfer } = controller;
	status = transfer.fromHost(command, length);
	if (status !== Status.SUCCESS) return status;
	let problem = media.write(namespace, command.quad(SLBA), count, transfer.bytes(length));
	if (problem === undefined && isDurable(controller, command)) problem = media.flush(namespace);
	if (problem !== undefined) return command.fail(Status.WRITE_FAULT, problem);
	health.writeCommands++;
	health.bytesWritten += length;
	return Status.SUCCESS;
}

/** Whether what is written must be on the medium before the command completes. */
function isDurable({ features }: Controller, command: Command): boolean {
	return !features.hasWriteCache || (command.dword(12) & FORCE_UNIT_ACCESS) !== 0;
}

function flush({ namespaces, media }: Controller, command: Command): number {
	const one = command.namespaceId === ALL_NAMESPACES ? undefined : namespaces.of(command);
	if (typeof one === "number") return one;
	for (const namespace of one === undefined ? namespaces.all : [one]) {
		const problem = media.flush(namespace);
		if (problem !== undefined) return command.fail(Status.WRITE_FAULT, problem);
	}
	return Status.SUCCESS;
}

function compare(controller: Controller, command: Command): number {
	const namespace = controller.namespaces.of(command);
	if (typeof namespace === "number") return namespace;
	const count = countOf(command);
	const length = count << namespace.shift;
	let status = checkRange(command, namespace, count) || checkLength(command, length);
	if (status !== Status.SUCCESS) return status;
	const { media, health, transfer } = controller;
	const first = command.quad(SLBA);
	const stored = controller.scratch.subarray(0, length);
	const problem = media.read(namespace, first, count, stored);
	if (problem !== undefined) return command.fail(Status.UNRECOVERED_READ_ERROR, problem);
	status = transfer.fromHost(command, length);
	if (status !== Status.SUCCESS) return status;
	health.readCommands++;
	health.bytesRead += length;
	const given = transfer.bytes(length);
	for (let i = 0; i < length; i++)
		if (given[i] !== stored[i]) {
			const block = first + (i >>> namespace.shift);
			return command.fail(Status.COMPARE_FAILURE, `byte ${i & (namespace.blockSize - 1)} of block ${block} differs`);
		}
	return Status.SUCCESS;
}

function writeZeroes(controller: Controller, command: Command): number {
	const namespace = controller.namespaces.of(command);
	if (typeof namespace === "number") return namespace;
	const count = countOf(command);
	const status = checkRange(command, namespace, count) || checkWritable(command, namespace);
	if (status !== Status.SUCCESS) return status;
	const first = command.quad(SLBA);
	controller.health.writeCommands++;
	return start(controller, command, "deallocate", namespace, [[first, first + count]], isDurable(controller, command));
}

/** The hints about how blocks are used change nothing here; deallocating does. */
function manageDataset(controller: Controller, command: Command): number {
	const namespace = controller.namespaces.of(command);
	if (typeof namespace === "number") return namespace;
	const count = (command.dword(10) & 0xff) + 1;
	const status = controller.transfer.fromHost(command, count * RANGE_SIZE);
	if (status !== Status.SUCCESS) return status;
	const bytes = controller.transfer.bytes(count * RANGE_SIZE);
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
	const ranges: BlockRange[] = [];
	for (let i = 0; i < count; i++) {
		const blocks = view.getUint32(i * RANGE_SIZE + 4, true);
		const first = view.getUint32(i * RANGE_SIZE + 12, true) * 2 ** 32 + view.getUint32(i * RANGE_SIZE + 8, true);
		if (first + blocks > namespace.blocks)
			return command.fail(
				Status.LBA_OUT_OF_RANGE,
				`range ${i} has ${blocks} blocks from ${first} on: namespace ${namespace.id} has ${namespace.blocks}`,
			);
		if (blocks > 0) ranges.push([first, first + blocks]);
	}
	if (!(command.dword(11) & DEALLOCATE)) return Status.SUCCESS;
	return checkWritable(command, namespace) || start(controller, command, "deallocate", namespace, ranges);
}

function verify(controller: Controller, command: Command): number {
	const namespace = controller.namespaces.of(command);
	if (typeof namespace === "number") return namespace;
	const count = countOf(command);
	const status = checkRange(command, namespace, count);
	if (status !== Status.SUCCESS) return status;
	const first = command.quad(SLBA);
	return start(controller, command, "verify", namespace, [[first, first + count]]);
}

function writeUncorrectable(controller: Controller, command: Command): number {
	const namespace = controller.namespaces.of(command);
	if (typeof namespace === "number") return namespace;
	const count = countOf(command);
	const status = checkRange(command, namespace, count) || checkWritable(command, namespace);
	if (status !== Status.SUCCESS) return status;
	namespace.uncorrectable.add(command.quad(SLBA), count);
	return Status.SUCCESS;
}

function start(
	{ operations }: Controller,
	command: Command,
	kind: Operation["kind"],
	{ id }: Namespace,
	ranges: BlockRange[],
	isDurable = false,
): number {
	const rest = [{ namespaceId: id, ranges }];
	const status = operations.start({ kind, submissionId: command.queue.id, commandId: command.id, rest, isDurable });
	return status === Status.SUCCESS || status === PENDING ? status : command.fail(status, operations.reason);
}

function checkRange(command: Command, namespace: Namespace, count: number): number {
	const first = command.quad(SLBA);
	if (first + count <= namespace.blocks) return Status.SUCCESS;
	return command.fail(
		Status.LBA_OUT_OF_RANGE,
		`${count} blocks from ${first} on: namespace ${namespace.id} has ${namespace.blocks}`,
		SLBA,
	);
}

function checkLength(command: Command, length: number): number {
	if (length <= MAX_TRANSFER) return Status.SUCCESS;
	return command.invalidField(`${length} bytes are more than MDTS allows, ${MAX_TRANSFER}`, 12);
}

function checkWritable(command: Command, { id, store }: Namespace): number {
	if (!store.isReadOnly) return Status.SUCCESS;
	return command.fail(Status.NAMESPACE_WRITE_PROTECTED, `namespace ${id} is read-only`, 1);
}
