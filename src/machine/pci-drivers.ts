// Which PCI functions there are at the moment, and which driver each has: what is written to bind, unbind, driver_override, new_id,
// remove_id, drivers_probe and sriov_numvfs. drivers/base/bus.c and dd.c, drivers/pci/pci-driver.c and iov.c,
// drivers/vfio/pci/vfio_pci_core.c.

import { Errno } from "../uapi/errno.js";
import type { VfioRegistry } from "../vfio/registry.js";
import type { MachineFunction } from "./pci-bus.js";

export const VFIO_PCI = "vfio-pci";
/** What a machine file calls a function's driver when it has none. */
export const NO_DRIVER = "none";
/** A longer text can't be shown in a page. */
const LONGEST_OVERRIDE = 4094;
const ANY_ID = 0xffffffff;

/** What a driver was told to take, beside what it takes anyway: struct pci_dynid. */
interface DynamicId {
	readonly vendor: number;
	readonly device: number;
	readonly subvendor: number;
	readonly subdevice: number;
	readonly class: number;
	readonly classMask: number;
}

/** A function, and what can change about it. */
export class BoundFunction {
	readonly one: MachineFunction;
	/** Whether it is there: virtual functions come and go. */
	isPresent = false;
	driver: string | undefined;
	/** The name of the only driver that it may have. */
	override: string | undefined;

	constructor(one: MachineFunction) {
		this.one = one;
	}

	/** "0000:00:03.0" */
	get address(): string {
		return this.one.device.name;
	}
}

export class PciDrivers {
	readonly functions: readonly BoundFunction[];
	/** All that a function of this machine can have, vfio-pci first. */
	readonly names: readonly string[];
	/** The parameter of vfio_pci: whether it lets virtual functions be made. */
	enableSriov = true;
	/** Something has changed. */
	onChange: () => void = () => {};
	readonly #vfio: VfioRegistry;
	readonly #dynamicIds = new Map<string, DynamicId[]>();

	/** Gives each function the driver that the machine begins with. */
	constructor(functions: readonly MachineFunction[], vfio: VfioRegistry) {
		this.functions = functions.map((one) => new BoundFunction(one));
		this.#vfio = vfio;
		const named = functions.map(({ description }) => description.driver).filter((name) => name !== NO_DRIVER);
		this.names = [...new Set([VFIO_PCI, ...named])];
		for (const one of this.functions) {
			const { driver, virtualFunctionOf } = one.one.description;
			if (
				virtualFunctionOf !== undefined &&
				this.virtualFunctionsOf(virtualFunctionOf).indexOf(one) >= this.#initial(one)
			) {
				this.#leaveGroup(one);
				continue;
			}
			one.isPresent = true;
			this.#tellPhysical(one);
			if (driver === NO_DRIVER || (driver === VFIO_PCI && one.one.vfio === undefined)) continue;
			if (driver === VFIO_PCI) one.override = VFIO_PCI;
			this.#attach(one, driver);
		}
	}

