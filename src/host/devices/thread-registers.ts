// The registers of a function whose model runs in a device thread, as the supervisor's thread meets them: each access is handed over.
// Where nobody needs to know how it goes, the thread answers the call by itself; else the call waits until it is told.

import type { DeviceMemory } from "../../files/open-file.js";
import type { AddressSpace } from "../../memory/address-space.js";
import { Errno } from "../../uapi/errno.js";
import { Later } from "../../uapi/later.js";
import type { VfioDevice } from "../../vfio/device.js";
import { LocalRegisters, type Registers } from "../../vfio/registers.js";
import { handedOver } from "../trap/parked-calls.js";
import type { DeviceGroup } from "./device-group.js";
import { EntryKind, type FunctionState, STORE_BYTES } from "./link.js";
import { PeerRead } from "./peer-read.js";

/** How long a copy that a function has begun is waited for when it is to stop, in milliseconds: memory that blocks blocks only the function. */
const PATIENCE = 5;

export class ThreadRegisters implements Registers {
	readonly vfio: VfioDevice;
	readonly state: FunctionState;
	readonly #group: DeviceGroup;
	/** Its place in the group. */
	readonly #index: number;
	/** Those of a function that isn't there any more. */
	readonly #nothing: LocalRegisters;

	constructor(vfio: VfioDevice, group: DeviceGroup, index: number, state: FunctionState) {
		this.vfio = vfio;
		this.state = state;
		this.#group = group;
		this.#index = index;
		this.#nothing = new LocalRegisters(vfio.barsOf(undefined));
	}

	read(bar: number, memory: AddressSpace, address: number, length: number, offset: number): number {
		const done = this.#outcome;
		if (done !== undefined) return done;
		if (this.#group.isSilent) return this.#nothing.read(bar, memory, address, length, offset);
		return this.#handOver(EntryKind.READ, bar, address, length, offset);
	}

	write(bar: number, memory: AddressSpace, address: number, length: number, offset: number): number {
		const done = this.#outcome;
		if (done !== undefined) return done;
		if (this.#group.isSilent) return this.#nothing.write(bar, memory, address, length, offset);
		return this.#handOver(EntryKind.WRITE, bar, address, length, offset);
	}

	readonly canBeMapped = true;

	map(): DeviceMemory {
		const group = this.#group;
		if (group.isDead) throw group.gone;
		group.start();
		if (!group.link.hasRoom) throw group.waitForRoom();
		return group.memoryOf(this.#index);
	}

	/** What came of the access, where the call is made again because of that. @throws Errno */
	get #outcome(): number | undefined {
		const outcome = this.#group.services.parked.outcomeOf(this);
		if (outcome instanceof Errno) throw outcome;
		return outcome as number | undefined;
	}

	#handOver(kind: number, bar: number, address: number, length: number, offset: number): never {
		const group = this.#group;
		const { parked } = group.services;
		group.start();
		if (!group.hasRoom) throw group.waitForRoom();
		const isHandedOver = parked.mayBeHandedOver && !this.state.isWatched;
		const ticket = isHandedOver ? 0 : group.newTicket();
		group.push(kind, this.#index, bar, ticket, address, length, offset);
		if (isHandedOver) throw handedOver;
		throw new Later(`an access to BAR ${bar} of ${this.vfio.name}`, (call) => group.expect(ticket, call, this));
	}

	store(bar: number, offset: number, from: Uint8Array): void {
		const group = this.#group;
		if (group.isDead) return;
		group.start();
		for (let done = 0; done < from.length; done += STORE_BYTES)
			group.bus.store(this.#index, bar, offset + done, from.subarray(done, done + STORE_BYTES));
	}

	load(bar: number, offset: number, into: Uint8Array): number {
		const group = this.#group;
		if (group.isDead) return into.fill(0xff).length;
		if (!group.services.peerReads.canWait(into)) return 0;
		throw new PeerRead(group, this.#index, bar, offset, into.length);
	}

	reset(): void {
		const group = this.#group;
		if (!group.isRunning || group.services.parked.outcomeOf(this) !== undefined) return;
		if (!group.hasRoom) throw group.waitForRoom();
		this.resetAtOnce();
		const ticket = group.newTicket();
		group.push(EntryKind.BARRIER, this.#index, 0, ticket, 0, 0, 0);
		throw new Later(`a reset of ${this.vfio.name}`, (call) => group.expect(ticket, call, this));
	}

	resetAtOnce(): void {
		if (!this.#group.isRunning) return;
		this.state.addReset();
		this.#group.wake();
		this.revoke();
	}

	commandChanged(): void {
		const { vfio, state } = this;
		const [isMemoryEnabled, isBusMaster] = [vfio.isMemoryEnabled, vfio.config.isBusMaster];
		const stops = state.isBusMaster && !isBusMaster;
		state.setCommand(isMemoryEnabled, isBusMaster);
		if (state.isReachable !== vfio.isReachable) {
			state.isReachable = vfio.isReachable;
			// What is mapped and no register has to be taken away.
			if (this.#group.isRunning && this.#group.isMapped) this.#group.wake();
		}
		if (stops) this.revoke();
	}

	/** What the function remembers of the ways of its DMA doesn't count any more. */
	readonly revoke = (): void => {
		if (this.#group.isRunning) this.state.revoke(PATIENCE);
	};
}
