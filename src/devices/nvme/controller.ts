// An NVMe controller: its registers, and its life from being enabled to being reset.
// NVM Express Base Specification 1.4, 3.1 "Register Definition", 7.3 "Resets", 7.6 "Controller Initialization and Shutdown Processing".

import { allOnes, type Endpoint, type EndpointPort } from "../endpoint.js";
import type { FunctionIdentity } from "../model.js";
import { ADMIN_COMMANDS } from "./admin.js";
import { type BadDoorbell, Doorbells } from "./doorbells.js";
import { ErrorLog, NO_COMMAND } from "./error-log.js";
import { ErrorEvent, Events, EventType } from "./events.js";
import { Execution } from "./execution.js";
import { FeatureValues } from "./features.js";
import { Health } from "./health.js";
import { HostMemory } from "./host-memory.js";
import { uuidOf, uuidText } from "./identify.js";
import { Interrupts } from "./interrupts.js";
import { EFFECTS_LOG_SIZE, LogPage } from "./log-pages.js";
import { Media } from "./media.js";
import type { Namespace } from "./namespace.js";
import { Namespaces } from "./namespaces.js";
import { NVM_COMMANDS } from "./nvm.js";
import { Operations } from "./operations.js";
import { CompletionQueue, Queues, SubmissionQueue } from "./queues.js";
import {
	CapHigh,
	CapLow,
	CC_ENABLE,
	Csts,
	ccFields,
	END_OF_REGISTERS,
	FIRST_DOORBELL,
	MAX_PAGE_SHIFT,
	MIN_PAGE_SHIFT,
	MOST_ENTRIES,
	NSSR_MAGIC,
	NvmeRegister,
	VERSION,
} from "./registers.js";
import { restoreState, saveState } from "./state.js";
import { MAX_TRANSFER, Transfer } from "./transfer.js";

/** What a controller is made of. */
export interface ControllerParts {
	readonly port: EndpointPort;
	readonly identity: FunctionIdentity;
	readonly namespaces: readonly Namespace[];
	/** At most 20 characters of ASCII. */
	readonly serial: string;
	/** I/O queues of each kind. */
	readonly queues: number;
	/** Of doorbells, in bytes: a power of two from 4 on. */
	readonly stride: number;
	/** The Controller Memory Buffer, which is all of BAR 2; without one it has no bytes. */
	readonly buffer: Uint8Array;
	/** How far the doorbells reach in BAR 0. */
	readonly endOfDoorbells: number;
	/** Nanoseconds since the machine was switched on. */
	readonly clock: () => bigint;
}

/** CAP.TO: what a driver waits for, in units of 500 ms. */
const TIMEOUT = 15;
/** Submission and completion queues, lists, and data in both directions can be in the buffer. */
const CMBSZ_SERVED = 0x1f;
/** Data and lists may lie in the buffer in part, whatever the command lies in (CDPMLS, CDPCILS, CDMMMS); and BAR 2. */
const CMBLOC = (1 << 5) | (1 << 6) | (1 << 7) | 2;
/** CMBMSC: Capabilities Registers Enabled, Controller Memory Space Enable. */
const CMBMSC_CRE = 1 << 0;
const CMBMSC_CMSE = 1 << 1;
/** CMBSTS: Controller Base Address Invalid. */
const CMBSTS_CBAI = 1 << 0;
const BUFFER_BAR = 2;
const END_OF_ADDRESSES = 2 ** 52;

export class Controller implements Endpoint {
	readonly port: EndpointPort;
	readonly identity: FunctionIdentity;
	readonly serial: string;
	/** The NVM subsystem's name (NQN). */
	readonly subsystem: string;
	/** How many interrupt vectors there are. */
	readonly vectors: number;
	readonly clock: () => bigint;
	readonly namespaces: Namespaces;
	readonly memory: HostMemory;
	readonly transfer: Transfer;
	readonly queues: Queues;
	readonly interrupts: Interrupts;
	readonly doorbells: Doorbells;
	readonly events: Events;
	readonly errorLog = new ErrorLog();
	readonly health = new Health();
	readonly media = new Media(this.health);
	readonly features = new FeatureValues();
	readonly operations: Operations;
	readonly execution: Execution;
	/** For a command that needs a second buffer. */
	readonly scratch = new Uint8Array(MAX_TRANSFER);
	readonly #endOfDoorbells: number;
	/** The registers that keep what is written to them, and CSTS. By offset / 4. */
	readonly registers = new Uint32Array(END_OF_REGISTERS / 4);

