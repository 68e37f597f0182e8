// A PCI function in the hands of VFIO: which program has it, and what it is attached to.
// struct vfio_device in include/linux/vfio.h; drivers/vfio/iommufd.c.

import type { Endpoint } from "../devices/endpoint.js";
import type { EventFd } from "../files/event-fd.js";
import { NO_PASID, type Pasid } from "../iommu/core/pasid.js";
import type { PciDevice } from "../iommu/core/pci.js";
import { attachDevice, detachDevice, replaceDevice } from "../iommufd/attach.js";
import type { Context } from "../iommufd/context.js";
import { type BoundDevice, bindDevice, unbindDevice } from "../iommufd/device.js";
import { Errno } from "../uapi/errno.js";
import { Turn } from "../uapi/turns.js";
import { BarMemory } from "./bar-memory.js";
import type { BarOwner } from "./bar-window.js";
import { ConfigSpace } from "./config-space.js";
import { DmaBufs } from "./dma-buf.js";
import type { VfioGroup } from "./group.js";
import { Interrupts } from "./interrupts.js";
import { IoEventFds } from "./ioeventfds.js";
import { LowPower } from "./low-power.js";
import { PciConfig, type PciHardware } from "./pci-config.js";
import { LocalRegisters, type Registers } from "./registers.js";
import type { SriovRole } from "./vf-token.js";

/** PASIDs are kept as positive ints. */
const LAST_PASID = 0x7fffffff;

export class VfioDevice {
	/** "vfio0", or "noiommu-vfio0" where there is no IOMMU: the name in /dev/vfio/devices. */
	cdevName: string;
	readonly device: PciDevice;
	readonly hardware: PciHardware;
	readonly sriov: SriovRole;
	/** The function's own. */
	readonly config: PciConfig;
	/** What is behind its BARs: nothing, until the machine puts something there. */
	registers: Registers;
	/** Where what it sends goes to. */
	readonly interrupts: Interrupts;
	/** What else than calls writes to its registers. */
	readonly ioEventFds = new IoEventFds(this);
	/** Its BARs as other functions reach them, by their indexes: those of memory. */
	readonly barMemory: ReadonlyMap<number, BarMemory>;
	/** What its program has handed out of them. */
	readonly dmaBufs = new DmaBufs(this);
	/** Of which it is one; undefined when VFIO doesn't have it, or no longer. */
	group: VfioGroup | undefined;
	/** The configuration space of the program that has it. */
	#configSpace: ConfigSpace | undefined;
	/** How often it is open: more than once only through its group. */
	#opens = 0;
	/** The thread that has bound it last. */
	#boundBy = 0;
	/** Waits for nobody to have it. */
	#whenClosed: (() => void) | undefined;
	/** Gives back what the first open has taken. */
	#giveBack: () => void = () => {};
	/** In which iommufd it is, if it is in one. */
	#bound: BoundDevice | undefined;
	#isAttached = false;
	/** The PASIDs that were attached as such. PASID 0 can be: then it is the device itself that is attached. */
	readonly #pasids = new Set<Pasid>();
	/** Whether the program has let it sleep. */
	readonly lowPower: LowPower;
	/** Of the calls that work on it. */
	readonly turn = new Turn("another call of this device is under way");

	constructor(cdevName: string, device: PciDevice, hardware: PciHardware, sriov: SriovRole) {
		this.cdevName = cdevName;
		this.device = device;
		this.hardware = hardware;
		this.sriov = sriov;
		this.config = new PciConfig(hardware);
		const bars = hardware.bars.filter(({ space }) => space !== "io");
		this.barMemory = new Map(bars.map((bar) => [bar.index, new BarMemory(this, bar)]));
		this.registers = new LocalRegisters(this.barsOf(undefined));
		this.interrupts = new Interrupts(device.name, this.config);
		this.lowPower = new LowPower(device.name);
	}

	/** "0000:00:03.0" */
	get name(): string {
		return this.device.name;
	}

	/** Whether it can be opened: VFIO's driver has it, and isn't about to leave it. */
	get isRegistered(): boolean {
		return this.group?.devices.includes(this) ?? false;
	}

	/** Of the iommufd that it is in. */
	get context(): Context | undefined {
		return this.#bound?.context;
	}

	/** Whether a program has it. */
	get isOpen(): boolean {
		return this.#opens > 0;
	}

