// Creating and deleting I/O queues.
// NVM Express Base Specification 1.4, 5.3 to 5.6.

import { COMMAND_SIZE, type Command, DataPointer } from "./command.js";
import type { Controller } from "./controller.js";
import { offsetIn } from "./prp.js";
import { COMPLETION_SIZE, CompletionQueue, type Ring, SubmissionQueue } from "./queues.js";
import { MOST_ENTRIES } from "./registers.js";
import { Status } from "./status.js";

const PHYSICALLY_CONTIGUOUS = 1 << 0;
const INTERRUPTS_ENABLED = 1 << 1;
/** CC.IOSQES and CC.IOCQES have to say the sizes that there are, as powers of two. */
const SUBMISSION_SHIFT = Math.log2(COMMAND_SIZE);
const COMPLETION_SHIFT = Math.log2(COMPLETION_SIZE);

export function createCompletionQueue(controller: Controller, command: Command): number {
	const { queues, doorbells, vectors } = controller;
	const id = command.dword(10) & 0xffff;
	if (id === 0 || id > queues.allocatedCompletion || queues.completion[id] !== undefined)
		return badIdentifier(command, "completion", id, queues.allocatedCompletion);
	const shift = controller.configuration.completionEntrySize;
	const ring = ringOf(controller, command, COMPLETION_SIZE, shift, COMPLETION_SHIFT);
	if (typeof ring === "number") return ring;
	const vector = command.dword(11) >>> 16;
	if (vector >= vectors)
		return command.fail(Status.INVALID_INTERRUPT_VECTOR, `vector ${vector}, and there are ${vectors}`, 11, 16);
	const queue = new CompletionQueue(id, ring, vector, (command.dword(11) & INTERRUPTS_ENABLED) !== 0);
	queues.completion[id] = queue;
	doorbells.begin(queue, true);
	return Status.SUCCESS;
}

export function createSubmissionQueue(controller: Controller, command: Command): number {
	const { queues, doorbells } = controller;
	const id = command.dword(10) & 0xffff;
	if (id === 0 || id > queues.allocatedSubmission || queues.submission[id] !== undefined)
		return badIdentifier(command, "submission", id, queues.allocatedSubmission);
	const completionId = command.dword(11) >>> 16;
	if (completionId === 0 || completionId > queues.allocatedCompletion)
		return command.fail(
			Status.INVALID_QUEUE_IDENTIFIER,
			`its completions are to go to queue ${completionId}: there can be those from 1 to ${queues.allocatedCompletion}`,
			11,
			16,
		);
	const completions = queues.completion[completionId];
	if (completions === undefined)
		return command.fail(
			Status.COMPLETION_QUEUE_INVALID,
			`its completions are to go to queue ${completionId}, which hasn't been created`,
			11,
			16,
		);
	const shift = controller.configuration.submissionEntrySize;
	const ring = ringOf(controller, command, COMMAND_SIZE, shift, SUBMISSION_SHIFT);
	if (typeof ring === "number") return ring;
	const queue = new SubmissionQueue(id, ring, completions);
	queues.submission[id] = queue;
	doorbells.begin(queue, false);
	return Status.SUCCESS;
}

/** What is under way in it ends without a completion that anybody waits for; so it is told that it was aborted. */
export function deleteSubmissionQueue(controller: Controller, command: Command): number {
	const { queues, operations } = controller;
	const id = command.dword(10) & 0xffff;
	if (id === 0 || queues.submission[id] === undefined) return noQueue(command, "submission", id);
	operations.abortOf(id);
	queues.submission[id] = undefined;
	return Status.SUCCESS;
}

export function deleteCompletionQueue(controller: Controller, command: Command): number {
	const { queues, interrupts, execution } = controller;
	const id = command.dword(10) & 0xffff;
	const queue = queues.completion[id];
	if (id === 0 || queue === undefined) return noQueue(command, "completion", id);
	const user = queues.submission.find((submission) => submission?.completions === queue);
	if (user !== undefined)
		return command.fail(
			Status.INVALID_QUEUE_DELETION,
			`completion queue ${id} is to be deleted, and submission queue ${user.id} still uses it`,
			10,
		);
	execution.forget(queue);
	queues.completion[id] = undefined;
	queue.head = queue.tail;
	interrupts.taken(queue);
	return Status.SUCCESS;
}

/** @returns where the ring is, or the status of the error */
function ringOf(
	controller: Controller,
	command: Command,
	entry: number,
	shift: number,
	rightShift: number,
): Ring | number {
	const size = (command.dword(10) >>> 16) + 1;
	if (size < 2 || size > MOST_ENTRIES)
		return command.fail(Status.INVALID_QUEUE_SIZE, `it has ${size} entries: 2 to ${MOST_ENTRIES} can be`, 10, 16);
	if (shift !== rightShift)
		return command.fail(
			Status.INVALID_QUEUE_SIZE,
			`CC says that an entry has 2^${shift} bytes, and it has 2^${rightShift}: that is set before queues are created`,
		);
	if (!(command.dword(11) & PHYSICALLY_CONTIGUOUS))
		return command.invalidField("the queue isn't physically contiguous, which CAP.CQR requires", 11);
	const page = command.page(DataPointer.PRP1);
	if (offsetIn(controller.transfer.pageSize, page, command.offset(DataPointer.PRP1)) !== 0)
		return command.fail(
			Status.PRP_OFFSET_INVALID,
			`the queue doesn't begin at the start of a page of ${controller.transfer.pageSize} bytes`,
			DataPointer.PRP1,
		);
	if (controller.memory.placeOf(page, 0, size * entry) === "across")
		return command.fail(
			Status.INVALID_USE_OF_CMB,
			"the queue lies partly in the Controller Memory Buffer",
			DataPointer.PRP1,
		);
	return { page, size };
}

function badIdentifier(command: Command, kind: string, id: number, allocated: number): number {
	const why = id === 0 || id > allocated ? `there can be those from 1 to ${allocated}` : "it exists already";
	return command.fail(Status.INVALID_QUEUE_IDENTIFIER, `${kind} queue ${id} is to be created: ${why}`, 10);
}

function noQueue(command: Command, kind: string, id: number): number {
	const why = id === 0 ? "the admin queues can't be" : "it doesn't exist";
	return command.fail(Status.INVALID_QUEUE_IDENTIFIER, `${kind} queue ${id} is to be deleted: ${why}`, 10);
}