	constructor(parts: ControllerParts) {
		this.port = parts.port;
		this.identity = parts.identity;
		this.serial = parts.serial;
		this.subsystem = `nqn.2014-08.org.nvmexpress:uuid:${uuidText(uuidOf(parts.serial))}`;
		this.vectors = parts.identity.msix?.vectors ?? 1;
		this.clock = parts.clock;
		this.namespaces = new Namespaces(parts.namespaces);
		this.memory = new HostMemory(parts.port, parts.buffer);
		this.transfer = new Transfer(this.memory);
		this.queues = new Queues(parts.queues);
		this.interrupts = new Interrupts(parts.port, this.queues);
		this.doorbells = new Doorbells(parts.port, this.memory, this.queues, this.interrupts, parts.stride);
		this.events = new Events((commandId, result) => this.completeLater(0, commandId, 0, result, ""));
		this.operations = new Operations(this);
		this.execution = new Execution(this);
		this.#endOfDoorbells = parts.endOfDoorbells;
	}

	/** The fields of CC. */
	get configuration(): ReturnType<typeof ccFields> {
		return ccFields(this.#get(NvmeRegister.CC));
	}

	/** The same of registers that are somebody else's. */
	configurationOf(registers: ArrayLike<number>): ReturnType<typeof ccFields> {
		return ccFields(registers[NvmeRegister.CC / 4]);
	}

	/** Whether it takes commands. */
	get isRunning(): boolean {
		return (this.#get(NvmeRegister.CSTS) & (Csts.RDY | Csts.CFS | Csts.SHST_MASK)) === Csts.RDY;
	}

	// --- What the machine wants ---

	readRegister(bar: number, offset: number, size: number): bigint {
		if (bar === BUFFER_BAR && offset + size <= this.memory.buffer.length)
			return littleEndian(this.memory.buffer.subarray(offset, offset + size));
		if (bar !== 0) return allOnes(size);
		let value = 0n;
		// What is narrower than a register is a part of it.
		for (let at = offset & ~3; at < offset + size; at += 4)
			value |= BigInt(this.#read(at)) << BigInt(8 * (at - (offset & ~3)));
		return (value >> BigInt(8 * (offset & 3))) & allOnes(size);
	}

	writeRegister(bar: number, offset: number, size: number, value: bigint): void {
		if (bar === BUFFER_BAR && offset + size <= this.memory.buffer.length) {
			for (let i = 0; i < size; i++) this.memory.buffer[offset + i] = Number((value >> BigInt(8 * i)) & 0xffn);
			return;
		}
		// Registers are written as a whole, or in halves of 32 bits.
		if (bar !== 0 || size < 4 || offset % 4 !== 0) return;
		this.#write(offset, Number(value & 0xffff_ffffn));
		if (size === 8) this.#write(offset + 4, Number(value >> 32n));
	}

	work(): boolean {
		if (this.#isToStart) this.#start();
		if (this.#isToShutDown) this.#shutDown();
		return this.isRunning && this.execution.turn();
	}

	reset(): void {
		this.#resetController();
		this.registers.fill(0);
		this.#placeBuffer();
		this.memory.buffer.fill(0);
		this.features.resetClock();
	}

	save(): Uint8Array {
		return saveState(this);
	}

	restore(state: Uint8Array): void {
		restoreState(this, state);
	}

	close(): void {
		for (const { store } of this.namespaces.all) store.close();
	}

	// --- What its parts want ---

	/** See Execution. */
	completeLater(submissionId: number, commandId: number, status: number, result: number, reason: string): void {
		this.execution.completeLater(submissionId, commandId, status, result, reason);
	}

	/** It can't go on: Controller Fatal Status, until it is reset. @param reason for people */
	fail(reason: string): void {
		this.#set(NvmeRegister.CSTS, this.#get(NvmeRegister.CSTS) | Csts.CFS);
		this.port.tell(`Controller Fatal Status: ${reason}`);
	}

	/** What came of a doorbell. @param problem undefined when all is well */
	ring(problem: BadDoorbell | undefined): void {
		if (problem === undefined) return;
		const { kind, message } = problem;
		const event = kind === "register" ? ErrorEvent.INVALID_DOORBELL_REGISTER : ErrorEvent.INVALID_DOORBELL_VALUE;
		this.errorLog.addOf(NO_COMMAND, NO_COMMAND, 0);
		this.events.report(EventType.ERROR, event, LogPage.ERROR_INFORMATION);
		this.port.tell(message);
	}

	/** The log page of Commands Supported and Effects. */
	commandEffects(): Uint8Array {
		const bytes = new Uint8Array(EFFECTS_LOG_SIZE);
		const view = new DataView(bytes.buffer);
		for (const [index, table] of [ADMIN_COMMANDS, NVM_COMMANDS].entries())
			for (let opcode = 0; opcode < 256; opcode++)
				view.setUint32(index * 1024 + 4 * opcode, table[opcode]?.effects ?? 0, true);
		return bytes;
	}

	// --- Registers ---

	#get(offset: number): number {
		return this.registers[offset / 4];
	}

	#set(offset: number, value: number): void {
		this.registers[offset / 4] = value;
	}

	/** 32 bits of a register. */
	#read(offset: number): number {
		if (offset >= FIRST_DOORBELL) return offset < this.#endOfDoorbells ? this.doorbells.read(offset) : 0;
		switch (offset) {
			case NvmeRegister.CAP:
				return ((MOST_ENTRIES - 1) | CapLow.CQR | (TIMEOUT << CapLow.TO_SHIFT)) >>> 0;
			case NvmeRegister.CAP + 4:
				return this.#capabilitiesHigh();
			case NvmeRegister.VS:
				return VERSION;
			case NvmeRegister.INTMS:
			case NvmeRegister.INTMC:
				return this.interrupts.mask;
			case NvmeRegister.NSSR:
				return 0;
			case NvmeRegister.CMBLOC:
				return this.#showsBuffer ? CMBLOC : 0;
			case NvmeRegister.CMBSZ:
				// In units of 4 KiB.
				return this.#showsBuffer ? (this.memory.buffer.length | CMBSZ_SERVED) >>> 0 : 0;
			default:
				return offset < END_OF_REGISTERS ? this.#get(offset) : 0;
		}
	}

	#capabilitiesHigh(): number {
		return (
			(Math.log2(this.doorbells.stride / 4) << CapHigh.DSTRD_SHIFT) |
			CapHigh.NSSRS |
			CapHigh.CSS_NVM |
			((MIN_PAGE_SHIFT - 12) << CapHigh.MPSMIN_SHIFT) |
			((MAX_PAGE_SHIFT - 12) << CapHigh.MPSMAX_SHIFT) |
			(this.memory.buffer.length > 0 ? CapHigh.CMBS : 0)
		);
	}

	#write(offset: number, value: number): void {
		if (offset >= FIRST_DOORBELL) {
			if (offset < this.#endOfDoorbells && this.isRunning) this.ring(this.doorbells.write(offset, value));
			return;
		}
		switch (offset) {
			case NvmeRegister.INTMS:
				this.interrupts.setMask(value);
				break;
			case NvmeRegister.INTMC:
				this.interrupts.clearMask(value);
				break;
			case NvmeRegister.CC:
				this.#configure(value);
				break;
			case NvmeRegister.CSTS:
				this.#set(NvmeRegister.CSTS, this.#get(NvmeRegister.CSTS) & ~(value & Csts.NSSRO));
				break;
			case NvmeRegister.NSSR:
				if (value === NSSR_MAGIC) this.#resetSubsystem();
				break;
			case NvmeRegister.AQA:
				this.#set(offset, value & 0x0fff_0fff);
				break;
			case NvmeRegister.ASQ:
			case NvmeRegister.ACQ:
				this.#set(offset, value & ~0xfff);
				break;
			case NvmeRegister.ASQ + 4:
			case NvmeRegister.ACQ + 4:
				this.#set(offset, value);
				break;
			case NvmeRegister.CMBMSC:
			case NvmeRegister.CMBMSC + 4:
				if (this.memory.buffer.length === 0) break;
				this.#set(offset, offset === NvmeRegister.CMBMSC ? value & ~0xffc : value);
				this.#placeBuffer();
				break;
		}
	}

	// --- Its life ---

	/** Enabled, and neither ready nor failed: the next turn does it. */
	get #isToStart(): boolean {
		const isEnabled = (this.#get(NvmeRegister.CC) & CC_ENABLE) !== 0;
		return isEnabled && (this.#get(NvmeRegister.CSTS) & (Csts.RDY | Csts.CFS)) === 0;
	}

	get #isToShutDown(): boolean {
		return (this.#get(NvmeRegister.CSTS) & Csts.SHST_MASK) === Csts.SHST_OCCURRING;
	}

	#configure(cc: number): void {
		const wasEnabled = (this.#get(NvmeRegister.CC) & CC_ENABLE) !== 0;
		this.#set(NvmeRegister.CC, cc);
		if (wasEnabled !== ((cc & CC_ENABLE) !== 0)) this.#resetController();
		const status = this.#get(NvmeRegister.CSTS);
		if (ccFields(cc).shutdown !== 0 && !(status & Csts.SHST_MASK))
			this.#set(NvmeRegister.CSTS, status | Csts.SHST_OCCURRING);
	}

	#start(): void {
		const problem = this.#whyNotToStart();
		if (problem !== undefined) {
			this.fail(`it can't be enabled: ${problem}`);
			return;
		}
		const { queues } = this;
		this.transfer.pageSize = 2 ** (12 + this.configuration.memoryPageSize);
		const { submission, completion } = this.#adminRings();
		queues.completion[0] = new CompletionQueue(0, completion, 0, true);
		queues.submission[0] = new SubmissionQueue(0, submission, queues.completion[0]);
		this.doorbells.begin(queues.completion[0], true);
		this.doorbells.begin(queues.submission[0], false);
		this.#set(NvmeRegister.CSTS, this.#get(NvmeRegister.CSTS) | Csts.RDY);
	}

	#whyNotToStart(): string | undefined {
		const { commandSet, arbitration, memoryPageSize } = this.configuration;
		if (commandSet !== 0) return `CC.CSS is ${commandSet}: 0, the NVM command set, is there`;
		if (arbitration !== 0) return `CC.AMS is ${arbitration}: 0, round robin, is there`;
		if (memoryPageSize > MAX_PAGE_SHIFT - 12)
			return `CC.MPS is ${memoryPageSize}: at most ${MAX_PAGE_SHIFT - 12} can be`;
		const pages = 2 ** memoryPageSize;
		for (const [name, { page, size }] of Object.entries(this.#adminRings())) {
			if (size < 2) return `the admin ${name} queue has one entry (AQA): at least 2 are needed`;
			if (page % pages !== 0) return `the admin ${name} queue isn't at the start of a page of ${pages * 4096} bytes`;
		}
		return undefined;
	}

	#adminRings() {
		const attributes = this.#get(NvmeRegister.AQA);
		return {
			submission: { page: this.#pageIn(NvmeRegister.ASQ), size: (attributes & 0xfff) + 1 },
			completion: { page: this.#pageIn(NvmeRegister.ACQ), size: (attributes >>> 16) + 1 },
		};
	}

	#pageIn(register: number): number {
		return this.#get(register + 4) * 2 ** 20 + (this.#get(register) >>> 12);
	}

	#shutDown(): void {
		for (const namespace of this.namespaces.all) {
			const problem = this.media.flush(namespace);
			if (problem !== undefined) this.port.tell(`at shutdown: ${problem}`);
		}
		const status = this.#get(NvmeRegister.CSTS) & ~Csts.SHST_MASK;
		this.#set(NvmeRegister.CSTS, status | Csts.SHST_COMPLETE);
	}

