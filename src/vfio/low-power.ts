// A function that its program has let go into a low power state, and how it comes back. Nothing is saved here: what can be seen of it
// is who may ask for it, and the eventfd. vfio_pci_runtime_pm_entry() in drivers/vfio/pci/vfio_pci_core.c.

import type { EventFd } from "../files/event-fd.js";
import { Errno } from "../uapi/errno.js";

export class LowPower {
	/** "0000:00:03.0" */
	readonly #name: string;
	#isAllowed = false;
	#wakeUp: EventFd | undefined;

	constructor(name: string) {
		this.#name = name;
	}

	/** Whether it may sleep. */
	get isAllowed(): boolean {
		return this.#isAllowed;
	}

	/**
	 * @param wakeUp is signalled when the function is used again, which ends it; without one it goes on until leave()
	 * @throws EINVAL when it is there already; `wakeUp` is not taken over then
	 */
	enter(wakeUp: EventFd | undefined): void {
		if (this.#isAllowed) throw new Errno("EINVAL", `${this.#name} is in low power already`);
		this.#isAllowed = true;
		this.#wakeUp = wakeUp;
	}

	/**
	 * The function is used. Linux lets it sleep a little later than it is asked to; here it sleeps by the next time.
	 * @returns whether that has ended it
	 */
	wake(): boolean {
		if (this.#wakeUp === undefined) return false;
		this.#wakeUp.signal();
		this.leave();
		return true;
	}

	leave(): void {
		this.#isAllowed = false;
		this.#wakeUp?.release();
		this.#wakeUp = undefined;
	}
}