	/** How many virtual functions its physical function begins with. */
	#initial({ one: { description } }: BoundFunction): number {
		const physical = this.functions.find(({ address }) => address === description.virtualFunctionOf);
		return physical?.one.description.numvfs ?? Number.POSITIVE_INFINITY;
	}

	/** All that a physical function can have, in order. */
	virtualFunctionsOf(address: string): BoundFunction[] {
		return this.functions.filter(({ one }) => one.description.virtualFunctionOf === address);
	}

	/** How many of them there are. */
	numvfs(address: string): number {
		return this.virtualFunctionsOf(address).filter(({ isPresent }) => isPresent).length;
	}

	/** Those that are there. */
	get present(): readonly BoundFunction[] {
		return this.functions.filter(({ isPresent }) => isPresent);
	}

	/** drivers/NAME/bind @throws ENODEV for what the driver doesn't take, EBUSY for what has one, and what probing throws */
	bind(driver: string, text: string): void {
		const one = this.#find(text);
		if (one === undefined) throw new Errno("ENODEV", `there is no PCI function ${withoutNewline(text)} to be bound`);
		if (!this.#matches(driver, one))
			throw new Errno(
				"ENODEV",
				`${driver} doesn't take ${one.address}: ${one.override === undefined ? `write "${driver}" to its driver_override, or its ids to new_id` : `its driver_override is "${one.override}"`}`,
			);
		if (one.driver !== undefined) throw new Errno("EBUSY", `${one.address} has a driver: ${one.driver}`);
		this.#attach(one, driver);
		this.onChange();
	}

	/** drivers/NAME/unbind @throws ENODEV for a function that hasn't that driver */
	unbind(driver: string, text: string): void {
		const one = this.#find(text);
		if (one?.driver !== driver)
			throw new Errno("ENODEV", `${withoutNewline(text)} is no function that ${driver} has, so it can't be unbound`);
		this.#detach(one);
		this.onChange();
	}

	/** driver_override of a function @throws EINVAL for a text that is too long */
	setOverride(one: BoundFunction, text: string): void {
		if (text.length > LONGEST_OVERRIDE) throw new Errno("EINVAL", "driver_override takes a name shorter than a page");
		const name = /^[^\n\0]*/.exec(text)![0];
		one.override = name === "" ? undefined : name;
		this.onChange();
	}

	/** drivers_probe: any driver that takes the function gets it. @throws ENODEV */
	probe(text: string): void {
		const one = this.#find(text);
		if (one === undefined) throw new Errno("ENODEV", `there is no PCI function ${withoutNewline(text)} to be probed`);
		this.#probe(one);
		this.onChange();
	}

	/** drivers/NAME/new_id: what else the driver takes from now on. @throws EINVAL, EEXIST for what it takes already */
	newId(driver: string, text: string): void {
		const id = parseId(text);
		if (id === undefined)
			throw new Errno("EINVAL", "new_id takes hexadecimal numbers: at least a vendor's and a device's");
		const isStatic = this.functions.some(
			({ one }) => one.description.driver === driver && driver !== VFIO_PCI && isOf(id, one),
		);
		if (isStatic) throw new Errno("EEXIST", `${driver} takes these ids anyway`);
		const ids = this.#dynamicIds.get(driver) ?? [];
		if (ids.some((known) => JSON.stringify(known) === JSON.stringify(id)))
			throw new Errno("EEXIST", `${driver} has been told of these ids already`);
		this.#dynamicIds.set(driver, [...ids, id]);
		for (const one of this.present)
			if (one.driver === undefined && this.#matches(driver, one)) this.#tryAttach(one, driver);
		this.onChange();
	}

	/** drivers/NAME/remove_id @throws EINVAL, ENODEV for what it wasn't told of */
	removeId(driver: string, text: string): void {
		const id = parseId(text);
		if (id === undefined) throw new Errno("EINVAL", "remove_id takes hexadecimal numbers: a vendor's and a device's");
		const ids = this.#dynamicIds.get(driver) ?? [];
		const at = ids.findIndex(
			(known) =>
				known.vendor === id.vendor &&
				known.device === id.device &&
				(id.subvendor === ANY_ID || known.subvendor === id.subvendor) &&
				(id.subdevice === ANY_ID || known.subdevice === id.subdevice) &&
				((known.class ^ id.class) & id.classMask) === 0,
		);
		if (at < 0) throw new Errno("ENODEV", `${driver} wasn't told of these ids`);
		ids.splice(at, 1);
	}

	/**
	 * sriov_numvfs of a physical function: makes so many virtual functions, or takes all away.
	 * @throws EINVAL, ERANGE for more than there can be, ENOENT where the driver can't, EBUSY where there are some already
	 */
	setNumvfs(one: BoundFunction, text: string): void {
		const number = parseU16(text);
		if (number === undefined) throw new Errno("EINVAL", `sriov_numvfs of ${one.address} takes a number up to 65535`);
		const all = this.virtualFunctionsOf(one.address);
		if (number > all.length)
			throw new Errno("ERANGE", `${one.address} can have ${all.length} virtual functions, and not ${number}`);
		const now = this.numvfs(one.address);
		if (number === now) return;
		if (one.driver === undefined)
			throw new Errno("ENOENT", `${one.address} has no driver that could make virtual functions`);
		if (one.driver !== VFIO_PCI)
			throw new Errno("ENOENT", `${one.driver}, the driver of ${one.address}, makes no virtual functions`);
		if (!this.enableSriov)
			throw new Errno("ENOENT", `vfio-pci makes no virtual functions: its parameter enable_sriov is N`);
		if (number > 0 && now > 0)
			throw new Errno("EBUSY", `${one.address} has ${now} virtual functions: 0 comes before another number`);
		if (number === 0) this.#removeVirtualFunctions(one);
		else for (const virtual of all.slice(0, number)) this.#addVirtualFunction(virtual);
		this.onChange();
	}

	/** The parameter enable_sriov of vfio_pci @throws EINVAL for what is neither yes nor no */
	setEnableSriov(text: string): void {
		const word = withoutNewline(text).toLowerCase();
		if (!/^(?:[yt1]|[nf0]|on|of)/.test(word)) throw new Errno("EINVAL", "enable_sriov takes Y or N");
		this.enableSriov = /^(?:[yt1]|on)/.test(word);
		this.onChange();
	}

	/** The configuration space of a virtual function's physical one has how many there are. */
	#tellPhysical({ one: { description } }: BoundFunction): void {
		const physical = this.functions.find(({ address }) => address === description.virtualFunctionOf);
		physical?.one.vfio?.config.setVirtualFunctions(this.numvfs(physical.address));
	}

	/** A virtual function of one that VFIO has is VFIO's. */
	#addVirtualFunction(virtual: BoundFunction): void {
		const { device } = virtual.one;
		device.group.devices.push(device);
		virtual.isPresent = true;
		this.#tellPhysical(virtual);
		virtual.override = VFIO_PCI;
		this.#probe(virtual);
	}

	#removeVirtualFunctions(physical: BoundFunction): void {
		for (const virtual of this.virtualFunctionsOf(physical.address)) {
			if (!virtual.isPresent) continue;
			this.#detach(virtual, () => {
				virtual.isPresent = false;
				this.#tellPhysical(virtual);
				virtual.override = undefined;
				this.#leaveGroup(virtual);
			});
		}
	}

	#leaveGroup({ one: { device } }: BoundFunction): void {
		const { devices } = device.group;
		devices.splice(devices.indexOf(device), 1);
	}

	#find(text: string): BoundFunction | undefined {
		const name = withoutNewline(text);
		return this.present.find(({ address }) => address === name);
	}

	/** pci_match_device() */
	#matches(driver: string, { override, one }: BoundFunction): boolean {
		if (override !== undefined) return override === driver;
		if (this.#dynamicIds.get(driver)?.some((id) => isOf(id, one))) return true;
		// vfio-pci takes all functions, but none that it isn't told to take.
		return driver !== VFIO_PCI && one.description.driver === driver;
	}

	#probe(one: BoundFunction): void {
		for (const driver of this.names) {
			if (one.driver !== undefined) return;
			if (this.#matches(driver, one)) this.#tryAttach(one, driver);
		}
	}

	/** As where nobody hears of it when a driver refuses. */
	#tryAttach(one: BoundFunction, driver: string): void {
		try {
			this.#attach(one, driver);
		} catch (error) {
			if (!(error instanceof Errno)) throw error;
		}
	}

	#attach(one: BoundFunction, driver: string): void {
		const { device, vfio } = one.one;
		if (driver !== VFIO_PCI) device.group.useByKernel(driver);
		else if (vfio === undefined)
			throw new Errno(
				"EINVAL",
				`${one.address} is not cache coherent behind ${device.driver.name}, so vfio-pci doesn't take it`,
			);
		else this.#vfio.register(vfio);
		one.driver = driver;
	}

	/** Takes the driver away, as soon as nobody uses the function through it. */
	#detach(one: BoundFunction, then: () => void = () => {}): void {
		const { device, vfio } = one.one;
		const isGone = () => {
			one.driver = undefined;
			then();
			this.onChange();
		};
		if (one.driver === VFIO_PCI && vfio !== undefined) {
			this.#removeVirtualFunctions(one);
			this.#vfio.unregister(vfio, isGone);
			return;
		}
		if (one.driver !== undefined) device.group.release();
		isGone();
	}
}