	/**
	 * Gives the function to the program that has opened its own file.
	 * @param thread the caller's id, for a reason
	 * @returns its id in the iommufd
	 * @throws EINVAL when it has been given away already, and what bindDevice() throws
	 */
	bind(context: Context, thread: number): number {
		if (this.#opens > 0)
			throw new Errno(
				"EINVAL",
				`${this.name} is bound already, by thread ${this.#boundBy}: one open of its file can bind it`,
				"bound-elsewhere",
			);
		this.#boundBy = thread;
		this.#open(() => this.bindTo(context));
		return this.#theBound().id;
	}

	/**
	 * Gives it to the program that has its group, which may open it again and again.
	 * @param take what the first open takes, before anything is done to the function; returns how that is given back
	 */
	openThroughGroup(take: () => () => void): void {
		if (this.#opens > 0) this.#opens++;
		else this.#open(take);
	}

	/** Makes it a device of an iommufd. @returns how that is undone. @throws what bindDevice() throws */
	bindTo(context: Context): () => void {
		const bound = bindDevice(context, this.device);
		this.#bound = bound;
		return () => {
			for (const pasid of [...this.#pasids].sort((a, b) => a - b)) this.detachPasid(pasid);
			this.detach();
			unbindDevice(bound);
			this.#bound = undefined;
		};
	}

	/** Undoes one open. The last one takes the function back from the program that had it. */
	close(): void {
		this.#opens--;
		if (this.#opens > 0) return;
		this.interrupts.close();
		this.ioEventFds.close();
		this.dmaBufs.close();
		this.#configSpace = undefined;
		this.#resetFunction();
		this.config.restore();
		this.registers.commandChanged();
		this.#giveBack();
		this.lowPower.leave();
		if (this.sriov.kind === "virtual" && this.sriov.token) this.sriov.token.users--;
		const whenClosed = this.#whenClosed;
		this.#whenClosed = undefined;
		whenClosed?.();
	}

	/** The host wants it back: who has it is told, by the interrupt REQ. @param whenClosed is called when nobody has it */
	takeBack(whenClosed: () => void): void {
		if (this.#opens === 0) whenClosed();
		else {
			this.#whenClosed = whenClosed;
			this.interrupts.request();
		}
	}

	/** vfio_df_device_first_open() */
	#open(take: () => () => void): void {
		this.#giveBack = take();
		this.#opens = 1;
		this.#resetFunction();
		const { interrupts } = this;
		this.#configSpace = new ConfigSpace(this.hardware, this.config, this.sriov.kind === "virtual", {
			setIntxDisabled: (isDisabled) => interrupts.setDisabled(isDisabled),
			reset: () => this.#resetFunction(),
			commandChanged: () => {
				this.registers.commandChanged();
				if (this.isReachable) this.dmaBufs.restore();
				else this.dmaBufs.revoke();
			},
			get msiVectors() {
				return interrupts.msiVectors;
			},
		});
		this.registers.commandChanged();
		if (this.sriov.kind === "virtual" && this.sriov.token) this.sriov.token.users++;
	}

	/**
	 * Attaches the device, or moves it to something else.
	 * @returns the id of the HWPT
	 */
	attach(ptId: number): number {
		const bound = this.#theBound();
		const hwptId = this.#isAttached ? replaceDevice(bound, NO_PASID, ptId) : attachDevice(bound, NO_PASID, ptId);
		this.#isAttached = true;
		return hwptId;
	}

	/** Undoes attach(); no error when nothing is attached. */
	detach(): void {
		if (!this.#isAttached) return;
		detachDevice(this.#theBound(), NO_PASID);
		this.#isAttached = false;
	}

	/** The same for a PASID. */
	attachPasid(pasid: Pasid, ptId: number): number {
		const bound = this.#theBound();
		if (this.#pasids.has(pasid)) return replaceDevice(bound, pasid, ptId);
		if (pasid > LAST_PASID)
			throw new Errno("ENOSPC", `PASID ${pasid} is beyond the last one, ${LAST_PASID}`, "pasid-range");
		const hwptId = attachDevice(bound, pasid, ptId);
		this.#pasids.add(pasid);
		return hwptId;
	}

	detachPasid(pasid: Pasid): void {
		if (!this.#pasids.delete(pasid)) return;
		detachDevice(this.#theBound(), pasid);
	}

	/** Whether its memory can be accessed now: not while nobody has it. */
	get isMemoryEnabled(): boolean {
		return this.#configSpace?.isMemoryEnabled ?? false;
	}

	/** Whether its memory is reached now by who has mapped it, and by other functions. */
	get isReachable(): boolean {
		return this.isMemoryEnabled && !this.lowPower.isAllowed;
	}

	/** Its BARs with a model behind them, for Registers. */
	barsOf(endpoint: Endpoint | undefined): BarOwner {
		const device = this;
		return {
			name: this.name,
			hardware: this.hardware,
			endpoint,
			get isMemoryEnabled() {
				return device.isMemoryEnabled;
			},
		};
	}

	/** Of those who have it, who are the only ones that ask. */
	get configSpace(): ConfigSpace {
		if (this.#configSpace === undefined) throw new Error(`${this.name} is not open`);
		return this.#configSpace;
	}

	/** @throws EINVAL when Linux has no way to reset this function alone, Later */
	reset(): void {
		if (!this.hardware.canReset) throw new Errno("EINVAL", `${this.name} can't be reset without others`, "no-reset");
		this.dmaBufs.revoke();
		this.registers.reset();
		if (this.isReachable) this.dmaBufs.restore();
	}

	/** As far as it can be. What its configuration space has is saved before, and restored after it. */
	#resetFunction(): void {
		if (!this.hardware.canReset) return;
		this.dmaBufs.revoke();
		this.registers.resetAtOnce();
		if (this.isReachable) this.dmaBufs.restore();
	}

	/** @param wakeUp see LowPower @throws EINVAL */
	enterLowPower(wakeUp: EventFd | undefined): void {
		this.dmaBufs.revoke();
		this.lowPower.enter(wakeUp);
		this.registers.commandChanged();
	}

	/** It is used, which a function that sleeps may notice. */
	wake(): void {
		if (this.lowPower.wake()) this.registers.commandChanged();
	}

	/** One that has woken by itself has its dma-bufs back only then. */
	leaveLowPower(): void {
		this.lowPower.leave();
		this.registers.commandChanged();
		if (this.isReachable) this.dmaBufs.restore();
	}

	/** The callers are ioctls that a device answers only when it is in an iommufd. */
	#theBound(): BoundDevice {
		if (this.#bound === undefined) throw new Error(`${this.name} is not bound`);
		return this.#bound;
	}
}
