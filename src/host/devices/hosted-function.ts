// One function in a device thread: its model, the ways to it, and what programs have mapped of it.

import type { Endpoint, PageBehaviour } from "../../devices/endpoint.js";
import { BarWindow } from "../../vfio/bar-window.js";
import type { PciHardware } from "../../vfio/pci-config.js";
import { REGION_SIZE } from "../../vfio/region-access.js";
import { isMappable } from "../../vfio/region-mapping.js";
import type { Events } from "../linux/events.js";
import { MappedRegisters, type RegisterNews } from "../registers/mapped-registers.js";
import { SharedPages } from "../registers/shared-pages.js";
import type { ThreadFunction } from "./device-thread.js";
import { FunctionBus, type FunctionOnBus } from "./function-bus.js";
import { type DeviceLink, type FunctionState, Question, QuestionKind } from "./link.js";
import { type PortSurroundings, ThreadPort } from "./thread-port.js";

/** What it has of its thread. */
export interface ThreadServices {
	readonly link: DeviceLink;
	readonly events: Events;
	/** Has the supervisor answer a question that is complete. */
	ask(): void;
	/** Reads the registers of a function of the same thread. */
	loadOwn: PortSurroundings["loadOwn"];
	/** Whether the thread has something else to do. */
	isWanted(): boolean;
	beginAccess(hosted: HostedFunction): void;
	/** Is told what its model has thrown. */
	broken(hosted: HostedFunction, error: unknown): void;
}

export class HostedFunction implements FunctionOnBus {
	readonly name: string;
	readonly hardware: Pick<PciHardware, "bars" | "msix">;
	readonly state: FunctionState;
	readonly port: ThreadPort;
	readonly windows = new Map<number, BarWindow>();
	readonly registers: MappedRegisters;
	/** Whether work() is to be called. */
	hasWork = false;
	/** The endpoint's files that are waited for. */
	watched: readonly number[] | undefined;
	/** What somebody else has been told whose function it is. */
	command = 0;
	interrupts: number | undefined;
	/** Undefined when it can't be had, or is broken: then nothing answers. */
	endpoint: Endpoint | undefined;
	readonly #services: ThreadServices;
	readonly #index: number;
	readonly #fd: number;
	readonly #pages: readonly PageBehaviour[];
	/** Of its "memory" pages, those that the model has asked for. */
	readonly #memories = new Map<PageBehaviour, SharedPages>();

	constructor({ name, hardware, pages, memory }: ThreadFunction, index: number, services: ThreadServices) {
		const { link, events, ask, loadOwn, isWanted } = services;
		this.#services = services;
		this.#index = index;
		this.#fd = memory;
		this.#pages = pages;
		this.name = name;
		this.hardware = hardware;
		this.state = link.functions[index];
		const bars = hardware.bars.filter(isMappable);
		this.registers = new MappedRegisters({
			fd: memory,
			bars: bars.map((bar) => ({ bar: bar.index, fileOffset: fileOffset(bar.index), length: bar.size })),
			pages: pages.filter(({ bar }) => bars.some(({ index }) => index === bar)),
			bus: new FunctionBus(this),
			events,
			isWanted,
			// At once: whoever rings goes on, and what he calls next may come to the supervisor before our next lap.
			listens: () => {
				link.isListening = true;
			},
			tell: (news) => this.#tell(news),
			holds: (fd, isHeld) => link.hold(fd, isHeld),
		});
		this.port = new ThreadPort({
			name,
			index,
			link,
			ask,
			loadOwn,
			wake: () => {
				this.hasWork = true;
			},
			memoryOf: (bar, offset) => this.#memoryOf(bar, offset),
			setDoorbell: (bar, offset, value) => this.registers.setDoorbell(fileOffset(bar) + offset, value),
		});
		const hosted = this;
		const owner = {
			name,
			hardware,
			get isMemoryEnabled() {
				return hosted.state.isMemoryEnabled;
			},
			get endpoint() {
				return hosted.endpoint;
			},
		};
		for (const { index } of hardware.bars) this.windows.set(index, new BarWindow(owner, index));
	}

	beginAccess(): void {
		this.#services.beginAccess(this);
	}

	endAccess(): void {
		this.hasWork = true;
	}

	broken(error: unknown): void {
		this.#services.broken(this, error);
	}

	/** Whether it has to be told what has changed around it. */
	get isBehind(): boolean {
		if (this.endpoint?.remote === undefined) return false;
		const { command, interrupts, hasMemoryChanged } = this.state;
		return hasMemoryChanged || command !== this.command || interrupts !== this.interrupts;
	}

	close(): void {
		this.endpoint?.close?.();
		this.registers.close();
		for (const memory of this.#memories.values()) memory.close();
	}

	#memoryOf(bar: number, offset: number): Uint8Array {
		const page = this.#pages.find((page) => page.bar === bar && page.offset === offset && page.kind === "memory");
		if (page === undefined) throw new Error(`BAR ${bar} has no plain memory at ${offset}`);
		const memory = this.#memories.get(page) ?? new SharedPages(this.#fd, fileOffset(bar) + offset, page.length);
		this.#memories.set(page, memory);
		return new Uint8Array(memory.words.buffer);
	}

	#tell(news: RegisterNews): void {
		const { link, ask } = this.#services;
		link.ask(Question.KIND, QuestionKind.NEWS);
		link.ask(Question.FUNCTION, this.#index);
		link.ask(Question.NUMBER, news.kind === "unknown instruction" ? 1 : 0);
		link.ask(Question.LENGTH, link.writeText(textOf(news)));
		ask();
	}
}

/** Where a BAR lies in the memfd: where the device's file has it. */
function fileOffset(bar: number): number {
	return bar * REGION_SIZE;
}

function textOf(news: RegisterNews): string {
	switch (news.kind) {
		case "watched":
			return `process ${news.process} has mapped registers whose accesses can't be heard of: ${news.reason}. They are shown in memory, and what is stored there is looked for`;
		case "exact again":
			return `each access of process ${news.process} to mapped registers is heard of again`;
		case "unknown instruction":
			return `thread ${news.thread} gets SIGBUS: it accesses a mapped register by an instruction that isn't known, ${news.bytes}`;
	}
}
