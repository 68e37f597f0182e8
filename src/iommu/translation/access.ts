// An access of a device on its way through the tables: a request whose address is taken apart into numbers. One object serves
// one access after the other, because to make one for each takes as long as to look into a table.

import { addressOf, offsetInPage, pageOf } from "../../memory/page-number.js";
import type { Device } from "../core/iommu.js";
import { NO_PASID, type Pasid } from "../core/pasid.js";
import type { DmaRequest } from "./dma-fault.js";

export class Access implements DmaRequest {
	device!: Device;
	pasid: Pasid = NO_PASID;
	write = false;
	/** The page of 4 KiB that the address lies in, and where in it. */
	page = 0;
	offset = 0;

	static of({ device, pasid, iova, write }: DmaRequest): Access {
		const access = new Access();
		access.begin(device, pasid, write);
		access.page = pageOf(iova);
		access.offset = offsetInPage(iova);
		return access;
	}

	/** For the next one. The address is set by itself. */
	begin(device: Device, pasid: Pasid, write: boolean): void {
		this.device = device;
		this.pasid = pasid;
		this.write = write;
	}

	get iova(): bigint {
		return addressOf(this.page, this.offset);
	}
}
