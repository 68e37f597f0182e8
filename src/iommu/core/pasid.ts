// Process Address Space IDs: PCI Express Base Specification 6.0, 6.20.

/** An id of a process address space of a device; NO_PASID is the device itself (its requester ID). */
export type Pasid = number;
export const NO_PASID: Pasid = 0;

/** What follows a device's name: " with PASID 3", or nothing for the device itself. */
export function withPasid(pasid: Pasid): string {
	return pasid === NO_PASID ? "" : ` with PASID ${pasid}`;
}
