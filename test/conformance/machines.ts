// Which machine each program runs on, and what it is told of it.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PROGRAMS, type Program, VFIO_PROGRAMS } from "./programs.js";

/** One run of a program. */
export interface Run {
	readonly program: Program;
	/** What the results are filed under: the program, the device where there are several, and the machine. */
	readonly name: string;
	/** What --machine is followed by: its name or file, and further options. */
	readonly machine: string;
	/** For the program. */
	readonly parameters: readonly string[];
}

/** The machines that vfio's programs run on: of each architecture one. */
const VFIO_MACHINES = ["intel", "amd", "arm"] as const;
/** A function that all of them have. */
const DEVICE = "0000:00:02.0";
const ADDED = "0000:02:00.0";
/**
 * The models that the selftests have drivers for, with what is chosen for them. memcpy_storm has a device move as often as it can what it
 * can move at once, in a minute: 64 GiB with what is usual. That is hardware's speed, so here it is 64 KiB at once.
 */
const DRIVEN_DEVICES: { readonly [model: string]: string } = { igb: "", ioat: ",xfercap=16", dsa: ",transfer=16" };
/** What a driver gives DSA its work with: the instruction's name in /proc/cpuinfo. */
const DSA_INSTRUCTION = "movdir64b";
const PHYSICAL_FUNCTION = "0000:09:00.0";
/** An 82576, as far as SR-IOV goes. */
const SRIOV_DEVICES = [
	{
		...{ address: PHYSICAL_FUNCTION, vendor: "0x8086", device: "0x10c9", class: "0x020000" },
		...{ bars: [{ index: 0, size: 0x20000 }], sriov: true, numvfs: 0 },
	},
	{
		...{ address: "0000:09:10.0", vendor: "0x8086", device: "0x10ca", class: "0x020000" },
		virtualFunctionOf: PHYSICAL_FUNCTION,
	},
];

/**
 * All runs there are, in order.
 * @param directory where the files of machines may be put that are only for this
 */
export function allRuns(checkout: string, directory: string): Run[] {
	return PROGRAMS.flatMap((program): Run[] => {
		if (!(VFIO_PROGRAMS as readonly string[]).includes(program))
			return [{ program, name: program, machine: "selftest", parameters: [] }];
		return VFIO_MACHINES.flatMap((machine) => {
			if (program === "vfio_pci_driver_test")
				return drivenDevices().map((model) => withDevice(program, machine, model));
			const [options, device] = forProgram(program, machine, checkout, directory);
			return { program, name: `${program} on ${machine}`, machine: options, parameters: [device] };
		});
	});
}

function drivenDevices(): readonly string[] {
	const hasInstruction =
		existsSync("/proc/cpuinfo") && readFileSync("/proc/cpuinfo", "utf8").split(/\s/).includes(DSA_INSTRUCTION);
	return Object.keys(DRIVEN_DEVICES).filter((model) => model !== "dsa" || hasInstruction);
}

/** A run with a device that the selftests have a driver for. */
function withDevice(program: Program, machine: string, model: string): Run {
	const options = `${machine} --device ${model},address=${ADDED}${DRIVEN_DEVICES[model]}`;
	return { program, name: `${program} with ${model} on ${machine}`, machine: options, parameters: [ADDED] };
}

function forProgram(
	program: Program,
	machine: string,
	checkout: string,
	directory: string,
): [machine: string, device: string] {
	if (program === "vfio_pci_sriov_uapi_test") return [withSriov(machine, checkout, directory), PHYSICAL_FUNCTION];
	// These take a device that has registers to be mapped, and all kinds of interrupts.
	if (["vfio_dma_mapping_mmio_test", "vfio_pci_device_test"].includes(program))
		return [`${machine} --device igb,address=${ADDED}`, ADDED];
	return [machine, DEVICE];
}

/** The file of a machine with a physical function more, and the one that can come of it. */
function withSriov(machine: string, checkout: string, directory: string): string {
	const description = JSON.parse(readFileSync(join(checkout, "machines", `${machine}.json`), "utf8"));
	description.iommus.at(-1).devices.push(...SRIOV_DEVICES);
	mkdirSync(directory, { recursive: true });
	const file = join(directory, `${machine}-sriov.json`);
	writeFileSync(file, JSON.stringify(description));
	return file;
}
