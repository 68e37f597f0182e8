// The controller's turn: it fetches commands, does them, and posts their completions. Queues take turns, round robin.
// NVM Express Base Specification 1.4, 4.13 "Command Arbitration", 7.2 "Command Submission and Completion Mechanism".

import { ADMIN_COMMANDS } from "./admin.js";
import { COMMAND_SIZE, Command, PENDING } from "./command.js";
import type { CommandEntry, CommandTable } from "./command-table.js";
import type { Controller } from "./controller.js";
import { checkPair, Fused } from "./fused.js";
import { NVM_COMMANDS } from "./nvm.js";
import type { CompletionQueue, SubmissionQueue } from "./queues.js";
import { nameOfStatus, Status, statusField } from "./status.js";

/** Entries that are fetched together at most. */
const MOST_FETCHED = 32;
/** What a turn may take, about a millisecond: so many bytes, where a command counts for some besides its data. */
const TURN = 1024 * 1024;
const COMMAND_COST = 8 * 1024;

/** A completion that its queue has no room for. */
export interface LateCompletion {
	readonly completionId: number;
	readonly submissionId: number;
	readonly submissionHead: number;
	readonly commandId: number;
	readonly status: number;
	readonly result: number;
}

const adminCommands = byOpcode(ADMIN_COMMANDS);
const nvmCommands = byOpcode(NVM_COMMANDS);