	/** Controller Reset: AQA, ASQ, ACQ and CMBMSC keep what they have, and so does what is counted. */
	#resetController(): void {
		this.queues.clear();
		this.interrupts.reset();
		this.doorbells.reset();
		this.events.reset();
		this.operations.reset();
		this.execution.reset();
		this.features.reset();
		this.transfer.pageSize = 4096;
		this.#set(NvmeRegister.CSTS, this.#get(NvmeRegister.CSTS) & Csts.NSSRO);
	}

	/** Its state has been restored: what follows from that. */
	resume(): void {
		this.transfer.pageSize = 2 ** (12 + this.configuration.memoryPageSize);
		this.#placeBuffer();
		this.doorbells.show();
		this.interrupts.resume();
	}

	#resetSubsystem(): void {
		this.reset();
		this.#set(NvmeRegister.CSTS, Csts.NSSRO);
	}

	// --- The Controller Memory Buffer ---

	get #showsBuffer(): boolean {
		return (this.#get(NvmeRegister.CMBMSC) & CMBMSC_CRE) !== 0;
	}

	/** Has the addresses that CMBMSC says mean the buffer. */
	#placeBuffer(): void {
		const page = this.#pageIn(NvmeRegister.CMBMSC);
		const isOn = (this.#get(NvmeRegister.CMBMSC) & CMBMSC_CMSE) !== 0;
		const isInvalid = isOn && page + this.memory.buffer.length / 4096 > END_OF_ADDRESSES;
		this.memory.placeBuffer(isOn && !isInvalid ? page : undefined);
		this.#set(NvmeRegister.CMBSTS, isInvalid ? CMBSTS_CBAI : 0);
	}
}

function littleEndian(bytes: Uint8Array): bigint {
	let value = 0n;
	for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]);
	return value;
}
