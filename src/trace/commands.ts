// Which command an ioctl's number is: some numbers mean one thing on an iommufd, and another on a VFIO device.

import { iommufdCommands } from "../uapi/iommufd.js";
import { TestCommand } from "../uapi/iommufd-test.js";
import type { AnyCommand, PlainCommand } from "../uapi/struct.js";
import { vfioContainerCommands, vfioDeviceCommands, vfioGroupCommands } from "../uapi/vfio.js";

type Described = AnyCommand | PlainCommand;

const byNumber = (commands: readonly Described[]): ReadonlyMap<number, Described> =>
	new Map(commands.map((command) => [command.number, command]));

const ofIommufd = byNumber([...iommufdCommands, TestCommand, ...vfioContainerCommands]);
const ofGroup = byNumber(vfioGroupCommands);
const ofDevice = byNumber(vfioDeviceCommands);

const DEVICE = /^\/dev\/vfio\/devices\/|^\[vfio-device/;
const GROUP = /^\/dev\/vfio\/(noiommu-)?\d+$/;

/** @param path what was opened: "/dev/iommu" */
export function commandOf(path: string, number: number): Described | undefined {
	if (DEVICE.test(path)) return ofDevice.get(number);
	return (GROUP.test(path) ? ofGroup : ofIommufd).get(number);
}
