// The models behind the functions of a machine, and where they run. As a rule that is here, in the machine's own thread: a register is
// accessed, what the model makes of it is done, and only then does the access return. The host can have them run elsewhere.

import type { Endpoint, EndpointPort, PageBehaviour } from "../devices/endpoint.js";
import type { DeviceHost, DeviceModel } from "../devices/model.js";
import { Wire } from "../devices/wire.js";
import { WorkList } from "../devices/work-list.js";
import { NO_PASID } from "../iommu/core/pasid.js";
import type { Dma } from "../iommu/dma/dma.js";
import type { DeviceEvent } from "../trace/event.js";
import type { VfioDevice } from "../vfio/device.js";
import { NO_MASTER } from "../vfio/interrupts.js";
import { LocalRegisters, type Registers } from "../vfio/registers.js";
import { MachineDescriptionError } from "./errors.js";

/** A function that has a model. */
export interface ModelledFunction {
	readonly vfio: VfioDevice;
	readonly model: DeviceModel;
	/** What was chosen, as the model's schema gives it. */
	readonly options: unknown;
	/** The same as a machine file or the command line has it. */
	readonly chosen: unknown;
}

/** Where models run. */
export interface ModelPlace {
	/**
	 * Has the functions of a machine run there.
	 * @param bare those without a model
	 * @returns the way to each one's registers, where it isn't the one that a function has by itself
	 */
	place(functions: readonly ModelledFunction[], bare: readonly VfioDevice[]): ReadonlyMap<VfioDevice, Registers>;
}

/** What models in this thread have of the world outside of the machine. */
export type Outside = Pick<DeviceHost, "openBlocks" | "now">;

/** Without a host there are no files. */
export const nowhere: Outside = {
	openBlocks(path) {
		throw new Error(`${path} can't be opened: there are no files here`);
	},
	now: () => BigInt(Math.round(performance.now() * 1e6)),
};

export class LocalModels implements ModelPlace {
	readonly endpoints = new Map<VfioDevice, Endpoint>();
	readonly #dma: Dma;
	readonly #outside: Outside;
	readonly #tell: (event: DeviceEvent) => void;
	readonly #work = new WorkList();
	readonly #wires = new Map<string, Wire>();

	/** @param tell is told what models say */
	constructor(dma: Dma, outside: Outside, tell: (event: DeviceEvent) => void) {
		this.#dma = dma;
		this.#outside = outside;
		this.#tell = tell;
	}

	place(functions: readonly ModelledFunction[]): ReadonlyMap<VfioDevice, Registers> {
		return new Map(functions.map((one) => [one.vfio, this.#registersOf(one)]));
	}

	/** Functions of somebody else's need a thread: here nothing answers. @throws MachineDescriptionError when its files can't be had */
	#registersOf({ vfio, model, options }: ModelledFunction): Registers {
		if (model.remote !== undefined) {
			model.remote.letGo(options);
			return new LocalRegisters(vfio.barsOf(undefined));
		}
		let endpoint: Endpoint | undefined;
		const woken = () => endpoint && this.#work.add(endpoint);
		const host: DeviceHost = {
			...this.#outside,
			address: vfio.name,
			wire: (name) => this.#wire(name).takeEnd(),
			gone: (reason) => this.#tell({ device: vfio.name, message: `answers nothing any more: ${reason}` }),
		};
		try {
			endpoint = model.create(this.#portOf(vfio, model.pages?.(options) ?? [], woken), options, host);
		} catch (error) {
			throw new MachineDescriptionError(`${vfio.name} (${model.name}): ${(error as Error).message}`);
		}
		this.endpoints.set(vfio, endpoint);
		return new LocalRegisters(vfio.barsOf(endpoint), this.#work);
	}

	#wire(name: string): Wire {
		const wire = this.#wires.get(name) ?? new Wire();
		this.#wires.set(name, wire);
		return wire;
	}

	#portOf({ device, config, interrupts }: VfioDevice, pages: readonly PageBehaviour[], wake: () => void): EndpointPort {
		const dma = this.#dma;
		const refused = (iova: bigint, length: number, write: boolean, pasid = NO_PASID) =>
			config.isBusMaster ? undefined : dma.refuse({ device, pasid, iova, write }, NO_MASTER, length);
		const memories = new Map<PageBehaviour, Uint8Array>();
		return {
			readMemory: (iova, into, pasid) =>
				refused(iova, into.length, false, pasid) ?? dma.read(device, iova, into, pasid),
			writeMemory: (iova, from, pasid) =>
				refused(iova, from.length, true, pasid) ?? dma.write(device, iova, from, pasid),
			interrupt: (vector) => interrupts.raise(vector),
			deassert: () => interrupts.deassert(),
			wake,
			memoryOf(bar, offset) {
				const found = pages.find((page) => page.bar === bar && page.offset === offset && page.kind === "memory");
				if (found === undefined) throw new Error(`BAR ${bar} has no plain memory at ${offset}`);
				const memory = memories.get(found) ?? new Uint8Array(found.length);
				memories.set(found, memory);
				return memory;
			},
			// Nobody maps them here, so that nobody compares.
			setDoorbell: () => {},
			tell: (message) => this.#tell({ device: device.name, message }),
		};
	}
}
