// Who wants to know what a machine's devices do, and what no call's answer says.

import type { DeviceEvent, DmaAccess, DmaEvent, InterruptEvent } from "../trace/event.js";
import type { Machine } from "./machine.js";

export interface Watcher {
	/** A device has read or written memory, or was refused. */
	accessed?(access: DmaAccess): void;
	/** What went wrong with that. */
	dma?(event: DmaEvent): void;
	interrupt?(event: InterruptEvent): void;
	/** What a device says. */
	device?(event: DeviceEvent): void;
	/** What the engine says that no answer says. */
	remark?(text: string): void;
}

/** Once for a machine, with all of them. Each is told of everything as it happens: before the call that had it happen is over. */
export function watch(machine: Machine, watchers: readonly Watcher[]): void {
	if (watchers.length === 0) return;
	const all = <Event>(tell: (watcher: Watcher) => ((event: Event) => void) | undefined) => {
		const told = watchers.flatMap((watcher) => tell(watcher)?.bind(watcher) ?? []);
		if (told.length < 2) return told[0];
		return (event: Event) => {
			for (const tell of told) tell(event);
		};
	};
	const { dma, vfioDevices } = machine;
	machine.remark = all((watcher) => watcher.remark);
	machine.report = all((watcher) => watcher.device);
	dma.report = all((watcher) => watcher.dma);
	dma.accessed = all((watcher) => watcher.accessed);
	const interrupt = all<InterruptEvent>((watcher) => watcher.interrupt);
	for (const { interrupts } of vfioDevices) interrupts.report = interrupt;
}
