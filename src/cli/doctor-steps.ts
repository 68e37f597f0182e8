// What `ioasis doctor` tries, by the names that its program says.

export type Step = "paths" | "calls" | "memory" | "device" | "eventfd" | "registers";

export interface Trial {
	readonly step: Step;
	/** For people. */
	readonly what: string;
	/** Whether nothing works without it; if not, it is an exception. */
	readonly isNeeded: boolean;
}

/** In the order in which the program does them. */
export const trials: readonly Trial[] = [
	{ step: "paths", what: "the machine's files in /sys are found", isNeeded: true },
	{ step: "calls", what: "an ioctl is answered", isNeeded: true },
	{ step: "memory", what: "memory is mapped for DMA", isNeeded: true },
	{ step: "device", what: "a device is bound, and its registers are read and written", isNeeded: true },
	{ step: "eventfd", what: "a device's interrupt signals an eventfd", isNeeded: false },
	{ step: "registers", what: "a register is mapped", isNeeded: false },
];