function withoutNewline(text: string): string {
	return text.replace(/\n$/, "");
}

/** "8086 10c9", up to six numbers and one that no driver here looks at. */
function parseId(text: string): DynamicId | undefined {
	const numbers: number[] = [];
	for (const word of text.trim().split(/\s+/)) {
		const [digits] = /^(?:0x)?([0-9a-f]+)/i.exec(word) ?? [];
		if (digits === undefined) break;
		numbers.push(Number.parseInt(word, 16) >>> 0);
	}
	if (numbers.length < 2) return undefined;
	const [vendor, device, subvendor = ANY_ID, subdevice = ANY_ID, classCode = 0, classMask = 0] = numbers;
	return { vendor, device, subvendor, subdevice, class: classCode, classMask };
}

/** pci_match_one_id() */
function isOf(id: DynamicId, { hardware }: MachineFunction): boolean {
	return (
		(id.vendor === ANY_ID || id.vendor === hardware.vendorId) &&
		(id.device === ANY_ID || id.device === hardware.deviceId) &&
		(id.subvendor === ANY_ID || id.subvendor === hardware.subsystemVendorId) &&
		(id.subdevice === ANY_ID || id.subdevice === hardware.subsystemId) &&
		((id.class ^ hardware.classCode) & id.classMask) === 0
	);
}

/** kstrtou16() with a base that the number shows. */
function parseU16(text: string): number | undefined {
	const word = withoutNewline(text).replace(/^\+/, "");
	const isNumber = /^(?:0x[0-9a-f]+|0[0-7]*|[1-9][0-9]*)$/i.test(word);
	const number = isNumber ? (/^0[0-7]+$/.test(word) ? Number.parseInt(word, 8) : Number(word)) : 65536;
	return number <= 65535 ? number : undefined;
}