export class Execution {
	readonly #controller: Controller;
	readonly #entries = new Uint8Array(MOST_FETCHED * COMMAND_SIZE);
	/** Room for 0, 1, 2 ... entries. */
	readonly #room = Array.from({ length: MOST_FETCHED + 1 }, (_, count) =>
		this.#entries.subarray(0, count * COMMAND_SIZE),
	);
	readonly #command = new Command(this.#entries);
	/** The second of a fused operation. */
	readonly #secondEntry = new Uint8Array(COMMAND_SIZE);
	readonly #second = new Command(this.#secondEntry);
	/** The submission queue whose turn it is next. */
	next = 0;
	/** In the order in which they came to be. */
	readonly late: LateCompletion[] = [];
	/** Completion queues that have something staged, besides the one of the queue whose turn it is. */
	readonly #unflushed: CompletionQueue[] = [];

	constructor(controller: Controller) {
		this.#controller = controller;
	}

	/** @returns whether there is more to do */
	turn(): boolean {
		const controller = this.#controller;
		const { operations, events } = controller;
		this.#postLate();
		operations.work();
		const isMore = this.#takeTurns();
		events.deliver();
		this.#flushAll();
		return controller.isRunning && (isMore || operations.all.length > 0);
	}

	/** A command ends of which the queue's turn is over. @param reason of an error, for people */
	completeLater(submissionId: number, commandId: number, status: number, result: number, reason: string): void {
		const queue = this.#controller.queues.submission[submissionId]!;
		if (status !== Status.SUCCESS) this.#record(queue.id, commandId, status, reason);
		this.#postOrKeep(queue, commandId, status, result);
		this.#unflushed.push(queue.completions);
	}

	/** Posts a completion, or keeps it until its queue has room. */
	#postOrKeep({ id, head, completions }: SubmissionQueue, commandId: number, status: number, result: number): void {
		if (completions.room > 0 && this.late.length === 0) {
			this.#post(completions, result, head, id, commandId, status);
			return;
		}
		const late = { completionId: completions.id, submissionId: id, submissionHead: head, commandId, status, result };
		this.late.push(late);
	}

	/** A completion queue is deleted, and what was to come to it. */
	forget(queue: CompletionQueue): void {
		const left = this.late.filter(({ completionId }) => completionId !== queue.id);
		this.late.length = 0;
		this.late.push(...left);
		const unflushed = this.#unflushed.filter((one) => one !== queue);
		this.#unflushed.length = 0;
		this.#unflushed.push(...unflushed);
	}

	reset(): void {
		this.next = 0;
		this.late.length = 0;
		this.#unflushed.length = 0;
	}

	/** @returns whether there are commands left that could be done */
	#takeTurns(): boolean {
		const controller = this.#controller;
		const { submission } = controller.queues;
		const burst = controller.features.arbitrationBurst;
		let left = TURN;
		for (let idle = 0; idle < submission.length; ) {
			if (!controller.isRunning) return false;
			if (left <= 0) return true;
			const queue = submission[this.next];
			this.next = this.next + 1 === submission.length ? 0 : this.next + 1;
			const cost = queue === undefined ? 0 : this.#serve(queue, burst, left);
			left -= cost;
			idle = cost === 0 ? idle + 1 : 0;
		}
		return false;
	}

	/** Does some commands of a queue. @returns what that has cost */
	#serve(queue: SubmissionQueue, burst: number, left: number): number {
		const { memory, transfer, doorbells } = this.#controller;
		const { completions } = queue;
		if (queue.waiting === 0) return 0;
		if (completions.room === 0) this.#controller.ring(doorbells.update(completions, true));
		const count = Math.min(queue.waiting, queue.size - queue.head, MOST_FETCHED, burst, completions.room);
		if (count === 0) return 0;
		const fault = queue.fetch(memory, this.#room[count]);
		if (fault !== undefined) {
			this.#controller.fail(`submission queue ${queue.id} can't be read: ${fault.message}`);
			return 0;
		}
		const first = queue.head;
		const moved = transfer.moved;
		let cost = 0;
		for (let i = 0; i < count && cost < left && completions.room > 0 && this.#controller.isRunning; i++) {
			// It may have been done already, as the second of a fused operation.
			if (queue.head !== (first + i) % queue.size) continue;
			queue.advance();
			this.#command.begin(queue, i);
			this.#do(this.#command);
			cost = (i + 1) * COMMAND_COST + transfer.moved - moved;
		}
		this.#flush(completions);
		if (queue.waiting === 0 && doorbells.shadow !== undefined) {
			doorbells.askFor(queue, false, queue.tail);
			// It may have been filled further before it could be seen that a bell is wanted.
			this.#controller.ring(doorbells.update(queue, false));
		}
		return cost;
	}

	#do(command: Command): void {
		const entry = entryOf(command);
		let status = this.#refuse(command, entry);
		if (command.fusedOperation !== Fused.NONE) {
			if (status === Status.SUCCESS && command.fusedOperation === Fused.FIRST && this.#fetchSecond(command.queue)) {
				this.#doPair(command, this.#second);
				return;
			}
			if (status === Status.SUCCESS)
				status = command.fail(
					Status.MISSING_FUSED_COMMAND,
					`it is the ${command.fusedOperation === Fused.FIRST ? "first" : "second"} of a fused operation, and the other isn't beside it`,
				);
		}
		this.#end(command, entry, status || entry!.run(this.#controller, command));
	}

	/** Fetches the entry at the head, apart from all others. @returns whether it is the second of a fused operation */
	#fetchSecond(queue: SubmissionQueue): boolean {
		if (queue.waiting === 0) return false;
		const fault = queue.fetch(this.#controller.memory, this.#secondEntry);
		if (fault !== undefined) {
			this.#controller.fail(`submission queue ${queue.id} can't be read: ${fault.message}`);
			return false;
		}
		this.#second.begin(queue, 0);
		return this.#second.fusedOperation === Fused.SECOND;
	}

	/** The second is done if the first goes well. Nothing comes between them, since nothing comes between any two commands. */
	#doPair(first: Command, second: Command): void {
		first.queue.advance();
		const entry = entryOf(first);
		const secondEntry = entryOf(second);
		let status = checkPair(first, second);
		let secondStatus = status || this.#refuse(second, secondEntry);
		if (status === Status.SUCCESS)
			if (secondStatus === Status.SUCCESS) status = entry!.run(this.#controller, first);
			else status = first.fail(Status.FAILED_FUSED_COMMAND, `the second of the two, command ${second.id}, failed`);
		if (secondStatus === Status.SUCCESS)
			if (status === Status.SUCCESS) secondStatus = secondEntry!.run(this.#controller, second);
			else secondStatus = second.fail(Status.FAILED_FUSED_COMMAND, `the first of the two, command ${first.id}, failed`);
		this.#end(first, entry, status);
		this.#end(second, secondEntry, secondStatus);
	}

	#end(command: Command, entry: CommandEntry | undefined, status: number): void {
		if (status === PENDING) return;
		const { queue } = command;
		if (status !== Status.SUCCESS) this.#recordOf(command, entry?.name ?? "unknown", status);
		this.#postOrKeep(queue, command.id, status, command.result);
	}

	/** What can be said of any command without looking at what it is for. @returns a status */
	#refuse(command: Command, entry: CommandEntry | undefined): number {
		const isAdmin = command.queue.id === 0;
		if (entry === undefined)
			return command.fail(
				Status.INVALID_OPCODE,
				`there is no ${isAdmin ? "admin" : "NVM"} command 0x${command.opcode.toString(16)}`,
				0,
			);
		if (command.fusedOperation === 3 || (isAdmin && command.fusedOperation !== Fused.NONE))
			return command.invalidField(
				`FUSE is ${command.fusedOperation}: ${isAdmin ? "no admin command is fused" : "3 is reserved"}`,
				0,
				8,
			);
		if (command.transferKind === 3 || (isAdmin && command.transferKind !== 0))
			return command.invalidField(
				`PSDT is ${command.transferKind}: ${isAdmin ? "admin commands have PRPs" : "3 is reserved"}`,
				0,
				14,
			);
		if (this.#isInUse(command))
			return command.fail(
				Status.COMMAND_ID_CONFLICT,
				`another command ${command.id} of this queue isn't complete`,
				0,
				16,
			);
		return Status.SUCCESS;
	}

	#isInUse({ queue, id }: Command): boolean {
		const { events, operations } = this.#controller;
		if (queue.id === 0 && events.requests.includes(id)) return true;
		return operations.all.length > 0 && operations.find(queue.id, id) !== undefined;
	}

	#recordOf(command: Command, name: string, status: number): void {
		const { errorLog, port } = this.#controller;
		errorLog.add({
			submissionQueueId: command.queue.id,
			commandId: command.id,
			statusField: statusField(status),
			parameterErrorLocation: command.errorLocation,
			lba: command.queue.id === 0 ? 0 : command.quad(10),
			namespace: command.namespaceId,
		});
		port.tell(`SQ ${command.queue.id} command ${command.id} (${name}): ${nameOfStatus(status)}: ${command.reason}`);
	}

	#record(submissionId: number, commandId: number, status: number, reason: string): void {
		const { errorLog, port } = this.#controller;
		errorLog.addOf(submissionId, commandId, statusField(status));
		port.tell(`SQ ${submissionId} command ${commandId}: ${nameOfStatus(status)}: ${reason}`);
	}

	#post(
		completions: CompletionQueue,
		result: number,
		submissionHead: number,
		submissionId: number,
		commandId: number,
		status: number,
	): void {
		if (completions.isStagingFull) this.#flush(completions);
		completions.post(result, submissionHead, submissionId, commandId, status);
	}

	/** Completions that had to wait, as far as their queues have room now. */
	#postLate(): void {
		const { queues, doorbells } = this.#controller;
		while (this.late.length > 0) {
			const { completionId, submissionHead, submissionId, commandId, status, result } = this.late[0];
			const completions = queues.completion[completionId]!;
			if (completions.room === 0) this.#controller.ring(doorbells.update(completions, true));
			if (completions.room === 0) return;
			this.late.shift();
			this.#post(completions, result, submissionHead, submissionId, commandId, status);
			this.#unflushed.push(completions);
		}
	}

	#flushAll(): void {
		for (const completions of this.#unflushed) this.#flush(completions);
		this.#unflushed.length = 0;
	}

	#flush(completions: CompletionQueue): void {
		if (!completions.isStaging) return;
		const { memory, interrupts, doorbells } = this.#controller;
		const fault = completions.flush(memory);
		if (fault !== undefined) {
			this.#controller.fail(`completion queue ${completions.id} can't be written: ${fault.message}`);
			return;
		}
		doorbells.askFor(completions, true, completions.head);
		interrupts.posted(completions);
	}
}

function entryOf(command: Command): CommandEntry | undefined {
	return (command.queue.id === 0 ? adminCommands : nvmCommands)[command.opcode];
}

function byOpcode(table: CommandTable): (CommandEntry | undefined)[] {
	return Array.from({ length: 256 }, (_, opcode) => table[opcode]);
}
