// A VT-d unit, and what its tables say about each device behind it.
// Intel VT-d Architecture Specification 5.0, 3.4 "Mapping Devices to Domains".

import { Errno } from "../../../uapi/errno.js";
import { FaultUsers } from "../../core/fault.js";
import type { Domain, Group } from "../../core/iommu.js";
import type { Pasid } from "../../core/pasid.js";
import { type Iommu, PciDevice, type PciFunction } from "../../core/pci.js";
import { TwoStageDomain } from "../../translation/two-stage-domain.js";
import { IdPool } from "../id-pool.js";
import type { IntelVtdDriver } from "../intel-vtd.js";
import type { VtdRegisters } from "./registers.js";

/** Domain ID 0 is for what is cached as "not present", 1 for what is passed through. */
const FIRST_DOMAIN_ID = 2;

export class VtdUnit implements Iommu {
	readonly driver: IntelVtdDriver;
	readonly registers: VtdRegisters;
	readonly domainIds: IdPool;

	constructor(driver: IntelVtdDriver, registers: VtdRegisters) {
		this.driver = driver;
		this.registers = registers;
		this.domainIds = new IdPool("domain IDs of a VT-d unit", FIRST_DOMAIN_ID, registers.ND - 1, "ENOSPC");
	}

	probe(pci: PciFunction, group: Group): VtdDevice {
		return new VtdDevice(pci, group, this);
	}
}

/** The domain IDs of one domain: it has one for each unit that it is attached at. */
export class DomainIds {
	readonly #byUnit = new Map<VtdUnit, { readonly id: number; users: number }>();

	/** @throws ENOSPC */
	use(unit: VtdUnit): number {
		let tag = this.#byUnit.get(unit);
		if (tag === undefined) {
			tag = { id: unit.domainIds.allocate(), users: 0 };
			this.#byUnit.set(unit, tag);
		}
		tag.users++;
		return tag.id;
	}

	drop(unit: VtdUnit): void {
		const tag = this.#byUnit.get(unit)!;
		tag.users--;
		if (tag.users > 0) return;
		unit.domainIds.free(tag.id);
		this.#byUnit.delete(unit);
	}
}

/** A domain as far as a device's tables go. */
export interface VtdDomain extends Domain {
	readonly ids: DomainIds;
	/** The entries that show it. */
	readonly entries: Set<BigUint64Array>;
	/** What the device's table has to say. @throws EINVAL when the unit can't do it */
	entryFor(device: VtdDevice, domainId: number): BigUint64Array;
}

/** What is attached for one PASID, and the entry that says so. */
interface Attached {
	readonly domain: VtdDomain;
	readonly entry: BigUint64Array;
}

export class VtdDevice extends PciDevice {
	declare readonly iommu: VtdUnit;
	/** ATS, and page requests on top of it. */
	readonly ats: boolean;
	readonly pri: boolean;
	readonly #attached = new Map<Pasid, Attached>();
	readonly faultUsers = new FaultUsers(this);

	constructor(pci: PciFunction, group: Group, unit: VtdUnit) {
		const { registers } = unit;
		const pasids = registers.hasPasids ? 2 ** (registers.PSS + 1) : 0;
		super(pci, unit.driver, group, pci.pasidBits === 0 ? 0 : Math.min(2 ** pci.pasidBits, pasids), unit);
		this.ats = registers.DT && pci.ats;
		this.pri = this.ats && registers.SMTS && registers.PRS && registers.PDS && pci.pri;
	}

	/** The context entry or PASID table entry that is present. */
	entry(pasid: Pasid): BigUint64Array | undefined {
		return this.#attached.get(pasid)?.entry;
	}

	/**
	 * Has requests with the PASID translated by a domain. What was there before gives way.
	 * @throws ENOSPC, EINVAL; what was there before stays then
	 */
	attach(pasid: Pasid, domain: VtdDomain): void {
		const id = domain.ids.use(this.iommu);
		let entry: BigUint64Array;
		try {
			entry = domain.entryFor(this, id);
		} catch (error) {
			domain.ids.drop(this.iommu);
			throw error;
		}
		this.detach(pasid);
		this.#attached.set(pasid, { domain, entry });
		domain.entries.add(entry);
	}

	/** No DMA with the PASID any more. */
	detach(pasid: Pasid): void {
		const attached = this.#attached.get(pasid);
		if (attached === undefined) return;
		this.#attached.delete(pasid);
		attached.domain.entries.delete(attached.entry);
		attached.domain.ids.drop(this.iommu);
		// intel_pasid_tear_down_entry(): what was cached for the entry goes with it.
		if (attached.domain instanceof TwoStageDomain) attached.domain.tlb.clear();
	}

	/** @throws ENODEV when the domain wants page faults and the device can't ask for pages */
	checkFaults({ faultHandler }: Domain): void {
		if (faultHandler !== undefined && !this.pri)
			throw new Errno(
				"ENODEV",
				`the HWPT takes page faults, and ${this.name} can't ask for pages: ATS and PRI aren't both there`,
				"page-faults",
			);
	}
}
