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

const why: { readonly [kind in ReservedKind]: string } = {
	direct: "memory that the firmware has mapped for",
	"direct-relaxable": "memory that the firmware has mapped for",
	reserved: "what the platform reserves for",
	msi: "the interrupt (MSI) window of",
	"software-msi": "where the kernel maps the interrupts (MSI) of",
};

/** Why a device can't use a region, for a reason: "the interrupt (MSI) window of 0000:00:02.0". */
export function regionInWords({ kind }: ReservedRegion, device: string): string {
	return `${why[kind]} ${device}`;
}
