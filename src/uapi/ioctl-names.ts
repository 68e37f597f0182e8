// Every ioctl of iommufd and VFIO by its number, those that no file here serves too: so that a call on the wrong file can be told
// where it belongs. Linux has given some numbers twice, to files of different kinds.
// include/uapi/linux/iommufd.h and vfio.h.

import { Errno, type ErrnoCode, hex } from "./errno.js";
import { iommufdCommands } from "./iommufd.js";
import { TestCommand } from "./iommufd-test.js";
import { ioctlNumber } from "./struct.js";
import { vfioContainerCommands, vfioDeviceCommands, vfioGroupCommands } from "./vfio.js";

/** What kind of file an ioctl is for. */
export type FileKind = keyof typeof kinds;

const kinds = {
	iommufd: "/dev/iommu",
	device: "a VFIO device (/dev/vfio/devices/vfioN)",
	group: "a VFIO group (/dev/vfio/N)",
	container: "a VFIO container (/dev/vfio/vfio)",
	migration: "the file of a migration (VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE)",
} as const;

interface Ioctl {
	readonly name: string;
	readonly number: number;
	readonly kind: FileKind;
	/** Why nobody serves it here. */
	readonly absent?: string;
}

const DISPLAY = "it is for devices with a display, which none here is";
const POWER = "it is for the IOMMUs of PowerPC (sPAPR TCE), and type 1 doesn't have it";

const ioctls: readonly Ioctl[] = [
	...[...iommufdCommands, TestCommand].map(({ name, number }): Ioctl => ({ name, number, kind: "iommufd" })),
	...vfioDeviceCommands.map(({ name, number }): Ioctl => ({ name, number, kind: "device" })),
	...vfioGroupCommands.map(({ name, number }): Ioctl => ({ name, number, kind: "group" })),
	...vfioContainerCommands.map(({ name, number }): Ioctl => ({ name, number, kind: "container" })),
	absent(114, "VFIO_DEVICE_QUERY_GFX_PLANE", "device", DISPLAY),
	absent(115, "VFIO_DEVICE_GET_GFX_DMABUF", "device", DISPLAY),
	absent(121, "VFIO_MIG_GET_PRECOPY_INFO", "migration", "no device here can migrate"),
	absent(115, "VFIO_IOMMU_ENABLE", "container", POWER),
	absent(116, "VFIO_IOMMU_DISABLE", "container", POWER),
	absent(118, "VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY", "container", POWER),
	absent(119, "VFIO_IOMMU_SPAPR_TCE_CREATE", "container", POWER),
	absent(120, "VFIO_IOMMU_SPAPR_TCE_REMOVE", "container", POWER),
	absent(121, "VFIO_EEH_PE_OP", "container", POWER),
];

function absent(nr: number, name: string, kind: FileKind, why: string): Ioctl {
	return { name, number: ioctlNumber(nr), kind, absent: why };
}

/** What a number can mean: several names where kinds of files share it. */
export function ioctlsOf(number: number): readonly Ioctl[] {
	return ioctls.filter((ioctl) => ioctl.number === number);
}

/** Whether a kind of file has an ioctl of that number, served here or not. */
export function belongsTo(kind: FileKind, number: number): boolean {
	return ioctls.some((ioctl) => ioctl.number === number && ioctl.kind === kind);
}

/** An ioctl in words: its name, or its number where nobody knows it. @param kind of the file, if that is clear */
export function nameOfIoctl(number: number, kind?: FileKind): string {
	const known = ioctlsOf(number).find((ioctl) => ioctl.kind === kind);
	if (known !== undefined) return known.name;
	return (
		ioctlsOf(number)
			.map(({ name }) => name)
			.join(" or ") || hex(number)
	);
}

/**
 * The answer to an ioctl that a file doesn't have.
 * @param strayCode ENOTTY, as a rule; some files check first whether they can be used at all
 * @param file what it was made on, for people
 * @param served the kinds of ioctls that such a file is for
 */
export function strayIoctl(strayCode: ErrnoCode, number: number, file: string, served: readonly FileKind[]): Errno {
	const known = ioctlsOf(number);
	const own = known.find(({ kind }) => served.includes(kind));
	if (own?.absent !== undefined)
		return new Errno(strayCode, `${own.name} is not there: ${own.absent}`, "unknown-ioctl");
	if (own !== undefined) return new Errno(strayCode, `${own.name} is not there on ${file}`, "own-back-end");
	if (known.length === 0)
		return new Errno(
			strayCode,
			`${hex(number)} is no ioctl of ${file}, nor any other of iommufd or VFIO`,
			"unknown-ioctl",
		);
	const places = known.map(({ name, kind }) => `${name} goes to ${kinds[kind]}`).join(", or ");
	return new Errno(strayCode, `${places}: this is ${file}`, "wrong-file");
}
