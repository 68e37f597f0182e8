// The engine as a library: a whole machine in this process, whose /dev/iommu and VFIO devices are opened by a function. No
// supervisor, no system call; what a call answers, and why it fails, comes as values.
//
//   node examples/machine.mjs

import { readFileSync } from "node:fs";
import { Client, Errno, Machine, parseMachineDescription, uapi, vfio } from "ioasis";

const file = new URL(import.meta.resolve("ioasis/machines/amd.json"));
const machine = new Machine(parseMachineDescription(readFileSync(file, "utf8"), "amd.json"));
machine.dma.report = ({ message }) => console.log(`a DMA is lost: ${message}`);

const program = new Client(machine);
const iommu = program.open("/dev/iommu");
const device = program.open("/dev/vfio/devices/vfio0");
program.ioctl(device, vfio.VfioDeviceBindIommufd, { iommufd: iommu });
const { outIoasId } = program.ioctl(iommu, uapi.IoasAlloc);
program.ioctl(device, vfio.VfioDeviceAttachIommufdPt, { ptId: outIoasId });

const page = program.mmap(4096);
const { FIXED_IOVA, READABLE } = uapi.IoasMapFlags;
const mapping = { flags: FIXED_IOVA | READABLE, ioasId: outIoasId, userVa: page.address, length: 4096n };
program.ioctl(iommu, uapi.IoasMap, { ...mapping, iova: 0x100000n });
console.log("a page is mapped for the device, to be read");

try {
	program.ioctl(iommu, uapi.IoasMap, { ...mapping, iova: 0xfee00000n });
} catch (error) {
	if (!(error instanceof Errno)) throw error;
	console.log(`another is refused: ${error.code}: ${error.reason}`);
}

// The registers of QEMU's educational device, in BAR 0: it is told to write to the page.
const CONFIG = 7 * 2 ** 40;
program.write(device, CONFIG + 4, 2, 6n); // Memory Space Enable, Bus Master Enable
for (const [register, value] of [
	[0x80, 0x40000n], // from: its own memory
	[0x88, 0x100000n], // to
	[0x90, 16n], // bytes
	[0x98, 3n], // go
])
	program.write(device, register, 8, value);

program.close(device);
program.close(iommu);
console.log(`left: ${machine.leftovers().join(", ")}`);
