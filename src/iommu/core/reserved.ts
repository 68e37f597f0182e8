// Ranges of IOVA that a device can't use for mappings. struct iommu_resv_region in include/linux/iommu.h.

/**
 * direct: mapped one to one by the firmware's wish; direct-relaxable: the same, as long as nobody takes the device over;
 * reserved: not to be used; msi: where the hardware decodes interrupts; software-msi: where the kernel puts a mapping of the
 * interrupt controller's page.
 */
export type ReservedKind = "direct" | "direct-relaxable" | "reserved" | "msi" | "software-msi";

export interface ReservedRegion {
	readonly kind: ReservedKind;
	/** First and last IOVA in bytes. */
	readonly first: bigint;
	readonly last: bigint;
}
